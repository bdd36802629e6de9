//! What `lines.prefix` must give, said in the plainest way: a byte at a time, sharing no code with the processor.

use crate::exit::Ending;
use anyhow::{Context, Result};
use std::io::{self, Read};

/// The input with a text before every line: `sed 's/^/TEXT/'`.
pub struct Prefixed<R> {
    input: io::BufReader<R>,
    text: &'static [u8],
    /// How much of the text was given for the line that begins here; `None` inside a line.
    given: Option<usize>,
}

impl<R: Read> Prefixed<R> {
    pub fn new(input: R, text: &'static [u8]) -> Self {
        Prefixed { input: io::BufReader::with_capacity(256 * 1024, input), text, given: Some(0) }
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        let Some(byte) = peek(&mut self.input)? else { return Ok(None) };
        if let Some(given) = self.given.filter(|given| *given < self.text.len()) {
            self.given = Some(given + 1);
            return Ok(Some(self.text[given]));
        }
        io::BufRead::consume(&mut self.input, 1);
        self.given = (byte == b'\n').then_some(0);
        Ok(Some(byte))
    }
}

fn peek(input: &mut impl io::BufRead) -> io::Result<Option<u8>> {
    Ok(input.fill_buf()?.first().copied())
}

impl<R: Read> Read for Prefixed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        for (i, place) in buf.iter_mut().enumerate() {
            match self.next_byte()? {
                Some(byte) => *place = byte,
                None => return Ok(i),
            }
        }
        Ok(buf.len())
    }
}

/// Reads both to their ends. The error names the first byte that differs.
pub fn compare(expected: &mut impl Read, mut actual: impl Read) -> Result<u64> {
    let (mut wanted, mut got) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    let mut offset = 0;
    loop {
        let wanted = read_full(expected, &mut wanted)?;
        let got = read_full(&mut actual, &mut got).context("reading the result")?;
        if wanted != got {
            let same = wanted.iter().zip(got).take_while(|(a, b)| a == b).count() as u64;
            return Err(Ending::failed(format!("the result differs at byte {}", offset + same)));
        }
        if wanted.is_empty() {
            return Ok(offset);
        }
        offset += wanted.len() as u64;
    }
}

/// As many bytes as there are, up to a full buffer.
fn read_full<'a>(input: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(&buffer[..filled])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixed(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Prefixed::new(input, b"> ").read_to_end(&mut out).expect("memory");
        out
    }

    #[test]
    fn the_reference_is_what_sed_does() {
        for (input, expected) in [
            (&b""[..], &b""[..]),
            (b"\n", b"> \n"),
            (b"a", b"> a"),
            (b"a\n\nb\r\n", b"> a\n> \n> b\r\n"),
            (b"\r\0", b"> \r\0"),
        ] {
            assert_eq!(prefixed(input), expected, "{input:?}");
        }
    }

    #[test]
    fn a_difference_is_found_wherever_it_is() {
        let long = vec![b'x'; 300_000];
        assert_eq!(compare(&mut &long[..], &long[..]).expect("equal"), 300_000);
        let mut other = long.clone();
        other[299_999] = b'y';
        assert!(compare(&mut &long[..], &other[..]).expect_err("differs").to_string().contains("byte 299999"));
        assert!(compare(&mut &long[..], &long[1..]).is_err());
        assert!(compare(&mut &long[1..], &long[..]).is_err());
    }
}
