//! Where in a file a record is, and errors that say so.

use filemill_core::ports::ProcessError;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1; 0 is the header.
    pub record: u64,
    /// From 1: ended by LF, CRLF or a CR alone, within quotes too.
    pub line: u64,
    /// From 0.
    pub byte: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            0 => write!(f, "the header (line {}, byte {})", self.line, self.byte),
            record => write!(f, "record {record} (line {}, byte {})", self.line, self.byte),
        }
    }
}

impl Place {
    /// Not the CSV that it should be.
    pub fn invalid(&self, what: impl fmt::Display) -> ProcessError {
        ProcessError::input("input_invalid", format!("{self}: {what}"))
    }

    pub fn too_large(&self, what: impl fmt::Display) -> ProcessError {
        ProcessError::input("input_too_large", format!("{self} {what}"))
    }
}

/// Line ends in bytes that follow `before`: an LF behind a CR belongs to it, wherever the bytes are cut.
pub fn lines_in(before: u8, bytes: &[u8]) -> u64 {
    let line_feeds = memchr::memchr_iter(b'\n', bytes).count();
    let lone = memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count();
    let counted_before = before == b'\r' && bytes.first() == Some(&b'\n');
    (line_feeds + lone) as u64 - u64::from(counted_before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_lf_crlf_or_cr_wherever_it_is_cut() {
        for (text, lines) in [
            ("", 0),
            ("a", 0),
            ("\n\n", 2),
            ("\r\n\r\n", 2),
            ("\r\r", 2),
            ("\n\r", 2),
            ("\r\n\n\r", 3),
            ("a\rb\r\nc\n", 3),
        ] {
            let bytes = text.as_bytes();
            for cut in 0..=bytes.len() {
                let before = if cut == 0 { 0 } else { bytes[cut - 1] };
                assert_eq!(
                    lines_in(0, &bytes[..cut]) + lines_in(before, &bytes[cut..]),
                    lines,
                    "{text:?} cut at {cut}"
                );
            }
        }
    }
}
