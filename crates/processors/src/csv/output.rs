//! Gathers a chunk's output, so that the store sees whole blocks; bounded whatever is written.
//!
//! Short pieces are copied as 16 or 32 bytes at once, of which only the meant ones count: that is what makes fields cheap.

use super::marks::escapes;
use filemill_core::limits::IO_BLOCK_BYTES;
use std::io::{self, Write};

/// Text is escaped in pieces of this: each has room even if every byte of it becomes `\u00XX`.
const PIECE: usize = 4096;
const SIZE_MIN: usize = 8 * PIECE;
const SHORT: usize = 32;
const HEX: &[u8; 16] = b"0123456789abcdef";

pub struct Output<'w> {
    bytes: Vec<u8>,
    at: usize,
    sink: &'w mut dyn Write,
}

/// Bytes that can be read 32 at a time.
#[derive(Clone, Debug)]
pub struct Padded {
    bytes: Vec<u8>,
    len: usize,
}

impl Padded {
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        bytes.resize(len.max(SHORT), 0);
        Padded { bytes, len }
    }
}

impl<'w> Output<'w> {
    /// For an input of about `input_bytes`: many small files are worked on at a time.
    pub fn new(sink: &'w mut dyn Write, input_bytes: u64) -> Self {
        let size = usize::try_from(input_bytes).unwrap_or(usize::MAX).saturating_mul(2).clamp(SIZE_MIN, IO_BLOCK_BYTES);
        Output { bytes: vec![0; size], at: 0, sink }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.bytes[..self.at])?;
        self.at = 0;
        Ok(())
    }

    /// Any bytes of any length.
    #[inline]
    pub fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        if piece.len() > self.bytes.len() - self.at {
            self.flush()?;
            if piece.len() > self.bytes.len() {
                return self.sink.write_all(piece);
            }
        }
        self.bytes[self.at..self.at + piece.len()].copy_from_slice(piece);
        self.at += piece.len();
        Ok(())
    }

    #[inline(always)]
    pub fn put_padded(&mut self, piece: &Padded) -> io::Result<()> {
        if piece.len > SHORT {
            return self.put(&piece.bytes[..piece.len]);
        }
        self.short(&piece.bytes, 0, piece.len)
    }

    /// `bytes[from..to]`; 32 bytes can be read from `from` on.
    #[inline(always)]
    pub fn put_span(&mut self, bytes: &[u8], from: usize, to: usize) -> io::Result<()> {
        if to - from > SHORT {
            return self.put(&bytes[from..to]);
        }
        self.short(bytes, from, to - from)
    }

    /// `bytes[from..to]` as the inside of a JSON string; 16 bytes can be read behind it.
    #[inline(always)]
    pub fn put_escaped(&mut self, bytes: &[u8], mut from: usize, to: usize) -> io::Result<()> {
        while to - from > PIECE {
            self.escape(bytes, from, from + PIECE)?;
            from += PIECE;
        }
        self.escape(bytes, from, to)
    }

    #[inline(always)]
    fn short(&mut self, bytes: &[u8], from: usize, len: usize) -> io::Result<()> {
        self.room(SHORT)?;
        let source: &[u8; SHORT] = bytes[from..].first_chunk().expect("padded");
        let target: &mut [u8; SHORT] = self.bytes[self.at..].first_chunk_mut().expect("there is room");
        *target = *source;
        self.at += len;
        Ok(())
    }

    #[inline(always)]
    fn room(&mut self, bytes: usize) -> io::Result<()> {
        if self.bytes.len() - self.at < bytes { self.flush() } else { Ok(()) }
    }

    #[inline(always)]
    fn escape(&mut self, bytes: &[u8], mut from: usize, to: usize) -> io::Result<()> {
        self.room(6 * (to - from) + 16)?;
        let mut at = self.at;
        while from < to {
            let source: &[u8; 16] = bytes[from..].first_chunk().expect("padded");
            let target: &mut [u8; 16] = self.bytes[at..].first_chunk_mut().expect("there is room");
            *target = *source;
            let left = (to - from).min(16);
            let found = escapes(source) & ((1 << left) - 1);
            if found == 0 {
                (from, at) = (from + left, at + left);
            } else {
                let clean = found.trailing_zeros() as usize;
                at += clean;
                at += escape_byte(bytes[from + clean], &mut self.bytes[at..]);
                from += clean + 1;
            }
        }
        self.at = at;
        Ok(())
    }
}

/// Returns how many bytes were written.
#[inline]
fn escape_byte(byte: u8, target: &mut [u8]) -> usize {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        8 => b'b',
        12 => b'f',
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            target[..6].copy_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
            return 6;
        }
    };
    target[..2].copy_from_slice(&[b'\\', letter]);
    2
}

/// `text` as a JSON string, quotes included.
pub fn json_string(text: &[u8]) -> Vec<u8> {
    let mut string = vec![b'"'];
    let mut escaped = [0; 6];
    for byte in text {
        if *byte < 0x20 || matches!(byte, b'"' | b'\\') {
            let len = escape_byte(*byte, &mut escaped);
            string.extend_from_slice(&escaped[..len]);
        } else {
            string.push(*byte);
        }
    }
    string.push(b'"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_length_and_content_is_escaped_as_json_reads_it() {
        let all: String = (0..=0x7fu8).map(char::from).chain("é€😀".chars()).collect();
        for text in
            ["", "a", "\"", "0123456789abcdef", "0123456789abcde\"", &all, &"\u{1}".repeat(50_000), &all.repeat(3000)]
        {
            let mut padded = text.as_bytes().to_vec();
            padded.extend_from_slice(&[b'"'; 16]);
            let mut sink = b"\"".to_vec();
            let mut output = Output::new(&mut sink, 0);
            output.put_escaped(&padded, 0, text.len()).expect("memory");
            output.put(b"\"").expect("memory");
            output.flush().expect("memory");
            assert!(serde_json::from_slice::<String>(&sink).expect("JSON") == text);
            assert!(json_string(text.as_bytes()) == sink);
        }
    }

    #[test]
    fn pieces_of_any_length_arrive_in_order() {
        let mut sink = Vec::new();
        let mut expected = Vec::new();
        let mut output = Output::new(&mut sink, 0);
        for len in (0..200).chain([SIZE_MIN - 1, SIZE_MIN, SIZE_MIN + 1, 5 * SIZE_MIN, 3]) {
            let piece: Vec<u8> = (0..len).map(|i| (i + len) as u8).collect();
            output.put(&piece).expect("memory");
            output.put_padded(&Padded::new(piece.clone())).expect("memory");
            let mut padded = piece.clone();
            padded.resize(len + SHORT, 0);
            output.put_span(&padded, 0, len).expect("memory");
            (0..3).for_each(|_| expected.extend_from_slice(&piece));
        }
        output.flush().expect("memory");
        assert!(sink == expected);
    }
}
