//! Strings, numbers and words of JSON (RFC 8259), found in bytes and checked to the letter.
//!
//! Each function gets the place behind a token's first byte and answers the place behind its last. Nothing is copied.

use super::fault::{Flaw, Stop};
use std::ops::Range;

/// A string's content: `bytes[start..end]`, between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub start: usize,
    pub end: usize,
    pub is_escaped: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// In each of eight bytes the high bit, if it is a quote, a backslash or a control character. Bits above the lowest one
/// that is set may be wrong: a subtraction borrows.
#[inline(always)]
fn ends_plain_text(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let zero_quote = quote.wrapping_sub(ONES) & !quote;
    let zero_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero_quote | zero_backslash | control) & HIGHS
}

/// A string whose first byte behind the quote is at `start`. A fault that does not hide where it ends goes to `flaw`.
#[inline(always)]
pub fn string(bytes: &[u8], start: usize, flaw: &mut Option<Stop>) -> Result<Text, Stop> {
    let mut is_escaped = false;
    let mut at = start;
    let mut high = 0;
    loop {
        while let Some(eight) = bytes.get(at..at + 8) {
            let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
            let found = ends_plain_text(word);
            if found == 0 {
                high |= word;
                at += 8;
                continue;
            }
            let plain = found.trailing_zeros() / 8;
            high |= word & ((1 << (8 * plain)) - 1);
            at += plain as usize;
            break;
        }
        match bytes.get(at) {
            None => return Err(Stop { flaw: Flaw::Ended, at }),
            Some(b'"') => break,
            Some(b'\\') => {
                is_escaped = true;
                at = escape(bytes, at + 1, flaw)?;
            }
            Some(..0x20) => return Err(Stop { flaw: Flaw::Control, at }),
            Some(byte) => {
                high |= u64::from(*byte);
                at += 1;
            }
        }
    }
    if high & HIGHS != 0 {
        check_utf8(bytes, start..at, flaw);
    }
    Ok(Text { start, end: at, is_escaped })
}

#[cold]
#[inline(never)]
fn note(flaw: &mut Option<Stop>, what: Flaw, at: usize) {
    flaw.get_or_insert(Stop { flaw: what, at });
}

fn check_utf8(bytes: &[u8], at: Range<usize>, flaw: &mut Option<Stop>) {
    let start = at.start;
    if let Err(e) = std::str::from_utf8(&bytes[at]) {
        note(flaw, Flaw::Utf8, start + e.valid_up_to());
    }
}

/// Is `byte` in `bytes[at]`?
#[inline]
pub fn holds(bytes: &[u8], at: Range<usize>, byte: u8) -> bool {
    let Some(sixteen) = bytes.get(at.start..at.start + 16).filter(|_| at.len() <= 16) else {
        return memchr::memchr(byte, &bytes[at]).is_some();
    };
    let word = u128::from_le_bytes(sixteen.try_into().expect("sixteen bytes"));
    let ones = u128::MAX / 0xff;
    let other = word ^ (ones * u128::from(byte));
    let found = other.wrapping_sub(ones) & !other & (ones << 7);
    // the lowest bit is right, see above
    ((found.trailing_zeros() / 8) as usize) < at.len()
}

/// The first eight bytes of `bytes[start..end]`, or all of them and zeros: those of up to eight bytes are equal if their
/// lengths and heads are.
#[inline(always)]
pub fn head(bytes: &[u8], start: usize, end: usize) -> u64 {
    let len = end - start;
    match bytes.get(start..start + 8) {
        Some(eight) => {
            let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
            if len >= 8 { word } else { word & ((1 << (8 * len)) - 1) }
        }
        None => bytes[start..end].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// `at` is behind the backslash.
fn escape(bytes: &[u8], at: usize, flaw: &mut Option<Stop>) -> Result<usize, Stop> {
    match bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => {
            let unit = hex4(bytes, at + 1)?;
            match unit {
                0xd800..0xdc00 => {
                    let pairs =
                        bytes.get(at + 5..at + 7) == Some(br"\u") && (0xdc00..0xe000).contains(&hex4(bytes, at + 7)?);
                    if pairs {
                        return Ok(at + 11);
                    }
                    note(flaw, Flaw::Surrogate, at - 1);
                }
                0xdc00..0xe000 => note(flaw, Flaw::Surrogate, at - 1),
                _ => {}
            }
            Ok(at + 5)
        }
        Some(_) => Err(Stop { flaw: Flaw::Escape, at: at - 1 }),
        None => Err(ended(bytes)),
    }
}

fn ended(bytes: &[u8]) -> Stop {
    Stop { flaw: Flaw::Ended, at: bytes.len() }
}

/// Does the text end at `at` or behind it, before `what` is complete?
fn ends_within(bytes: &[u8], at: usize, what: &[u8]) -> bool {
    bytes.get(at..).is_none_or(|rest| rest.len() < what.len() && what.starts_with(rest))
}

fn hex4(bytes: &[u8], at: usize) -> Result<u32, Stop> {
    let mut unit = 0;
    for i in at..at + 4 {
        let Some(byte) = bytes.get(i) else { return Err(ended(bytes)) };
        let Some(digit) = char::from(*byte).to_digit(16) else { return Err(Stop { flaw: Flaw::Escape, at: at - 2 }) };
        unit = unit * 16 + digit;
    }
    Ok(unit)
}

/// `true`, `false` or `null`.
#[inline(always)]
pub fn literal(bytes: &[u8], at: usize, word: &'static [u8]) -> Result<usize, Stop> {
    match bytes.get(at..at + word.len()) {
        Some(found) if found == word => Ok(at + word.len()),
        None if ends_within(bytes, at, word) => Err(ended(bytes)),
        _ => Err(Stop { flaw: Flaw::Literal, at }),
    }
}

/// A number that starts at `start`. One that reaches the end of `bytes` may not be complete.
#[inline(always)]
pub fn number(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let wrong = |at: usize| Stop { flaw: if at < bytes.len() { Flaw::Number } else { Flaw::Ended }, at };
    let mut at = start + usize::from(bytes[start] == b'-');
    match bytes.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at = digits(bytes, at),
        _ => return Err(wrong(at)),
    }
    if bytes.get(at) == Some(&b'.') {
        let fraction = at + 1;
        at = digits(bytes, fraction);
        if at == fraction {
            return Err(wrong(at));
        }
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let exponent = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(bytes, exponent);
        if at == exponent {
            return Err(wrong(at));
        }
    }
    match bytes.get(at) {
        // 01, 1.2.3, 1x: said here in better words than "expected a comma"
        Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-') => Err(wrong(at)),
        _ => Ok(at),
    }
}

#[inline(always)]
fn digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Writes what a checked string means. Bytes that are no valid escapes pass as they are.
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let plain = match rest.first() {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                rest = unescape_unicode(rest, out);
                continue;
            }
            Some(same) => *same,
            None => break,
        };
        out.push(plain);
        rest = &rest[1..];
    }
    out.extend_from_slice(rest);
}

/// `rest` starts at the `u`. What is behind the character is left.
fn unescape_unicode<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Ok(first) = hex4(rest, 1) else { return &rest[1..] };
    let (point, used) = match first {
        0xd800..0xdc00 => match hex4(rest, 7) {
            Ok(second @ 0xdc00..0xe000) => (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 11),
            _ => (first, 5),
        },
        _ => (first, 5),
    };
    let char = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    &rest[used..]
}
