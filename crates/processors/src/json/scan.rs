//! One JSON value, found in bytes and checked to the letter of RFC 8259; a [`Sink`] is told what it consists of.
//!
//! Strict: no comments, no NaN, no trailing comma. Beyond the RFC, a key that comes twice in one object and half a
//! surrogate pair are faults, because their meaning differs from reader to reader. No recursion, nothing copied; the
//! stack is 128 levels. It knows nothing of records, lines or files.

use super::fault::{Flaw, Stop};
use super::keys::Keys;
use super::token::{self, Text};
use filemill_core::limits::{JSON_DEPTH_MAX, VALUE_BYTES_MAX};
use std::ops::Range;

/// What a scalar is, and so how it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Null,
    True,
    False,
    Number,
    /// A string without escapes: what is between the quotes is what it means.
    Plain,
    Escaped,
    /// An array, as JSON text.
    Array,
    /// An object without keys.
    EmptyObject,
}

/// Is told of a value's parts, in order; places count from the value's start. A scan that ran out of bytes is begun anew.
pub trait Sink {
    fn begin(&mut self) {}
    /// The key's content, between its quotes.
    fn key(&mut self, _bytes: &[u8], _key: Text) {}
    /// A scalar; of a string what is between its quotes.
    fn scalar(&mut self, _bytes: &[u8], _at: Range<usize>, _kind: Kind) {}
    fn open(&mut self, _bytes: &[u8], _at: usize, _is_object: bool) {}
    /// `end` is behind the bracket.
    fn close(&mut self, _bytes: &[u8], _end: usize) {}
    /// Blanks between tokens.
    fn gap(&mut self, _at: Range<usize>) {}
}

/// Only whether it is JSON.
pub struct Check;

impl Sink for Check {}

#[derive(Default)]
pub struct Scanner {
    keys: Keys,
    /// Of the last value: a fault that does not hide where it ends.
    pub flaw: Option<Stop>,
}

/// Which of the open brackets are objects: a bit for each level.
#[derive(Default)]
struct Nest {
    depth: usize,
    objects: u128,
}

impl Nest {
    #[inline(always)]
    fn push(&mut self, is_object: bool, at: usize) -> Result<(), Stop> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(Stop { flaw: Flaw::Depth, at });
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        Ok(())
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    #[inline(always)]
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

const _: () = assert!(JSON_DEPTH_MAX <= 128, "a level is a bit");

impl Scanner {
    /// Scans the value that starts with the first byte; the place behind it. If that is the end of `bytes` and more may
    /// come, a number may not be complete.
    #[inline]
    pub fn value<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<usize, Stop> {
        self.flaw = None;
        self.keys.clear();
        sink.begin();
        let mut nest = Nest::default();
        let mut at = 0;
        loop {
            // at the start of a value
            let mut is_empty = false;
            match bytes.get(at) {
                Some(b'{') => {
                    nest.push(true, at)?;
                    self.keys.open();
                    sink.open(bytes, at, true);
                    at = blanks(bytes, at + 1, sink);
                    is_empty = bytes.get(at) == Some(&b'}');
                    if !is_empty {
                        at = self.key(bytes, at, sink)?;
                        continue;
                    }
                }
                Some(b'[') => {
                    nest.push(false, at)?;
                    sink.open(bytes, at, false);
                    at = blanks(bytes, at + 1, sink);
                    is_empty = bytes.get(at) == Some(&b']');
                    if !is_empty {
                        continue;
                    }
                }
                _ => at = self.scalar(bytes, at, sink)?,
            }
            // behind a value, or at the end of an empty one
            loop {
                if nest.depth == 0 {
                    return Ok(at);
                }
                if !is_empty {
                    at = blanks(bytes, at, sink);
                }
                is_empty = false;
                match (bytes.get(at), nest.in_object()) {
                    (Some(b','), true) => {
                        at = blanks(bytes, at + 1, sink);
                        at = self.key(bytes, at, sink)?;
                        break;
                    }
                    (Some(b','), false) => {
                        at = blanks(bytes, at + 1, sink);
                        break;
                    }
                    (Some(b'}'), true) => {
                        if let Some(twin) = self.keys.close(bytes) {
                            self.note(Flaw::DuplicateKey, twin - 1);
                        }
                    }
                    (Some(b']'), false) => {}
                    (None, _) => return Err(Stop { flaw: Flaw::Ended, at }),
                    (_, true) => return Err(Stop { flaw: Flaw::Expected("`,` or `}`"), at }),
                    (_, false) => return Err(Stop { flaw: Flaw::Expected("`,` or `]`"), at }),
                }
                at += 1;
                sink.close(bytes, at);
                nest.pop();
            }
        }
    }

