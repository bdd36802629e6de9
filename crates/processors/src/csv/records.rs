//! Reads CSV record by record, with the place of each: byte, line and number.
//!
//! Borrows from one large buffer; a record is the ends of its fields in there, nothing is copied or unescaped. Records are
//! those of the `csv` crate: CR, LF and CRLF end them, blank lines are none. A quoted field that never ends is an error.
//! The buffer grows with a record up to its limit and no further.

use super::marks::{BLOCK, Marks, Syntax, bits_below};
use super::place::{Place, lines_in};
use super::quotes::{Ends, Quotes};
use super::record::Record;
use filemill_core::chunks::Start;
use filemill_core::limits::{COLUMNS_MAX, IO_BLOCK_BYTES, RECORD_BYTES_MAX};
use filemill_core::ports::ProcessError;
use std::io::{self, ErrorKind, Read};

/// Readable bytes behind the last one of the input, so that whole blocks can be taken anywhere.
const PADDING: usize = BLOCK;
const BUFFER_BYTES_MAX: usize = RECORD_BYTES_MAX + IO_BLOCK_BYTES;
pub const BOM: &[u8] = b"\xef\xbb\xbf";

pub struct Records<'r> {
    input: &'r mut dyn Read,
    syntax: Syntax,
    bytes: Vec<u8>,
    /// Bytes of the input in the buffer; padding and leftovers are behind.
    filled: usize,
    has_ended: bool,
    /// Byte of the input that stands first in the buffer.
    origin: u64,
    quotes: Quotes,
    /// The block being walked: where it starts, what of it is still to come, and where the next one starts.
    block: usize,
    ends: Ends,
    quote_bits: u64,
    scanned: usize,
    /// The current record, its line end apart, and the byte behind that.
    from: usize,
    to: usize,
    next: usize,
    fields: Vec<u32>,
    has_quotes: bool,
    /// A place in the buffer whose line is known, and the byte before the buffer.
    lines_known: (usize, u64),
    before: u8,
    record: u64,
    awaits_header: bool,
    is_held: bool,
    /// The bytes before are UTF-8, or were found not to be. Nothing is checked without.
    utf8: Option<usize>,
    is_utf8: bool,
}

/// What follows a record: perhaps the LF of its CRLF, then the next one.
pub struct Rest<'r> {
    pub start: Start,
    pub before: u8,
    /// Bytes that were read ahead.
    pub ahead: Vec<u8>,
    pub input: &'r mut dyn Read,
}

impl<'r> Records<'r> {
    /// `input` starts at `start`, the first byte of a record, and has about `bytes` bytes.
    pub fn new(input: &'r mut dyn Read, syntax: Syntax, start: Start, bytes: u64) -> Self {
        let size = usize::try_from(bytes).unwrap_or(usize::MAX).clamp(BLOCK, IO_BLOCK_BYTES);
        Records {
            input,
            syntax,
            bytes: vec![0; size + PADDING],
            filled: 0,
            has_ended: false,
            origin: start.at,
            quotes: Quotes::at_record_start(),
            block: 0,
            ends: Ends::default(),
            quote_bits: 0,
            scanned: 0,
            from: 0,
            to: 0,
            next: 0,
            fields: Vec::new(),
            has_quotes: false,
            lines_known: (0, start.line),
            before: 0,
            record: start.record,
            awaits_header: false,
            is_held: false,
            utf8: None,
            is_utf8: true,
        }
    }

    /// Each record says from now on whether it is UTF-8.
    pub fn checking_utf8(mut self) -> Self {
        self.utf8 = Some(0);
        self
    }

    /// The first record is a header, which is not counted.
    pub fn with_header(mut self) -> Self {
        self.awaits_header = true;
        self
    }

    /// A byte order mark at the start of a file is no part of it.
    pub fn skip_bom(&mut self) -> io::Result<()> {
        self.fill()?;
        if self.bytes[..self.filled].starts_with(BOM) {
            (self.next, self.from, self.scanned) = (BOM.len(), BOM.len(), BOM.len());
        }
        Ok(())
    }

