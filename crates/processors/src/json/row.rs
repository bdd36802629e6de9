//! Rows of CSV (RFC 4180) from records: a cell is quoted where it has to be, and nothing in it is changed, unless the
//! guard against formulas is on.
//!
//! A row of one empty cell is written as `""`, because readers pass over an empty line. A first character U+FEFF is
//! quoted, because readers would take it for a byte order mark.

use super::compact::{Blocks, without_gaps};
use super::flat::{Cell, Flat};
use super::scan::Kind;
use super::token;
use super::window::BYTE_ORDER_MARK;

#[derive(Clone, Copy, Debug)]
pub struct CsvFormat {
    pub delimiter: u8,
    pub line_end: &'static [u8],
    /// A text that a spreadsheet would run as a formula gets a leading single quote.
    pub guards_formulas: bool,
}

pub struct Rows {
    format: CsvFormat,
    scratch: Vec<u8>,
    /// Cells that got a leading quote.
    pub guarded: u64,
}

impl Rows {
    pub fn new(format: CsvFormat) -> Self {
        Rows { format, scratch: Vec::new(), guarded: 0 }
    }

    pub fn header(&mut self, names: &[String], out: &mut Blocks<'_>) {
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                out.push(self.format.delimiter);
            }
            self.text(name.as_bytes(), out);
        }
        self.end(names.len() == 1 && names[0].is_empty(), out);
    }

    #[inline]
    pub fn row(&mut self, record: &[u8], flat: &Flat, out: &mut Blocks<'_>) {
        let start = out.len();
        let mut is_first = true;
        for cell in flat.row() {
            if !is_first {
                out.push(self.format.delimiter);
            }
            is_first = false;
            if let Some(cell) = cell {
                self.cell(record, cell, flat, out);
            }
        }
        self.end(out.len() == start, out);
    }

    #[inline]
    fn end(&mut self, is_empty: bool, out: &mut Blocks<'_>) {
        if is_empty {
            out.put(b"\"\"");
        }
        out.put(self.format.line_end);
    }

    #[inline]
    fn cell(&mut self, record: &[u8], cell: &Cell, flat: &Flat, out: &mut Blocks<'_>) {
        let raw = &record[cell.range()];
        match cell.kind {
            Kind::Null => {}
            Kind::True | Kind::False | Kind::Number => out.put_within(record, cell.range()),
            // it has no quote and no line end, so only the delimiter counts
            Kind::Plain if !self.is_special(raw) && !token::holds(record, cell.range(), self.format.delimiter) => {
                out.put_within(record, cell.range());
            }
            Kind::Plain => self.text(raw, out),
            Kind::EmptyObject => self.text(b"{}", out),
            Kind::Escaped | Kind::Array => {
                let mut text = std::mem::take(&mut self.scratch);
                text.clear();
                match cell.kind {
                    Kind::Escaped => token::unescape(raw, &mut text),
                    _ => without_gaps(cell.range(), flat.gaps(cell), |piece| text.extend_from_slice(&record[piece])),
                }
                self.text(&text, out);
                self.scratch = text;
            }
        }
    }

    /// Does its first byte ask for a closer look?
    #[inline]
    fn is_special(&self, text: &[u8]) -> bool {
        match text.first() {
            Some(byte) => (self.format.guards_formulas && starts_formula(*byte)) || *byte == BYTE_ORDER_MARK[0],
            None => false,
        }
    }

    fn text(&mut self, text: &[u8], out: &mut Blocks<'_>) {
        let is_guarded = self.format.guards_formulas && text.first().is_some_and(|b| starts_formula(*b));
        self.guarded += u64::from(is_guarded);
        let guard: &[u8] = if is_guarded { b"'" } else { b"" };
        let needs_quotes = memchr::memchr3(b'"', b'\n', b'\r', text).is_some()
            || memchr::memchr(self.format.delimiter, text).is_some()
            || text.starts_with(BYTE_ORDER_MARK);
        if !needs_quotes {
            out.put(guard);
            out.put(text);
            return;
        }
        out.push(b'"');
        out.put(guard);
        let mut from = 0;
        for quote in memchr::memchr_iter(b'"', text) {
            out.put(&text[from..=quote]);
            from = quote;
        }
        out.put(&text[from..]);
        out.push(b'"');
    }
}

/// OWASP: what makes a spreadsheet calculate, or skip ahead to what does.
fn starts_formula(byte: u8) -> bool {
    matches!(byte, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | 0)
}
