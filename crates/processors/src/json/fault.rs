//! What can be wrong with JSON, and how it is told: in words, with record, line and byte.
//!
//! The scanner only notes a kind and a place; words are made when somebody is going to read them. What to do with a bad
//! record is the transform's decision, by its option `on_bad_record`.

use filemill_core::limits::{JSON_DEPTH_MAX, MIB, RECORD_BYTES_MAX, VALUE_BYTES_MAX};
use filemill_core::ports::{ProcessError, RejectSink};
use filemill_core::reject::Reject;
use serde::Deserialize;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The text ends inside of a value.
    Ended,
    /// Another byte than what is named here.
    Expected(&'static str),
    /// Something stands behind the value.
    Behind,
    Control,
    Escape,
    Literal,
    Number,
    Depth,
    DuplicateKey,
    Surrogate,
    Utf8,
    ValueTooLong,
}

/// A flaw and its byte, counted from the start of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub flaw: Flaw,
    pub at: usize,
}

impl Stop {
    pub fn code(self) -> &'static str {
        match self.flaw {
            Flaw::Utf8 => "input_encoding",
            Flaw::Depth | Flaw::ValueTooLong => "input_too_large",
            _ => "input_invalid",
        }
    }

    /// In words; `bytes` are the record's.
    pub fn words(self, bytes: &[u8]) -> String {
        let found = || shown(bytes, self.at);
        match self.flaw {
            Flaw::Ended => "the JSON ends inside of a value".into(),
            Flaw::Expected(what) => format!("expected {what}, found {}", found()),
            Flaw::Behind => format!("expected the end of the record, found {}", found()),
            Flaw::Control => format!("{} inside of a string must be escaped", found()),
            Flaw::Escape => "there is no such escape in JSON".into(),
            Flaw::Literal => "expected true, false or null".into(),
            Flaw::Number => "this is no number in JSON".into(),
            Flaw::Depth => format!("nested deeper than {JSON_DEPTH_MAX} levels"),
            Flaw::DuplicateKey => format!("the key {} comes twice in one object", key_at(bytes, self.at + 1)),
            Flaw::Surrogate => "half of a surrogate pair, which is no character".into(),
            Flaw::Utf8 => "these bytes are not UTF-8; save the file as UTF-8".into(),
            Flaw::ValueTooLong => format!("a value is longer than {} MiB", VALUE_BYTES_MAX as u64 / MIB),
        }
    }
}

/// The byte there, so that a person recognises it.
fn shown(bytes: &[u8], at: usize) -> String {
    match bytes.get(at) {
        None => "the end".into(),
        Some(b) if b.is_ascii_graphic() => format!("`{}`", char::from(*b)),
        Some(b'\n' | b'\r') => "a line end".into(),
        Some(b) => format!("the byte 0x{b:02x}"),
    }
}

/// The key whose content starts there, as written; cut if it is long.
fn key_at(bytes: &[u8], at: usize) -> String {
    let key = bytes.get(at..).unwrap_or_default();
    let end = memchr::memchr(b'"', key).unwrap_or(key.len());
    clipped(&String::from_utf8_lossy(&key[..end]))
}

/// A name in quotes that fits into a message.
pub fn clipped(name: &str) -> String {
    match name.char_indices().nth(100) {
        Some((cut, _)) => format!("\"{}...\"", &name[..cut]),
        None => format!("\"{name}\""),
    }
}

/// Where something is, for people: records and lines from 1, bytes from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// 0 outside of any record.
    pub record: u64,
    pub line: u64,
    pub byte: u64,
}

impl Place {
    pub fn error(self, code: &str, words: &str) -> ProcessError {
        let Place { record, line, byte } = self;
        match record {
            0 => ProcessError::input(code, format!("line {line}, byte {byte}: {words}")),
            _ => ProcessError::input(code, format!("record {record}, line {line}, byte {byte}: {words}")),
        }
    }

    pub fn record_too_long(self) -> ProcessError {
        self.error("input_too_large", &format!("a record or line is longer than {} MiB", RECORD_BYTES_MAX as u64 / MIB))
    }
}

/// A record that can be set aside, with the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: &'static str,
    pub words: String,
    pub place: Place,
    pub column: Option<String>,
}

/// What happens to a bad record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBad {
    #[default]
    Error,
    Reject,
}

impl OnBad {
    /// Sets the record aside, or ends the job. `start` is where the record starts.
    pub fn settle(
        self,
        fault: &Fault,
        start: Place,
        record: &[u8],
        rejects: &mut dyn RejectSink,
    ) -> Result<(), ProcessError> {
        if self == OnBad::Error {
            return Err(fault.place.error(fault.code, &fault.words));
        }
        let reason = match fault.place.byte == start.byte {
            true => fault.words.clone(),
            false => format!("{} (byte {})", fault.words, fault.place.byte),
        };
        let column = fault.column.as_deref();
        rejects.reject(&Reject { line: start.line, byte: start.byte, column, reason: &reason, record })?;
        Ok(())
    }
}
