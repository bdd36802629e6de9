//! The records of a JSON input, one at a time: the elements of an array, the lines of JSON Lines, or one object.
//!
//! Streaming: one record and one block are in memory. Strict: what is no JSON is a fault of its record where the next one
//! can still be found (a line), and else the end. What a record means is not decided here.

use super::fault::{Fault, Flaw, Place, Stop};
use super::scan::{Scanner, Sink, blanks_at, is_blank};
use super::window::{Line, Window};
use filemill_core::limits::RECORD_BYTES_MAX;
use filemill_core::ports::{Chunk, ProcessError};
use serde::Deserialize;
use std::io::Read;

/// The option `from`: how records stand in the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// An array if the first byte that is not blank is `[`, lines otherwise.
    #[default]
    Auto,
    /// Or one object, which is an array of one.
    Array,
    Lines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Lines,
    /// Behind the `[`.
    First,
    /// Behind an element.
    Next,
    /// Before the only object.
    Single,
    /// Behind the array or the only object.
    Behind,
    End,
}

pub struct Records<'a> {
    window: Window<'a>,
    layout: Layout,
    state: State,
    /// Records before the next one.
    record: u64,
    /// The last record and its line end, passed over with the next call.
    pending: usize,
    until: u64,
    scanner: Scanner,
}

/// A record, or what stands in its place.
pub struct Record<'a> {
    /// Without blanks around it.
    pub bytes: &'a [u8],
    pub start: Place,
    /// Why it is no JSON, or none that can be used.
    pub fault: Option<Fault>,
}

impl Record<'_> {
    /// The whole record is at fault.
    pub fn unusable(&self, words: String, column: Option<String>) -> Fault {
        Fault { code: "input_invalid", words, place: self.start, column }
    }
}

impl<'a> Records<'a> {
    pub fn new(input: &'a mut dyn Read, layout: Layout, chunk: &Chunk<'_>) -> Self {
        let range = &chunk.range;
        let window = Window::new(input, range.end.saturating_sub(range.start), range.start, chunk.line);
        // an array is one chunk
        let state = if range.start > 0 { State::Lines } else { State::Start };
        Records {
            window,
            layout,
            state,
            record: chunk.record,
            pending: 0,
            until: u64::MAX,
            scanner: Scanner::default(),
        }
    }

    /// Only records that start before this byte.
    pub fn stop_at(&mut self, byte: u64) {
        self.until = byte;
    }

