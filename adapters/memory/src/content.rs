//! Bytes in memory: staged, stored and read.
//!
//! Content is a row of shared segments, each with its checksum, so that completing a multipart upload copies nothing
//! and a reader keeps its version alive. Every read checks the segments it touches (B4).

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use filemill_core::etag::Etag;
use filemill_core::limits::INLINE_BYTES_MAX;
use filemill_core::ports::{BlobError, InvalidBlob, StageWriter, Staged, StagedBytes};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    bytes: Bytes,
    checksum: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    segments: Vec<Segment>,
    pub size: u64,
}

impl Content {
    pub fn of(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        let checksum = checksum(CrcAlgorithm::Crc64Nvme, &bytes);
        Content { segments: vec![Segment { bytes, checksum }], size }
    }

    pub fn joined<'a>(parts: impl Iterator<Item = &'a Content>) -> Self {
        let segments: Vec<Segment> = parts.flat_map(|p| p.segments.iter().cloned()).collect();
        let size = segments.iter().map(|s| s.bytes.len() as u64).sum();
        Content { segments, size }
    }

    /// The MD5 of small content, otherwise a tag from the store's own checksum.
    fn etag(&self) -> Etag {
        match self.segments.as_slice() {
            [] => Etag::md5_of(&[]),
            [only] if self.size <= INLINE_BYTES_MAX => Etag::md5_of(&only.bytes),
            many => {
                let fold = many.iter().fold(0, |tag: u64, s| tag.rotate_left(7) ^ s.checksum);
                Etag::new(&format!("{fold:016x}{:016x}", self.size))
            }
        }
    }

    /// The bytes of `range`, which lies within the content.
    pub fn slices(&self, range: &Range<u64>) -> Result<Vec<Bytes>, BlobError> {
        let mut slices = Vec::new();
        let mut at = 0;
        for segment in &self.segments {
            let end = at + segment.bytes.len() as u64;
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                segment.check()?;
                slices.push(segment.bytes.slice((from - at) as usize..(to - at) as usize));
            }
            at = end;
        }
        Ok(slices)
    }

    pub fn all(&self) -> Result<Bytes, BlobError> {
        Ok(join(&self.slices(&(0..self.size))?))
    }

    /// Damage, for tests of B4.
    pub fn flip_bit(&mut self) {
        if let Some(segment) = self.segments.iter_mut().find(|s| !s.bytes.is_empty()) {
            let mut bytes = segment.bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            segment.bytes = bytes.into();
        }
    }
}

impl Segment {
    fn check(&self) -> Result<(), BlobError> {
        if checksum(CrcAlgorithm::Crc64Nvme, &self.bytes) == self.checksum {
            return Ok(());
        }
        Err(BlobError::Corrupt(format!("a segment of {} bytes fails its checksum", self.bytes.len())))
    }
}

pub(crate) fn join(slices: &[Bytes]) -> Bytes {
    match slices {
        [] => Bytes::new(),
        [only] => only.clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter().for_each(|s| all.extend_from_slice(s));
            all.freeze()
        }
    }
}

/// Reads slices in order; fails once `breaks_after` bytes were given.
pub(crate) struct SliceReader {
    pub slices: std::collections::VecDeque<Bytes>,
    pub breaks_after: Option<u64>,
}

impl Read for SliceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.slices.front().is_some_and(Bytes::is_empty) {
            self.slices.pop_front();
        }
        let allowed = self.breaks_after.unwrap_or(u64::MAX);
        if allowed == 0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the store broke off"));
        }
        let Some(front) = self.slices.front_mut() else { return Ok(0) };
        let take = front.len().min(buffer.len()).min(usize::try_from(allowed).unwrap_or(usize::MAX));
        buffer[..take].copy_from_slice(&front.split_to(take));
        self.breaks_after = self.breaks_after.map(|left| left - take as u64);
        Ok(take)
    }
}

/// Counts staged bytes that are alive, so that a checker can see a leak (B9).
#[derive(Clone, Default)]
pub(crate) struct StageCount(Arc<AtomicU64>);

impl StageCount {
    pub fn alive(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Alive {
        self.0.fetch_add(1, Ordering::Relaxed);
        Alive(self.clone())
    }
}

struct Alive(StageCount);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Held {
    content: Content,
    _alive: Alive,
}

pub(crate) struct MemoryStage {
    bytes: BytesMut,
    breaks_after: Option<u64>,
    alive: Alive,
}

impl MemoryStage {
    pub fn new(count: &StageCount, breaks_after: Option<u64>) -> Self {
        MemoryStage { bytes: BytesMut::new(), breaks_after, alive: count.enter() }
    }

    fn is_broken(&self) -> bool {
        self.breaks_after.is_some_and(|limit| self.bytes.len() as u64 >= limit)
    }
}

impl Write for MemoryStage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken() {
            return Err(io::Error::other("the store broke off"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StageWriter for MemoryStage {
    fn finish(self: Box<Self>) -> Result<Staged, BlobError> {
        if self.is_broken() {
            return Err(BlobError::unavailable("the store broke off"));
        }
        let content = Content::of(self.bytes.freeze());
        let size = content.size;
        let etag = content.etag();
        Ok(Staged { size, etag, bytes: StagedBytes::Held(Box::new(Held { content, _alive: self.alive })) })
    }
}

/// Takes staged bytes over, with their own tag.
pub(crate) fn unstage(staged: Staged) -> Result<(Content, Etag), BlobError> {
    match staged.bytes {
        StagedBytes::Inline(bytes) => Ok((Content::of(bytes), staged.etag)),
        StagedBytes::Held(held) => match held.downcast::<Held>() {
            Ok(held) => Ok((held.content.clone(), staged.etag)),
            Err(_) => Err(BlobError::Invalid(InvalidBlob::Other("the bytes were staged by another store".into()))),
        },
    }
}