    /// A key and its colon; the place of its value.
    #[inline(always)]
    fn key<S: Sink>(&mut self, bytes: &[u8], at: usize, sink: &mut S) -> Result<usize, Stop> {
        match bytes.get(at) {
            Some(b'"') => {}
            None => return Err(Stop { flaw: Flaw::Ended, at }),
            Some(_) => return Err(Stop { flaw: Flaw::Expected("a key in double quotes"), at }),
        }
        let key = token::string(bytes, at + 1, &mut self.flaw)?;
        self.note_length(key.start..key.end);
        if self.keys.comes_twice(bytes, key) {
            self.note(Flaw::DuplicateKey, at);
        }
        sink.key(bytes, key);
        let at = blanks(bytes, key.end + 1, sink);
        match bytes.get(at) {
            Some(b':') => Ok(blanks(bytes, at + 1, sink)),
            None => Err(Stop { flaw: Flaw::Ended, at }),
            Some(_) => Err(Stop { flaw: Flaw::Expected("`:` behind the key"), at }),
        }
    }

    #[inline(always)]
    fn scalar<S: Sink>(&mut self, bytes: &[u8], at: usize, sink: &mut S) -> Result<usize, Stop> {
        let (end, kind) = match bytes.get(at) {
            Some(b'"') => {
                let text = token::string(bytes, at + 1, &mut self.flaw)?;
                self.note_length(text.start..text.end);
                let kind = if text.is_escaped { Kind::Escaped } else { Kind::Plain };
                sink.scalar(bytes, text.start..text.end, kind);
                return Ok(text.end + 1);
            }
            Some(b'-' | b'0'..=b'9') => (token::number(bytes, at)?, Kind::Number),
            Some(b't') => (token::literal(bytes, at, b"true")?, Kind::True),
            Some(b'f') => (token::literal(bytes, at, b"false")?, Kind::False),
            Some(b'n') => (token::literal(bytes, at, b"null")?, Kind::Null),
            None => return Err(Stop { flaw: Flaw::Ended, at }),
            // no character outside of strings has such a byte, so the encoding is the likelier cause
            Some(0x80..) if !is_utf8_at(bytes, at) => return Err(Stop { flaw: Flaw::Utf8, at }),
            Some(_) => return Err(Stop { flaw: Flaw::Expected("a value"), at }),
        };
        self.note_length(at..end);
        sink.scalar(bytes, at..end, kind);
        Ok(end)
    }

    #[inline(always)]
    fn note_length(&mut self, at: Range<usize>) {
        if at.len() > VALUE_BYTES_MAX {
            self.note(Flaw::ValueTooLong, at.start);
        }
    }

    #[cold]
    fn note(&mut self, flaw: Flaw, at: usize) {
        self.flaw.get_or_insert(Stop { flaw, at });
    }
}

fn is_utf8_at(bytes: &[u8], at: usize) -> bool {
    let few = &bytes[at..bytes.len().min(at + 4)];
    std::str::from_utf8(few).map_or_else(|e| e.valid_up_to() > 0, |_| true)
}

/// Behind the blanks, which are rare in what machines write.
#[inline(always)]
fn blanks<S: Sink>(bytes: &[u8], at: usize, sink: &mut S) -> usize {
    match bytes.get(at) {
        Some(0..=b' ') => {
            let end = match bytes.get(at + 1) {
                // one of them is what many writers put behind a colon and a comma
                Some(next) if *next > b' ' && is_blank(bytes[at]) => at + 1,
                _ => at + blanks_at(&bytes[at..]),
            };
            if end > at {
                sink.gap(at..end);
            }
            end
        }
        _ => at,
    }
}

/// How many blanks of JSON `bytes` starts with.
#[inline]
pub fn blanks_at(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !is_blank(*b)).unwrap_or(bytes.len())
}

pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
