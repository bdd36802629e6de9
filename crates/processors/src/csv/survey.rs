//! Reads an input once and names for each border the first record that starts at or behind it, with its line and number.
//!
//! Counts on bits, 64 bytes at a time. Never fails for what is in the file: the chunk that meets a fault says so, in the
//! words that one pass would use. The first chunk holds the header, and of a JSON array the first good record.

use super::marks::{BLOCK, Marks};
use super::place::lines_in;
use super::quotes::Quotes;
use super::records::{Rest, record_starts};
use super::settings::{Settings, To};
use filemill_core::chunks::{ChunkPlan, Start, Survey};
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::ProcessError;
use serde_json::Value;
use std::io::{self, ErrorKind, Read};
use std::iter::Peekable;

pub fn survey(settings: &Settings, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
    let mut starts = vec![Start::FIRST];
    let mut note = Value::Null;
    match head(settings, input, plan.input_bytes) {
        Ok(Some((found, rest))) => {
            note = found;
            Scan::new(settings, rest, plan.borders().peekable(), &mut starts).run()?;
        }
        Ok(None) | Err(ProcessError::Failed(_)) => {}
        Err(e) => return Err(e),
    }
    Ok(Survey { starts, note })
}

/// What the first chunk must hold, and what later ones must know of it; `None`: the input is one chunk.
fn head<'r>(
    settings: &Settings,
    input: &'r mut dyn Read,
    bytes: u64,
) -> Result<Option<(Value, Rest<'r>)>, ProcessError> {
    let Some((mut records, head, table)) = settings.open(input, bytes)? else { return Ok(None) };
    let Some(note) = head.note() else { return Ok(None) };
    if settings.to == To::Json {
        let mut scratch = Vec::new();
        loop {
            if !records.advance()? {
                return Ok(None);
            }
            match settings.judge(&mut records, &table, &mut scratch)? {
                None => break,
                Some(fault) if settings.rejects(&fault) => {}
                Some(_) => return Ok(None),
            }
        }
    }
    Ok(Some((note, records.into_rest())))
}

struct Scan<'a, 'r, B: Iterator<Item = u64>> {
    settings: &'a Settings,
    input: io::Chain<io::Cursor<Vec<u8>>, &'r mut dyn Read>,
    borders: Peekable<B>,
    starts: &'a mut Vec<Start>,
    quotes: Quotes,
    /// 1 if the byte before was a line end.
    after_newline: u64,
    before: u8,
    /// Where the buffer starts.
    at: Start,
}

impl<'a, 'r, B: Iterator<Item = u64>> Scan<'a, 'r, B> {
    fn new(settings: &'a Settings, rest: Rest<'r>, borders: Peekable<B>, starts: &'a mut Vec<Start>) -> Self {
        Scan {
            settings,
            input: io::Cursor::new(rest.ahead).chain(rest.input),
            borders,
            starts,
            quotes: Quotes::at_record_start(),
            after_newline: 1,
            before: rest.before,
            at: rest.start,
        }
    }

    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; IO_BLOCK_BYTES];
        while self.borders.peek().is_some() {
            let filled = fill(&mut self.input, &mut buffer)?;
            if filled == 0 {
                break;
            }
            let records = self.buffer(&mut buffer, filled);
            self.at.record += records;
            self.at.line += lines_in(self.before, &buffer[..filled]);
            self.at.at += filled as u64;
            self.before = buffer[filled - 1];
        }
        Ok(())
    }

    /// Returns how many records start in it.
    fn buffer(&mut self, buffer: &mut [u8], filled: usize) -> u64 {
        let mut records = 0;
        let mut border = self.borders.peek().copied().unwrap_or(u64::MAX);
        for from in (0..filled).step_by(BLOCK) {
            let block = buffer[from..].first_chunk().expect("the buffer is whole blocks");
            let len = (filled - from).min(BLOCK);
            let mut marks = Marks::of(block, self.settings.syntax);
            if len < BLOCK {
                marks = marks.first(len);
            }
            let ends = self.quotes.block(marks);
            let mut starts = record_starts(marks.newline, ends, self.after_newline, len);
            self.after_newline = ends.newlines >> 63;
            let end = self.at.at + (from + len) as u64;
            while border < end && starts != 0 {
                let bit = starts.trailing_zeros() as usize;
                let start = self.at.at + (from + bit) as u64;
                if border <= start {
                    let line = self.at.line + lines_in(self.before, &buffer[..from + bit]);
                    self.starts.push(Start { at: start, line, record: self.at.record + records });
                    while self.borders.next_if(|border| *border <= start).is_some() {}
                    border = self.borders.peek().copied().unwrap_or(u64::MAX);
                }
                starts &= starts - 1;
                records += 1;
            }
            records += u64::from(starts.count_ones());
        }
        records
    }
}

/// As much as there is.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
