//! Writes records as JSON objects: one a line, or an array with one a line.
//!
//! Keys are made once, with all that stands between two values. Of an array each chunk writes its records with what
//! separates them from those before; the first holds the first record, which is why a survey looks for it.

use super::field::{self, Shape};
use super::output::{Output, Padded, json_string};
use super::record::Record;
use super::table::{Table, unique_names};
use super::values::Kind;
use filemill_core::ports::{Chunk, ProcessError};
use std::io;

pub struct ToJson {
    columns: Vec<JsonColumn>,
    end: &'static [u8],
    /// All columns in order, and all text: the quick way.
    is_plain: bool,
    quote: Option<u8>,
    scratch: Vec<u8>,
    array: Option<Array>,
}

struct JsonColumn {
    source: usize,
    kind: Kind,
    /// From the end of the value before to the start of this one.
    before: Padded,
}

/// What stands before the next record of an array.
struct Array {
    separator: &'static [u8],
}

impl ToJson {
    pub fn new(table: &Table, quote: Option<u8>, is_array: bool, chunk: &Chunk<'_>) -> Result<Self, ProcessError> {
        let mut columns = Vec::with_capacity(table.columns.len());
        let mut open = &b"{"[..];
        for (column, name) in table.columns.iter().zip(unique_names(&table.columns)) {
            if std::str::from_utf8(&name).is_err() {
                let (column, shown) = (column.source + 1, String::from_utf8_lossy(&name));
                let message =
                    format!("the header: the name of column {column} ({shown:?}) is not UTF-8, which JSON needs");
                return Err(ProcessError::input("input_encoding", message));
            }
            let is_text = column.kind.is_text();
            let value_quote = if is_text { &b"\""[..] } else { b"" };
            let before = Padded::new([open, &json_string(&name), b":", value_quote].concat());
            columns.push(JsonColumn { source: column.source, kind: column.kind, before });
            open = if is_text { b"\"," } else { b"," };
        }
        let ends_with_text = table.columns.last().is_some_and(|column| column.kind.is_text());
        let end = match (ends_with_text, is_array) {
            (true, false) => &b"\"}\n"[..],
            (false, false) => b"}\n",
            (true, true) => b"\"}",
            (false, true) => b"}",
        };
        let array = is_array.then_some(Array { separator: if chunk.index == 0 { b"[\n" } else { b",\n" } });
        let is_plain = table.is_whole && table.columns.iter().all(|column| column.kind.is_text());
        Ok(ToJson { columns, end, is_plain, quote, scratch: Vec::new(), array })
    }

    #[inline]
    pub fn record(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> io::Result<()> {
        if let Some(array) = &mut self.array {
            out.put(array.separator)?;
            array.separator = b",\n";
        }
        if self.is_plain && !record.has_quotes && record.len() == self.columns.len() {
            self.plain_record(record, out)?;
            return out.put(self.end);
        }
        for column in &self.columns {
            out.put_padded(&column.before)?;
            let (from, to) = record.span(column.source);
            let is_quoted = record.has_quotes && from < to && Some(record.bytes[from]) == self.quote;
            if !is_quoted && column.kind.is_text() {
                out.put_escaped(record.bytes, from, to)?;
            } else {
                put_value(record, from, to, column.kind, self.quote, &mut self.scratch, out)?;
            }
        }
        out.put(self.end)
    }

    #[inline]
    fn plain_record(&self, record: &Record<'_>, out: &mut Output<'_>) -> io::Result<()> {
        let mut from = record.from;
        for (column, end) in self.columns.iter().zip(record.ends()) {
            out.put_padded(&column.before)?;
            out.put_escaped(record.bytes, from, end)?;
            from = end + 1;
        }
        Ok(())
    }

    /// Behind the last record of the last chunk.
    pub fn finish(&self, chunk: &Chunk<'_>, out: &mut Output<'_>) -> io::Result<()> {
        match &self.array {
            Some(array) if chunk.is_last => out.put(if array.separator == b"[\n" { b"[]\n" } else { b"\n]\n" }),
            _ => Ok(()),
        }
    }
}

/// A value that is quoted in the input, or that may be more than text.
fn put_value(
    record: &Record<'_>,
    mut from: usize,
    mut to: usize,
    kind: Kind,
    quote: Option<u8>,
    scratch: &mut Vec<u8>,
    out: &mut Output<'_>,
) -> io::Result<()> {
    let mut bytes = record.bytes;
    match (Shape::of(&bytes[from..to], quote), quote) {
        (Shape::Quoted, _) => (from, to) = (from + 1, to - 1),
        (Shape::Doubled | Shape::Loose, Some(quote)) => {
            field::unquote(&bytes[from..to], quote, scratch);
            (from, to) = (0, scratch.len());
            scratch.extend_from_slice(&[0; field::SLACK]);
            bytes = scratch;
        }
        _ => {}
    }
    if kind.is_text() {
        return out.put_escaped(bytes, from, to);
    }
    let text = &bytes[from..to];
    if kind.is_bare(text) {
        out.put_span(bytes, from, to)
    } else if kind.is_strict() {
        out.put(b"null")
    } else {
        out.put(b"\"")?;
        out.put_escaped(bytes, from, to)?;
        out.put(b"\"")
    }
}
