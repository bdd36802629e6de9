//! Reading content back, every byte of it checked (B4).
//!
//! Files are read in whole blocks, each compared with its checksum before a byte of it is given out; an object of many
//! blobs opens them one after the other. The pins keep all of them until the reader is dropped (B3).

use crate::blobs::{BLOCK_BYTES, BlobFolder, BlobId, CRC_BYTES, file_bytes};
use crate::checksum::crc_of;
use crate::pins::Pin;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Checksums read at a time: those of 256 MiB.
const CRCS_READ: u64 = 1024;

/// A piece of a blob file.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) blob: BlobId,
    /// Of the blob's whole content.
    pub(crate) size: u64,
    pub(crate) range: Range<u64>,
}

pub(crate) struct PiecesReader {
    blobs: Arc<BlobFolder>,
    pieces: VecDeque<Piece>,
    current: Option<FileReader>,
    /// One buffer for all pieces.
    block: Vec<u8>,
    _pin: Pin,
}

impl PiecesReader {
    pub(crate) fn new(blobs: Arc<BlobFolder>, pieces: Vec<Piece>, pin: Pin) -> Self {
        PiecesReader { blobs, pieces: pieces.into(), current: None, block: Vec::new(), _pin: pin }
    }
}

impl Read for PiecesReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(file) = &mut self.current {
                let n = file.read(&mut self.block, out)?;
                if n > 0 {
                    return Ok(n);
                }
                self.current = None;
            }
            match self.pieces.pop_front() {
                None => return Ok(0),
                Some(piece) => self.current = Some(FileReader::open(&self.blobs, piece)?),
            }
        }
    }
}

/// The system drops what it holds of the file, as far as it is on disk: a later read asks the disk. Best effort.
pub(crate) fn forget_cached(blobs: &BlobFolder, piece: &Piece) {
    if let Ok(file) = File::open(blobs.path(piece.blob)) {
        let length = std::num::NonZeroU64::new(piece.range.end - piece.range.start);
        let _advice = rustix::fs::fadvise(&file, piece.range.start, length, rustix::fs::Advice::DontNeed);
    }
}

/// Is this piece what was stored?
pub(crate) fn verify(blobs: &BlobFolder, piece: Piece) -> io::Result<()> {
    let mut file = FileReader::open(blobs, piece)?;
    let (mut block, mut out) = (Vec::new(), vec![0; to_usize(BLOCK_BYTES)]);
    while file.read(&mut block, &mut out)? > 0 {}
    Ok(())
}

struct FileReader {
    file: File,
    piece: Piece,
    /// The next byte to give.
    at: u64,
    /// Which part of the content the block buffer holds, verified.
    held: Range<u64>,
    crcs: Vec<u8>,
    /// The block whose checksum is the first in `crcs`.
    first_crc: u64,
}

impl FileReader {
    fn open(blobs: &BlobFolder, piece: Piece) -> io::Result<Self> {
        let file = File::open(blobs.path(piece.blob)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => corrupt(piece.blob, "its file is missing"),
            _ => e,
        })?;
        if file.metadata()?.len() != file_bytes(piece.size) {
            return Err(corrupt(piece.blob, "its file has another length"));
        }
        let at = piece.range.start;
        Ok(FileReader { file, piece, at, held: 0..0, crcs: Vec::new(), first_crc: 0 })
    }

    fn read(&mut self, block: &mut Vec<u8>, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.piece.range.end {
            return Ok(0);
        }
        if !self.held.contains(&self.at) {
            self.load(block)?;
        }
        let from = to_usize(self.at - self.held.start);
        let to = to_usize(self.held.end.min(self.piece.range.end) - self.held.start);
        let n = (to - from).min(out.len());
        out[..n].copy_from_slice(&block[from..from + n]);
        self.at += n as u64;
        Ok(n)
    }

    /// Reads and checks the block that holds `at`.
    fn load(&mut self, block: &mut Vec<u8>) -> io::Result<()> {
        let number = self.at / BLOCK_BYTES;
        let start = number * BLOCK_BYTES;
        let end = (start + BLOCK_BYTES).min(self.piece.size);
        let crc = self.crc(number)?;
        self.held = 0..0;
        block.resize(to_usize(end - start), 0);
        self.read_at(block, start)?;
        if crc_of(block) != crc {
            return Err(corrupt(self.piece.blob, format_args!("bytes {start} to {end} are not what was stored")));
        }
        self.held = start..end;
        Ok(())
    }

    fn crc(&mut self, number: u64) -> io::Result<u64> {
        let known = self.first_crc..self.first_crc + self.crcs.len() as u64 / CRC_BYTES;
        if !known.contains(&number) {
            let last = (self.piece.range.end - 1) / BLOCK_BYTES;
            let count = (last - number + 1).min(CRCS_READ);
            let mut crcs = vec![0; to_usize(count * CRC_BYTES)];
            self.read_at(&mut crcs, self.piece.size + number * CRC_BYTES)?;
            (self.crcs, self.first_crc) = (crcs, number);
        }
        let at = to_usize((number - self.first_crc) * CRC_BYTES);
        let bytes = self.crcs[at..at + 8].try_into().expect("a checksum has eight bytes");
        Ok(u64::from_le_bytes(bytes))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => corrupt(self.piece.blob, "its file ends too early"),
            _ => e,
        })
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).expect("a block and its checksums fit in memory")
}

fn corrupt(blob: BlobId, what: impl std::fmt::Display) -> io::Error {
    metrics::counter!("filemill_store_corrupt_reads_total").increment(1);
    tracing::error!(blob = %blob, what = %what, "stored bytes are corrupt");
    io::Error::new(io::ErrorKind::InvalidData, format!("blob {blob} is corrupt: {what}"))
}