    /// Decides what the input is; `sink` is told of the next record's parts.
    pub fn next<S: Sink>(&mut self, sink: &mut S) -> Result<Option<Record<'_>>, ProcessError> {
        let pending = std::mem::take(&mut self.pending);
        match self.state {
            State::Start => self.begin()?,
            State::Lines if pending > 0 => self.window.pass_line(pending),
            _ => self.window.pass(pending),
        }
        match self.state {
            State::Lines => self.next_line(sink),
            _ => self.next_element(sink),
        }
    }

    /// May it be cut at lines? Reads up to the first byte that tells.
    pub fn are_lines(&mut self) -> Result<bool, ProcessError> {
        if self.state == State::Start {
            self.begin()?;
        }
        Ok(self.state == State::Lines)
    }

    fn begin(&mut self) -> Result<(), ProcessError> {
        self.window.skip_byte_order_mark()?;
        if self.layout == Layout::Lines {
            self.state = State::Lines;
            return Ok(());
        }
        let first = self.window.skip_blanks(self.until)?;
        self.state = match (self.layout, first) {
            (_, Some(b'[')) => State::First,
            (Layout::Auto, _) => State::Lines,
            (_, Some(b'{')) => State::Single,
            (_, None) => return Err(self.outside("there is no JSON in it")),
            (_, Some(_)) => return Err(self.outside(&self.expected("`[` or `{`"))),
        };
        if self.state == State::First {
            self.window.pass(1);
        }
        Ok(())
    }

    fn next_line<S: Sink>(&mut self, sink: &mut S) -> Result<Option<Record<'_>>, ProcessError> {
        let (from, line, with_end) = loop {
            if self.window.at >= self.until {
                return Ok(None);
            }
            let (line, with_end) = match self.window.line()? {
                Line::Bytes(line, with_end) => (line, with_end),
                Line::TooLong => return Err(self.place(self.record + 1, 0).record_too_long()),
                Line::None => return Ok(None),
            };
            let blanks = blanks_at(&self.window.bytes()[..line]);
            if blanks < line {
                break (blanks, line, with_end);
            }
            self.window.pass_line(with_end);
        };
        self.record += 1;
        self.pending = with_end;
        let start = self.place(self.record, from);
        let bytes = without_blanks_behind(&self.window.bytes()[from..line]);
        let stop = match self.scanner.value(bytes, sink) {
            Ok(end) if end < bytes.len() => Some(Stop { flaw: Flaw::Behind, at: end + blanks_at(&bytes[end..]) }),
            Ok(_) => self.scanner.flaw,
            Err(stop) => Some(stop),
        };
        let fault = stop.map(|stop| line_fault(stop, start, bytes));
        Ok(Some(Record { bytes, start, fault }))
    }

    fn next_element<S: Sink>(&mut self, sink: &mut S) -> Result<Option<Record<'_>>, ProcessError> {
        if self.state == State::End || !self.find_element()? {
            return Ok(None);
        }
        let scanned = loop {
            let bytes = self.window.bytes();
            let scanned = self.scanner.value(bytes, sink);
            let ran_out = match scanned {
                Ok(end) => end == bytes.len(),
                Err(stop) => stop.flaw == Flaw::Ended,
            };
            if !ran_out || self.window.is_last {
                break scanned;
            }
            if bytes.len() > RECORD_BYTES_MAX {
                return Err(self.place(self.record + 1, 0).record_too_long());
            }
            self.window.much_more()?;
        };
        self.record += 1;
        let end = match scanned {
            Ok(end) if end > RECORD_BYTES_MAX => return Err(self.place(self.record, 0).record_too_long()),
            Ok(end) => end,
            Err(stop) => {
                let words = stop.words(self.window.bytes());
                return Err(self.place(self.record, stop.at).error(stop.code(), &words));
            }
        };
        self.state = if self.state == State::Single { State::Behind } else { State::Next };
        self.pending = end;
        let start = self.place(self.record, 0);
        let bytes = &self.window.bytes()[..end];
        let place = |stop: Stop| self.place(self.record, stop.at);
        let fault = self.scanner.flaw.map(|stop| Fault {
            code: stop.code(),
            words: stop.words(bytes),
            place: place(stop),
            column: None,
        });
        Ok(Some(Record { bytes, start, fault }))
    }

    /// Passes over what stands between elements. False: there is no further one.
    fn find_element(&mut self) -> Result<bool, ProcessError> {
        let found = self.window.skip_blanks(self.until)?;
        if self.window.at >= self.until {
            return Ok(false);
        }
        match (self.state, found) {
            (State::Behind, None) => {
                self.state = State::End;
                Ok(false)
            }
            (State::Behind, Some(_)) => Err(self.outside(&(self.expected("the end of the file") + AFTER))),
            (_, None) => Err(self.outside("the file ends inside of the array")),
            (State::First | State::Next, Some(b']')) => {
                self.window.pass(1);
                self.state = State::Behind;
                self.find_element()
            }
            (State::Next, Some(b',')) => {
                self.window.pass(1);
                let found = self.window.skip_blanks(self.until)?;
                match found {
                    _ if self.window.at >= self.until => Ok(false),
                    Some(b']') => Err(self.outside("a comma stands before the end of the array")),
                    None => Err(self.outside("the file ends inside of the array")),
                    Some(_) => Ok(true),
                }
            }
            (State::Next, Some(_)) => Err(self.outside(&self.expected("`,` or `]` behind an element"))),
            _ => Ok(true),
        }
    }

    /// A fault of the array itself, here.
    fn outside(&self, words: &str) -> ProcessError {
        self.place(0, 0).error("input_invalid", words)
    }

    /// Something else stands here than `what`.
    fn expected(&self, what: &'static str) -> String {
        Stop { flaw: Flaw::Expected(what), at: 0 }.words(self.window.bytes())
    }

    /// Of a byte in the window.
    fn place(&self, record: u64, at: usize) -> Place {
        let before = &self.window.bytes()[..at.min(self.window.bytes().len())];
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        Place { record, line: self.window.line + lines, byte: self.window.at + at as u64 }
    }
}

fn without_blanks_behind(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !is_blank(*b)).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Said where the guess of [`Layout::Auto`] may have been wrong.
const AFTER: &str =
    " (the input is read as one array or object; if each line is a record of its own, set from = \"lines\")";
const BEFORE: &str = " (each line is read as a record of its own; if the file is one JSON object over several lines, set from = \"array\")";

fn line_fault(stop: Stop, start: Place, bytes: &[u8]) -> Fault {
    let mut words = stop.words(bytes);
    if stop.flaw == Flaw::Ended && start.record == 1 {
        words.push_str(BEFORE);
    }
    Fault { code: stop.code(), words, place: Place { byte: start.byte + stop.at as u64, ..start }, column: None }
}
