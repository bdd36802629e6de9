//! Bytes on their way in: kept in memory while they are few, then written to their final file.
//!
//! A staged file that is dropped before a row names it is unlinked (B9).

use crate::blobs::{BlobFolder, BlobId};
use crate::checksum::{BlockChecksums, crc_of, own_tag};
use crate::durable;
use crate::failure::StoreFailure;
use crate::flusher::{FLUSH_BYTES, Flushed, Flusher, Unsynced};
use crate::housekeeper::Chores;
use crate::room::{LOOK_EVERY_BYTES, Promise};
use bytes::Bytes;
use filemill_core::limits::INLINE_BYTES_MAX;
use filemill_core::ports::{BlobError, InvalidBlob, StageWriter, Staged, StagedBytes};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

const INLINE: usize = INLINE_BYTES_MAX as usize;

/// What every stage of a store needs.
#[derive(Clone)]
pub(crate) struct Stages {
    pub(crate) blobs: Arc<BlobFolder>,
    pub(crate) chores: Chores,
    pub(crate) flusher: Flusher,
}

/// A finished file that waits for its row.
pub(crate) struct StagedFile {
    pub(crate) id: BlobId,
    pub(crate) size: u64,
    pub(crate) crc: u64,
    guard: FileGuard,
}

impl StagedFile {
    /// A row may name the file now: it is no longer ours to remove.
    pub(crate) fn keep(mut self) {
        self.guard.armed = false;
    }

    pub(crate) fn is_of(&self, blobs: &Arc<BlobFolder>) -> bool {
        Arc::ptr_eq(&self.guard.blobs, blobs)
    }
}

/// Unlinks the file unless disarmed.
struct FileGuard {
    id: BlobId,
    blobs: Arc<BlobFolder>,
    chores: Chores,
    armed: bool,
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        self.blobs.forget_staged(self.id);
        if self.armed {
            self.chores.unlink(vec![self.id]);
        }
    }
}

/// Content that a port method was given, ready for the writer.
pub(crate) enum Content {
    Empty,
    Inline { id: BlobId, crc: u64, bytes: Bytes },
    File(StagedFile),
}

impl Content {
    pub(crate) fn of(staged: Staged, blobs: &Arc<BlobFolder>) -> Result<Self, BlobError> {
        match staged.bytes {
            StagedBytes::Inline(bytes) if bytes.is_empty() => Ok(Content::Empty),
            StagedBytes::Inline(bytes) => {
                blobs.check_room(bytes.len() as u64)?;
                Ok(Content::Inline { id: blobs.next_id(), crc: crc_of(&bytes), bytes })
            }
            StagedBytes::Held(held) => match held.downcast::<StagedFile>() {
                Ok(file) if file.is_of(blobs) => Ok(Content::File(*file)),
                _ => Err(BlobError::Invalid(InvalidBlob::Other("these bytes were staged by another store".into()))),
            },
        }
    }
}

pub(crate) struct LocalStage {
    stages: Stages,
    small: Vec<u8>,
    file: Option<OpenFile>,
    promise: Promise,
}

struct OpenFile {
    path: PathBuf,
    file: Arc<Flushed>,
    out: BufWriter<Unsynced>,
    flusher: Flusher,
    unflushed: u64,
    unlooked: u64,
    checksums: BlockChecksums,
    guard: FileGuard,
}

impl LocalStage {
    pub(crate) fn new(stages: Stages, expected_bytes: Option<u64>) -> Result<Self, StoreFailure> {
        let expected = expected_bytes.unwrap_or(0);
        let promise = stages.blobs.room.promise(expected)?;
        let capacity = usize::try_from(expected).unwrap_or(usize::MAX).min(INLINE);
        Ok(LocalStage { stages, small: Vec::with_capacity(capacity), file: None, promise })
    }

    fn write_to_file(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let mut file = OpenFile::create(&self.stages)?;
            file.write(&std::mem::take(&mut self.small))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Ok(()),
        }
    }
}

impl Write for LocalStage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.small.len() + bytes.len() <= INLINE {
            self.small.extend_from_slice(bytes);
        } else {
            self.write_to_file(bytes)?;
            self.promise.keep(bytes.len() as u64);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StageWriter for LocalStage {
    fn finish(self: Box<Self>) -> Result<Staged, BlobError> {
        match self.file {
            None => Ok(Staged::inline(Bytes::from(self.small))),
            Some(file) => {
                let file = file.finish()?;
                let etag = own_tag(file.crc, file.size);
                Ok(Staged { size: file.size, etag, bytes: StagedBytes::Held(Box::new(file)) })
            }
        }
    }
}

impl OpenFile {
    fn create(stages: &Stages) -> io::Result<Self> {
        let Stages { blobs, chores, flusher } = stages.clone();
        let id = blobs.next_id();
        let path = blobs.path(id);
        blobs.make_shard_of(id)?;
        blobs.note_staged(id);
        let guard = FileGuard { id, blobs, chores, armed: true };
        let file = Flushed::new(durable::create_file(&path)?);
        let out = BufWriter::with_capacity(INLINE, Unsynced(Arc::clone(&file)));
        Ok(OpenFile { path, file, out, flusher, unflushed: 0, unlooked: 0, checksums: BlockChecksums::new(), guard })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unlooked += bytes.len() as u64;
        if self.unlooked >= LOOK_EVERY_BYTES {
            self.unlooked = 0;
            self.guard.blobs.room.check_growth()?;
        }
        self.checksums.update(bytes);
        self.out.write_all(bytes)?;
        self.unflushed += bytes.len() as u64;
        if self.unflushed >= FLUSH_BYTES {
            self.unflushed = 0;
            self.flusher.flush(&self.file);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<StagedFile, StoreFailure> {
        let (blocks, crc, size) = self.checksums.finish();
        self.out.write_all(&blocks).and_then(|()| self.out.flush())?;
        let folder = durable::open_folder_of(&self.path)?;
        let synced = durable::sync_new_file(&self.file.file, &folder).and_then(|()| self.file.outcome());
        synced.map_err(|e| {
            self.guard.blobs.health.fail(format!("syncing a blob file: {e}"));
            StoreFailure::unavailable(e)
        })?;
        Ok(StagedFile { id: self.guard.id, size, crc, guard: self.guard })
    }
}

/// Small content as a file, for parts: an object of many parts is read file by file.
pub(crate) fn spill(stages: &Stages, bytes: &[u8]) -> Result<StagedFile, BlobError> {
    let mut file = OpenFile::create(stages).map_err(BlobError::unavailable)?;
    file.write(bytes).map_err(BlobError::unavailable)?;
    Ok(file.finish()?)
}
