//! What is uploaded: something of a known size that can be read from any place, again if need be.

use crate::exit::Ending;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub trait Source: Send + Sync {
    fn size(&self) -> u64;
    fn open(&self, range: Range<u64>) -> Box<dyn Read + Send + '_>;
}

/// Opens what a command was told to read. The caller's error names the path.
pub fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Ending::not_found("there is no such file"),
        _ => anyhow::Error::new(e).context("cannot open it"),
    })?;
    if file.metadata()?.is_dir() {
        return Err(Ending::usage("this is a folder; name its files"));
    }
    Ok(file)
}

/// A file on disk, at the size it had when opened; parts are read side by side.
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    pub fn open(path: &Path) -> Result<FileSource> {
        let file = open(path)?;
        if file.metadata()?.is_file() { FileSource::of(file) } else { FileSource::spool(file) }
    }

    fn of(file: File) -> Result<FileSource> {
        let size = file.metadata()?.len();
        Ok(FileSource { file, size })
    }

    /// Of a pipe nobody knows the size, which S3 asks for first: it goes through a temporary file.
    pub fn spool(mut input: impl Read) -> Result<FileSource> {
        let mut file = tempfile::tempfile().context("cannot make a temporary file for the input")?;
        io::copy(&mut input, &mut file).context("cannot keep the input in a temporary file")?;
        FileSource::of(file)
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn open(&self, range: Range<u64>) -> Box<dyn Read + Send + '_> {
        Box::new(FileRange { file: &self.file, range })
    }
}

struct FileRange<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl Read for FileRange<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let wanted = left.min(buf.len());
        let read = self.file.read_at(&mut buf[..wanted], self.range.start)?;
        if read == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read"));
        }
        self.range.start += read as u64;
        Ok(read)
    }
}

/// Bytes in memory: the demo's samples.
impl Source for &'static [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn open(&self, range: Range<u64>) -> Box<dyn Read + Send + '_> {
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(self.len());
        Box::new(&self[at(range.start)..at(range.end)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_gives_its_bytes_and_a_shrunk_file_an_error() {
        let source = FileSource::spool(&b"0123456789"[..]).expect("spool");
        let mut text = String::new();
        source.open(2..5).read_to_string(&mut text).expect("read");
        assert_eq!((text.as_str(), source.size()), ("234", 10));
        source.file.set_len(4).expect("shrink");
        assert!(source.open(2..8).read_to_string(&mut text).is_err());
    }
}
