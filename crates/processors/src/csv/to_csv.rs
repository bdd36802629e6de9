//! Writes records as CSV by RFC 4180: a cell that is well written stays as it is written, quotes included; any other is
//! quoted where it must be.
//!
//! With the guard, a cell that a spreadsheet would take for a formula gets a single quote before it.

use super::field::{self, Shape};
use super::output::Output;
use super::record::Record;
use super::records::BOM;
use super::settings::{LineEnd, Settings};
use super::table::Table;
use std::io;

const QUOTE: u8 = b'"';

pub struct ToCsv {
    delimiter: u8,
    quote: Option<u8>,
    line_end: Vec<u8>,
    guards: bool,
    /// What is well written in the input is so in the output.
    keeps_quoted: bool,
    keeps_plain: bool,
    /// A record that is well written can stay as it is.
    keeps_records: bool,
    is_single: bool,
    sources: Vec<usize>,
    scratch: Vec<u8>,
    pub guarded_cells: u64,
}

impl ToCsv {
    pub fn new(table: &Table, settings: &Settings) -> Self {
        let keeps_quoted = settings.syntax.quote == Some(QUOTE);
        let keeps_plain = keeps_quoted && settings.output_delimiter == settings.syntax.delimiter;
        let line_end = match settings.line_end {
            LineEnd::Keep => table.line_end.as_bytes(),
            LineEnd::Lf => b"\n",
            LineEnd::Crlf => b"\r\n",
        };
        ToCsv {
            delimiter: settings.output_delimiter,
            quote: settings.syntax.quote,
            line_end: line_end.to_vec(),
            guards: settings.formula_guard,
            keeps_quoted,
            keeps_plain,
            keeps_records: keeps_plain && table.is_whole,
            is_single: table.columns.len() == 1,
            sources: table.columns.iter().map(|column| column.source).collect(),
            scratch: Vec::new(),
            guarded_cells: 0,
        }
    }

    pub fn header(&mut self, table: &Table, out: &mut Output<'_>) -> io::Result<()> {
        for (index, column) in table.columns.iter().enumerate() {
            self.delimit(index, out)?;
            match &column.cell {
                Some(cell) => self.cell(index, cell, out)?,
                None => self.text(index, &column.name, out)?,
            }
        }
        out.put(&self.line_end)
    }

    #[inline]
    pub fn record(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> io::Result<()> {
        let raw = record.raw();
        let is_kept = self.keeps_records
            && record.len() == self.sources.len()
            && !raw.starts_with(BOM)
            && !(self.guards && may_have_formula(record));
        if is_kept && (!record.has_quotes || self.is_well_written(raw)) {
            out.put(raw)?;
            return out.put(&self.line_end);
        }
        let has_delimiter = || !self.keeps_plain && memchr::memchr(self.delimiter, raw).is_some();
        let keeps_plain = self.keeps_quoted && !self.guards && !record.has_quotes && !has_delimiter();
        for index in 0..self.sources.len() {
            self.delimit(index, out)?;
            let (from, to) = record.span(self.sources[index]);
            if keeps_plain && index != 0 {
                out.put_span(record.bytes, from, to)?;
            } else {
                self.cell(index, &record.bytes[from..to], out)?;
            }
        }
        out.put(&self.line_end)
    }

    /// Are all quotes of the record around fields, or doubled within?
    fn is_well_written(&self, raw: &[u8]) -> bool {
        let mut at = 0;
        while let Some(open) = memchr::memchr(QUOTE, &raw[at..]) {
            let open = at + open;
            if open != 0 && raw[open - 1] != self.delimiter {
                return false;
            }
            at = open + 1;
            loop {
                let Some(quote) = memchr::memchr(QUOTE, &raw[at..]) else { return false };
                at += quote + 1;
                match raw.get(at) {
                    None => return true,
                    Some(next) if *next == self.delimiter => break,
                    Some(&QUOTE) => at += 1,
                    Some(_) => return false,
                }
            }
        }
        true
    }

    #[inline]
    fn delimit(&self, index: usize, out: &mut Output<'_>) -> io::Result<()> {
        if index == 0 { Ok(()) } else { out.put(&[self.delimiter]) }
    }

    /// A field as it is written in the input.
    fn cell(&mut self, index: usize, raw: &[u8], out: &mut Output<'_>) -> io::Result<()> {
        match Shape::of(raw, self.quote) {
            // a plain field has no line end
            Shape::Plain
                if self.keeps_quoted && index != 0 && memchr::memchr2(QUOTE, self.delimiter, raw).is_none() =>
            {
                if self.is_formula(raw) {
                    out.put(b"'")?;
                }
                out.put(raw)
            }
            Shape::Plain => self.text(index, raw, out),
            Shape::Quoted | Shape::Doubled if self.keeps_quoted => {
                if self.is_formula(&raw[1..raw.len() - 1]) {
                    out.put(b"\"'")?;
                    return out.put(&raw[1..]);
                }
                out.put(raw)
            }
            _ => {
                let mut scratch = std::mem::take(&mut self.scratch);
                let written = self.text(index, field::content(raw, self.quote, &mut scratch), out);
                self.scratch = scratch;
                written
            }
        }
    }

    /// What a cell says, with quotes where they are needed: a record of one empty cell would be a blank line, and a mark
    /// that stands first in a file would be none of the cell's.
    fn text(&mut self, index: usize, text: &[u8], out: &mut Output<'_>) -> io::Result<()> {
        let is_special = |byte: &u8| matches!(*byte, QUOTE | b'\r' | b'\n') || *byte == self.delimiter;
        let is_ambiguous = (text.is_empty() && self.is_single) || (index == 0 && text.starts_with(BOM));
        let is_quoted = is_ambiguous || text.iter().any(is_special);
        if is_quoted {
            out.put(&[QUOTE])?;
        }
        if self.is_formula(text) {
            out.put(b"'")?;
        }
        if !is_quoted {
            return out.put(text);
        }
        let mut from = 0;
        for at in memchr::memchr_iter(QUOTE, text) {
            out.put(&text[from..=at])?;
            from = at;
        }
        out.put(&text[from..])?;
        out.put(&[QUOTE])
    }

    /// Counts it, too.
    fn is_formula(&mut self, text: &[u8]) -> bool {
        let is_formula = self.guards && text.first().is_some_and(|byte| starts_formula(*byte));
        self.guarded_cells += u64::from(is_formula);
        is_formula
    }
}

/// By OWASP ASVS 5.0, 1.2.10, which excepts no numbers; CR is an addition of OWASP's page on CSV injection.
#[inline(always)]
fn starts_formula(byte: u8) -> bool {
    matches!(byte, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | 0)
}

/// Only a look at where its fields start.
fn may_have_formula(record: &Record<'_>) -> bool {
    let mut from = record.from;
    record.ends().any(|end| {
        let is_quoted = record.bytes[from] == QUOTE;
        let at = from + usize::from(is_quoted);
        from = end + 1;
        at < end && starts_formula(record.bytes[at])
    })
}