    /// To the next record. `false`: there is none.
    pub fn advance(&mut self) -> Result<bool, ProcessError> {
        if std::mem::take(&mut self.is_held) {
            return Ok(true);
        }
        self.from = self.next;
        self.fields.clear();
        self.has_quotes = false;
        loop {
            if self.walk_block() {
                return self.found();
            }
            if !self.next_block()? {
                return self.last();
            }
        }
    }

    /// The current record comes again.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    pub fn current(&self) -> Record<'_> {
        let Records { bytes, from, to, fields, has_quotes, is_utf8, .. } = self;
        Record { bytes, from: *from, to: *to, fields, has_quotes: *has_quotes, is_utf8: *is_utf8 }
    }

    /// Where the current record is.
    pub fn place(&mut self) -> Place {
        // kept, so that a file of nothing but rejects is not counted again and again
        self.lines_known = (self.from, self.line_at(self.from));
        Place { record: self.record, line: self.lines_known.1, byte: self.origin + self.from as u64 }
    }

    /// The line where the byte at `at` of the buffer stands, in or behind the current record.
    pub fn line_at(&self, at: usize) -> u64 {
        let (known_at, line) = self.lines_known;
        let before = if known_at == 0 { self.before } else { self.bytes[known_at - 1] };
        line + lines_in(before, &self.bytes[known_at..at])
    }

    /// The byte of the input that stands at `at` of the buffer.
    pub fn byte_at(&self, at: usize) -> u64 {
        self.origin + at as u64
    }

    /// How the current record ends: with CR, LF or CRLF; `None` at the end of the input.
    pub fn line_end(&mut self) -> io::Result<Option<&'static [u8]>> {
        if self.to + 1 >= self.filled && !self.has_ended {
            self.make_room();
            self.fill()?;
        }
        Ok(match &self.bytes[self.to..self.filled] {
            [] => None,
            [b'\r', b'\n', ..] => Some(b"\r\n"),
            [b'\r', ..] => Some(b"\r"),
            _ => Some(b"\n"),
        })
    }

    /// Ends the reading behind the current record.
    pub fn into_rest(self) -> Rest<'r> {
        let start = Start { at: self.byte_at(self.next), line: self.line_at(self.next), record: self.record };
        let before = if self.next == 0 { self.before } else { self.bytes[self.next - 1] };
        Rest { start, before, ahead: self.bytes[self.next..self.filled].to_vec(), input: self.input }
    }

    /// Takes the fields that end in the block. `true`: so does the record.
    #[inline]
    fn walk_block(&mut self) -> bool {
        let Ends { mut fields, newlines } = self.ends;
        while fields != 0 {
            let bit = fields & fields.wrapping_neg();
            let at = self.block + fields.trailing_zeros() as usize;
            fields ^= bit;
            if newlines & bit == 0 {
                self.fields.push(at as u32);
            } else if at == self.from {
                self.from = at + 1;
            } else {
                self.fields.push(at as u32);
                (self.to, self.next) = (at, at + 1);
                self.has_quotes |= self.quote_bits & (bit - 1) != 0;
                self.quote_bits &= !(bit - 1);
                self.ends.fields = fields;
                return true;
            }
        }
        self.ends.fields = 0;
        self.has_quotes |= self.quote_bits != 0;
        // it is an error once the record ends; until then its fields take no more memory
        self.fields.truncate(COLUMNS_MAX + 1);
        false
    }

    #[inline]
    fn next_block(&mut self) -> Result<bool, ProcessError> {
        if self.filled - self.scanned < BLOCK && !self.has_ended {
            if self.scanned - self.from > RECORD_BYTES_MAX {
                self.count();
                return Err(self.too_long());
            }
            self.make_room();
            self.fill()?;
        }
        let left = self.filled - self.scanned;
        if left == 0 {
            return Ok(false);
        }
        let block = self.bytes[self.scanned..].first_chunk().expect("the padding is one block");
        let mut marks = Marks::of(block, self.syntax);
        if left < BLOCK {
            marks = marks.first(left);
        }
        self.ends = self.quotes.block(marks);
        self.quote_bits = marks.quote;
        self.block = self.scanned;
        self.scanned += left.min(BLOCK);
        Ok(true)
    }

    fn count(&mut self) {
        if !std::mem::take(&mut self.awaits_header) {
            self.record += 1;
        }
    }

    /// A record's end was found.
    #[inline]
    fn found(&mut self) -> Result<bool, ProcessError> {
        self.count();
        if self.to - self.from > RECORD_BYTES_MAX {
            return Err(self.too_long());
        }
        if self.fields.len() > COLUMNS_MAX {
            let place = self.place();
            return Err(place.too_large(format_args!("has more than {COLUMNS_MAX} columns")));
        }
        if let Some(checked) = self.utf8 {
            self.is_utf8 = checked >= self.to || self.check_utf8(checked);
        }
        Ok(true)
    }

    /// The input ended, perhaps within a record.
    fn last(&mut self) -> Result<bool, ProcessError> {
        if self.from == self.filled {
            return Ok(false);
        }
        let is_within_limits = self.filled - self.from <= RECORD_BYTES_MAX && self.fields.len() <= COLUMNS_MAX;
        if self.quotes.is_open() && is_within_limits {
            return Err(self.unclosed());
        }
        self.fields.push(self.filled as u32);
        (self.to, self.next) = (self.filled, self.filled);
        self.found()
    }

    fn check_utf8(&mut self, checked: usize) -> bool {
        let from = checked.max(self.from);
        let good = match std::str::from_utf8(&self.bytes[from..self.filled]) {
            Ok(_) => self.filled,
            Err(e) => from + e.valid_up_to(),
        };
        self.utf8 = Some(good);
        good >= self.to
    }

    /// For at least one more block.
    fn make_room(&mut self) {
        self.drop_front();
        let size = self.bytes.len() - PADDING;
        if size - self.scanned < BLOCK {
            self.bytes.resize((2 * size).min(BUFFER_BYTES_MAX) + PADDING, 0);
        }
    }

    /// What is before the current record goes. Of the block that was walked nothing is still to come.
    fn drop_front(&mut self) {
        let gone = self.from;
        if gone == 0 {
            return;
        }
        self.lines_known = (0, self.place().line);
        self.before = self.bytes[gone - 1];
        self.bytes.copy_within(gone..self.filled, 0);
        for end in &mut self.fields {
            *end -= gone as u32;
        }
        for at in [&mut self.filled, &mut self.scanned, &mut self.from, &mut self.to, &mut self.next] {
            *at = at.saturating_sub(gone);
        }
        self.origin += gone as u64;
        self.utf8 = self.utf8.map(|checked| checked.saturating_sub(gone));
    }

    /// Reads until there is a block to scan, or the input ends.
    fn fill(&mut self) -> io::Result<()> {
        let size = self.bytes.len() - PADDING;
        while !self.has_ended && self.filled < size && self.filled - self.scanned < BLOCK {
            match self.input.read(&mut self.bytes[self.filled..size]) {
                Ok(read) => {
                    self.filled += read;
                    self.has_ended = read == 0;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn unclosed(&mut self) -> ProcessError {
        self.count();
        let start = self.fields.last().map_or(self.from, |end| *end as usize + 1);
        let (line, byte, column) = (self.line_at(start), self.byte_at(start), self.fields.len() + 1);
        self.place().invalid(format_args!(
            "the quoted field that begins at line {line}, byte {byte} (column {column}) has no closing quote"
        ))
    }

    /// The same words however much of the record was read.
    fn too_long(&mut self) -> ProcessError {
        let limit = self.from + RECORD_BYTES_MAX;
        let within = self.fields.iter().take(COLUMNS_MAX + 1).take_while(|end| (**end as usize) < limit).last();
        let start = within.map_or(self.from, |end| *end as usize + 1);
        let (line, byte) = (self.line_at(start), self.byte_at(start));
        let hint = if Some(self.bytes[start]) == self.syntax.quote {
            format!("; the quoted field that begins at line {line}, byte {byte} may lack its closing quote")
        } else {
            String::new()
        };
        self.place().too_large(format_args!("is longer than {} MiB{hint}", RECORD_BYTES_MAX >> 20))
    }
}

/// Which bytes of a block of `len` start a record: the first behind a line end that is none itself.
#[inline]
pub fn record_starts(newlines: u64, ends: Ends, after_newline: u64, len: usize) -> u64 {
    !newlines & (ends.newlines << 1 | after_newline) & bits_below(len)
}
