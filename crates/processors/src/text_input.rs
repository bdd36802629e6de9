//! Inputs that must be UTF-8: read as a whole up to a limit, or window by window in constant memory.
//!
//! A byte order mark at the start is skipped. Bytes that are no UTF-8 end the job and are named by their offset; nothing
//! is replaced or dropped silently.

use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::{InputFacts, ProcessError};
use std::io::Read;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// An input in memory.
pub struct WholeText {
    pub text: String,
    /// Of the text's first byte, in the input.
    pub offset: u64,
}

/// The whole input. One that is larger than `bytes_max` is refused before it is read, or as soon as that many were.
pub fn read_whole(input: &mut dyn Read, facts: InputFacts<'_>, bytes_max: u64) -> Result<WholeText, ProcessError> {
    let size_is_known = facts.size != u64::MAX;
    if size_is_known && facts.size > bytes_max {
        return Err(too_large(bytes_max));
    }
    let expected = if size_is_known { usize::try_from(facts.size).unwrap_or(0) } else { 0 };
    let mut bytes = Vec::with_capacity(expected + 1);
    input.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(bytes_max));
    }
    let mut text = String::from_utf8(bytes).map_err(|e| not_utf8(e.utf8_error().valid_up_to() as u64))?;
    let mut offset = 0;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
        offset = BYTE_ORDER_MARK.len() as u64;
    }
    Ok(WholeText { text, offset })
}

fn too_large(bytes_max: u64) -> ProcessError {
    let message = format!("the file has more than {} MiB, which is the most that can be worked on", bytes_max >> 20);
    ProcessError::input("input_too_large", message)
}

fn not_utf8(offset: u64) -> ProcessError {
    ProcessError::input("input_encoding", format!("the byte at offset {offset} is not UTF-8; save the file as UTF-8"))
}

/// A text that passes by.
pub struct TextWindow<'a> {
    input: &'a mut dyn Read,
    bytes: Vec<u8>,
    /// Where `bytes` begins in the input.
    offset: u64,
    is_at_end: bool,
}

/// What is in view: all that was left unused before, and a block more.
pub struct View<'w> {
    pub text: &'w str,
    /// Of the text's first byte, in the input.
    pub offset: u64,
    pub is_last: bool,
}

impl<'a> TextWindow<'a> {
    pub fn new(input: &'a mut dyn Read) -> Self {
        TextWindow { input, bytes: Vec::new(), offset: 0, is_at_end: false }
    }

    /// Moves on behind the first `used` bytes of the view before.
    pub fn advance(&mut self, used: usize) -> Result<View<'_>, ProcessError> {
        let is_first = self.offset == 0 && self.bytes.is_empty();
        self.bytes.drain(..used);
        self.offset += used as u64;
        let read = (&mut *self.input).take(IO_BLOCK_BYTES as u64).read_to_end(&mut self.bytes)?;
        self.is_at_end = read < IO_BLOCK_BYTES;
        if is_first && self.bytes.starts_with(BYTE_ORDER_MARK.as_bytes()) {
            self.bytes.drain(..BYTE_ORDER_MARK.len());
            self.offset += BYTE_ORDER_MARK.len() as u64;
        }
        let whole = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text.len(),
            // a character that the block cut in two is whole in the next view
            Err(e) if e.error_len().is_none() && !self.is_at_end => e.valid_up_to(),
            Err(e) => return Err(not_utf8(self.offset + e.valid_up_to() as u64)),
        };
        let text = std::str::from_utf8(&self.bytes[..whole]).expect("it was just found to be UTF-8");
        Ok(View { text, offset: self.offset, is_last: self.is_at_end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: InputFacts<'static> = InputFacts { key: "a", size: u64::MAX, content_type: None, etag: None };

    fn code(error: ProcessError) -> (String, String) {
        match error {
            ProcessError::Failed(e) => (e.code, e.message),
            ProcessError::Io(e) => panic!("{e}"),
        }
    }

    #[test]
    fn a_whole_text_is_read_up_to_its_limit() {
        for (input, expected) in [(&b"abc"[..], "abc"), (b"\xef\xbb\xbfabc", "abc"), (b"", ""), (b"\xef\xbb\xbf", "")] {
            assert_eq!(read_whole(&mut &*input, FACTS, 6).expect("a text").text, expected);
        }
        assert_eq!(
            code(read_whole(&mut &b"1234567"[..], FACTS, 6).map(drop).expect_err("too large")).0,
            "input_too_large"
        );
        let facts = InputFacts { size: 7, ..FACTS };
        let mut unread = &b"1234567"[..];
        assert_eq!(code(read_whole(&mut unread, facts, 6).map(drop).expect_err("too large")).0, "input_too_large");
        assert_eq!(unread.len(), 7, "what is known to be too large is not read");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_named_by_their_offset() {
        for (input, offset) in [(&b"\xff"[..], 0), (b"ab\xc3", 2), (b"\xef\xbb\xbfab\xe2\x82", 5), (b"\xed\xa0\x80", 0)]
        {
            let says = format!("offset {offset} ");
            for error in [
                read_whole(&mut &*input, FACTS, 100).map(drop).expect_err("refused"),
                TextWindow::new(&mut &*input).advance(0).map(drop).expect_err("refused"),
            ] {
                let (code, message) = code(error);
                assert!(code == "input_encoding" && message.contains(&says), "{message}");
            }
        }
    }

    #[test]
    fn a_character_across_two_blocks_is_whole() {
        let text = format!("\u{feff}x{}", "é".repeat(IO_BLOCK_BYTES));
        let mut input = text.as_bytes();
        let mut window = TextWindow::new(&mut input);
        let (mut read, mut used) = (String::new(), 0);
        loop {
            let view = window.advance(used).expect("UTF-8");
            assert_eq!(view.offset, 3 + read.len() as u64);
            read.push_str(view.text);
            used = view.text.len();
            if view.is_last {
                break;
            }
        }
        assert_eq!(read, &text[3..]);
        let mut broken = text.into_bytes();
        broken.push(0xc3);
        let mut input = &broken[..];
        let mut window = TextWindow::new(&mut input);
        let mut used = 0;
        let error = loop {
            match window.advance(used) {
                Ok(view) => used = view.text.len(),
                Err(e) => break e,
            }
        };
        assert!(code(error).1.contains(&format!("offset {} ", broken.len() - 1)));
    }
}
