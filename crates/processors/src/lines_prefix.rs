//! `lines.prefix`: a text before each line, byte for byte what GNU `sed 's/^/TEXT/'` gives.
//!
//! A line starts at the first byte of the input and behind each LF that has a byte behind it. Every other byte passes
//! unchanged: CR, NUL, invalid UTF-8, a missing final newline. The text before a line belongs to the chunk that holds
//! the line's first byte, so a chunk needs one byte of look-behind, and lines of any length are cut anywhere.

use crate::options;
use filemill_core::chunks::Cut;
use filemill_core::limits::{IO_BLOCK_BYTES, PREFIX_BYTES_MAX};
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;

pub struct LinesPrefix;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("lines.prefix"),
    summary: Cow::Borrowed("Puts a text before each line; every other byte stays as it is."),
    options: &[OptionSpec {
        required: true,
        ..OptionSpec::new("text", "string", "What to put before each line, at most 64 KiB.", "\"Hello! \"")
    }],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    text: String,
}

struct Prefix {
    text: Vec<u8>,
}

impl Processor for LinesPrefix {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        let text = options::read::<Options>(options)?.text.into_bytes();
        if text.len() > PREFIX_BYTES_MAX {
            return Err(format!("option \"text\" has {} bytes; at most {PREFIX_BYTES_MAX} are allowed", text.len()));
        }
        Ok(Box::new(Prefix { text }))
    }
}

impl Transform for Prefix {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Anywhere
    }

    fn reach(&self, chunk: &Range<u64>, _input: InputFacts<'_>) -> Range<u64> {
        chunk.start.saturating_sub(1)..chunk.end
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let mut block = vec![0; block_bytes(&chunk.range)];
        let mut at_line_start = chunk.range.start == 0 || look_behind(work.input)? == Some(b'\n');
        let mut out = Buffered { bytes: Vec::with_capacity(2 * block.len()), output: work.output };
        loop {
            let read = read_some(work.input, &mut block)?;
            if read == 0 {
                break;
            }
            at_line_start = self.prefix_block(&block[..read], at_line_start, &mut out)?;
        }
        out.flush()?;
        Ok(ChunkReport::default())
    }
}

impl Prefix {
    /// Returns whether the next byte, if there is one, starts a line.
    fn prefix_block(&self, block: &[u8], at_line_start: bool, out: &mut Buffered<'_>) -> Result<bool, ProcessError> {
        if at_line_start {
            out.put(&self.text)?;
        }
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', block) {
            let line_end = newline + 1;
            out.put(&block[from..line_end])?;
            if line_end < block.len() {
                out.put(&self.text)?;
            }
            from = line_end;
        }
        out.put(&block[from..])?;
        Ok(block.last() == Some(&b'\n'))
    }
}

/// A small file takes small buffers: many of them are worked on at a time.
fn block_bytes(chunk: &Range<u64>) -> usize {
    let bytes = (chunk.end - chunk.start).clamp(1, IO_BLOCK_BYTES as u64);
    usize::try_from(bytes).unwrap_or(IO_BLOCK_BYTES)
}

/// Gathers short pieces, so that the store sees whole blocks; bounded whatever the line.
struct Buffered<'a> {
    bytes: Vec<u8>,
    output: &'a mut dyn Write,
}

impl Buffered<'_> {
    #[inline]
    fn put(&mut self, piece: &[u8]) -> std::io::Result<()> {
        if self.bytes.len() + piece.len() > IO_BLOCK_BYTES {
            self.flush()?;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}

/// The byte before the chunk.
fn look_behind(input: &mut dyn Read) -> std::io::Result<Option<u8>> {
    let mut byte = [0];
    Ok((read_some(input, &mut byte)? == 1).then_some(byte[0]))
}

fn read_some(input: &mut dyn Read, block: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match input.read(block) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;
    use proptest::prelude::*;
    use serde_json::json;

    fn options(text: &str) -> Map<String, Value> {
        json!({ "text": text }).as_object().expect("an object").clone()
    }

    fn prepared(text: &str) -> Box<dyn Transform> {
        LinesPrefix.prepare(&options(text)).expect("options")
    }

    /// What sed does, said in the plainest way.
    fn reference(text: &[u8], input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, byte) in input.iter().enumerate() {
            if i == 0 || input[i - 1] == b'\n' {
                out.extend_from_slice(text);
            }
            out.push(*byte);
        }
        out
    }

    /// Files of 0 to 64 bytes made of each of the six endings and fillers, cut at every position and in every size.
    #[test]
    fn every_border_position_gives_the_one_pass_result() {
        let transform = prepared("Hello! ");
        let units: [&[u8]; 6] = [b"\n", b"\r\n", b"\r", b"\0", "é".as_bytes(), b"ab"];
        for length in 0..=64 {
            for first in units {
                for second in units {
                    let mut input: Vec<u8> = first.iter().chain(second).copied().cycle().take(length).collect();
                    suite::every_cut_equals(&*transform, &input, &reference(b"Hello! ", &input));
                    if let Some(last) = input.last_mut() {
                        *last = b'\n';
                        suite::every_cut_equals(&*transform, &input, &reference(b"Hello! ", &input));
                    }
                }
            }
        }
    }

    #[test]
    fn lines_longer_than_blocks_and_chunks_are_exact() {
        let mut input = vec![b'x'; 5 * (1 << 19)];
        input.extend_from_slice(b"\nend");
        let expected = reference(b"> ", &input);
        for chunk_bytes in [700_001, 1 << 20, 1 << 30] {
            assert!(
                suite::chunked(&*prepared("> "), &input, chunk_bytes).expect("a result").output == expected,
                "{chunk_bytes}"
            );
        }
    }

    #[test]
    fn an_empty_text_and_an_empty_input_change_nothing() {
        suite::every_cut_equals(&*prepared(""), b"a\n\nb", b"a\n\nb");
        suite::every_cut_equals(&*prepared("x"), b"", b"");
    }

    #[test]
    fn a_text_larger_than_a_block_is_allowed_up_to_its_limit() {
        let text = "t".repeat(PREFIX_BYTES_MAX);
        suite::every_cut_equals(&*prepared(&text), b"a\nb", &reference(text.as_bytes(), b"a\nb"));
        assert!(LinesPrefix.prepare(&options(&format!("{text}t"))).is_err());
    }

    suite::processor_suite! {
        processor: LinesPrefix,
        options: [json!({ "text": "> " }), json!({ "text": "" })],
        pieces: ["\n", "\r\n", "\r", "\0", "é", "ab", "\u{feff}"],
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_give_the_one_pass_result(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..2000),
            text in "\\PC{0,8}",
            chunk_bytes in 1u64..300,
        ) {
            let expected = reference(text.as_bytes(), &input);
            prop_assert_eq!(suite::chunked(&*prepared(&text), &input, chunk_bytes).expect("a result").output, expected);
        }
    }
}
