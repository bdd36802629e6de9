//! The part of an input that is in memory, and where it stands in the whole: byte and line.
//!
//! It grows with what its reader asks for, up to one record and one block. It knows lines, but no JSON.

use filemill_core::limits::{IO_BLOCK_BYTES, RECORD_BYTES_MAX};
use std::io::{self, ErrorKind, Read};

pub struct Window<'a> {
    input: &'a mut dyn Read,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The input has no more bytes than these.
    pub is_last: bool,
    /// Of the first byte that is not consumed.
    pub at: u64,
    pub line: u64,
}

/// What [`Window::line`] found, without its line end.
pub enum Line {
    /// So many bytes, and so many with the line end.
    Bytes(usize, usize),
    TooLong,
    None,
}

impl<'a> Window<'a> {
    /// Onto an input of about `size` bytes: a small one takes a small buffer.
    pub fn new(input: &'a mut dyn Read, size: u64, at: u64, line: u64) -> Self {
        let bytes = usize::try_from(size.saturating_add(1)).unwrap_or(usize::MAX).clamp(16, IO_BLOCK_BYTES);
        Window { input, bytes: vec![0; bytes], start: 0, end: 0, is_last: false, at, line }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Reads once. False: there was nothing more.
    pub fn more(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let grown = (2 * self.end).min(RECORD_BYTES_MAX + IO_BLOCK_BYTES).max(self.end + IO_BLOCK_BYTES);
            self.bytes.resize(grown, 0);
        }
        while !self.is_last {
            match self.input.read(&mut self.bytes[self.end..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
                Ok(0) => self.is_last = true,
                Ok(n) => {
                    self.end += n;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Reads until there are twice as many bytes, so that looking at all of them again costs no more than reading did.
    pub fn much_more(&mut self) -> io::Result<()> {
        let enough = (2 * self.bytes().len()).clamp(64, RECORD_BYTES_MAX + 1);
        while self.bytes().len() < enough && self.more()? {}
        Ok(())
    }

    /// Passes over bytes, and counts their lines.
    pub fn pass(&mut self, count: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.bytes[self.start..self.start + count]).count() as u64;
        self.start += count;
        self.at += count as u64;
    }

    /// Passes over one line.
    pub fn pass_line(&mut self, count: usize) {
        self.line += 1;
        self.start += count;
        self.at += count as u64;
    }

    /// The line that starts here.
    pub fn line(&mut self) -> io::Result<Line> {
        let mut searched = 0;
        loop {
            if let Some(newline) = memchr::memchr(b'\n', &self.bytes()[searched..]) {
                let line = searched + newline;
                return Ok(if line > RECORD_BYTES_MAX { Line::TooLong } else { Line::Bytes(line, line + 1) });
            }
            searched = self.bytes().len();
            if searched > RECORD_BYTES_MAX {
                return Ok(Line::TooLong);
            }
            if !self.more()? {
                return Ok(if searched == 0 { Line::None } else { Line::Bytes(searched, searched) });
            }
        }
    }

    /// The first byte that is no blank; blanks before it are passed over, as far as they start before `until`.
    pub fn skip_blanks(&mut self, until: u64) -> io::Result<Option<u8>> {
        loop {
            let blanks = super::scan::blanks_at(self.bytes());
            self.pass(blanks);
            if let Some(byte) = self.bytes().first() {
                return Ok(Some(*byte));
            }
            if self.at >= until || !self.more()? {
                return Ok(None);
            }
        }
    }

    /// A byte order mark at the start is not content.
    pub fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        while self.bytes().len() < BYTE_ORDER_MARK.len() && self.more()? {}
        if self.bytes().starts_with(BYTE_ORDER_MARK) {
            self.pass(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }
}

/// U+FEFF in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
