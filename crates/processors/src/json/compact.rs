//! A value without the blanks between its tokens, every other byte as it stands; and output in whole blocks.

use super::scan::Sink;
use filemill_core::limits::IO_BLOCK_BYTES;
use std::io::{self, Write};
use std::ops::Range;

/// The blanks between the tokens of a value.
#[derive(Default)]
pub struct Gaps(pub Vec<(u32, u32)>);

impl Sink for Gaps {
    fn begin(&mut self) {
        self.0.clear();
    }

    #[inline]
    fn gap(&mut self, at: Range<usize>) {
        self.0.push((at.start as u32, at.end as u32));
    }
}

/// The pieces of `at` around the gaps, which lie within.
#[inline]
pub fn without_gaps(at: Range<usize>, gaps: &[(u32, u32)], mut put: impl FnMut(Range<usize>)) {
    let mut from = at.start;
    for (start, end) in gaps {
        put(from..*start as usize);
        from = *end as usize;
    }
    put(from..at.end);
}

/// Copied at a time, whether or not all of it is needed: quicker than asking.
const SHORT: usize = 16;

/// Gathers output, so that the store sees whole blocks.
pub struct Blocks<'a> {
    bytes: Vec<u8>,
    /// Of them, what is to be written.
    len: usize,
    output: &'a mut dyn Write,
}

impl<'a> Blocks<'a> {
    pub fn new(output: &'a mut dyn Write) -> Self {
        Blocks { bytes: Vec::new(), len: 0, output }
    }

    /// Of what is not passed on.
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.make_room(1);
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    #[inline]
    pub fn put(&mut self, piece: &[u8]) {
        self.make_room(piece.len());
        self.bytes[self.len..self.len + piece.len()].copy_from_slice(piece);
        self.len += piece.len();
    }

    /// As `put(&bytes[at])`; a short piece is copied together with what is behind it.
    #[inline]
    pub fn put_within(&mut self, bytes: &[u8], at: Range<usize>) {
        let count = at.len();
        match bytes.get(at.start..at.start + SHORT) {
            Some(short) if count <= SHORT => {
                self.make_room(count);
                self.bytes[self.len..self.len + SHORT].copy_from_slice(short);
                self.len += count;
            }
            _ => self.put(&bytes[at]),
        }
    }

    #[inline]
    fn make_room(&mut self, count: usize) {
        if self.bytes.len() - self.len < count + SHORT {
            self.grow(count + SHORT);
        }
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        self.bytes.resize((2 * self.bytes.len()).max(self.len + count), 0);
    }

    /// Call it after each record: a record may be larger than a block.
    #[inline]
    pub fn pass_on(&mut self) -> io::Result<()> {
        if self.len >= IO_BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.output.write_all(&self.bytes[..self.len])?;
        self.len = 0;
        Ok(())
    }
}
