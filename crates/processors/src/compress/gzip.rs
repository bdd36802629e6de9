//! `gzip`: the input as one gzip member (RFC 1952), its blocks compressed on several threads.
//!
//! Nothing but the input and the level decides about the bytes: no name, no time, no trace of the machine. Memory is a
//! few blocks for each thread.

use super::blocks::{Block, Cutter, Deflater};
use super::go_on;
use super::in_order::{Lane, in_order, threads_here};
use crate::options;
use crc_fast::{CrcAlgorithm, Digest};
use filemill_core::chunks::Cut;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

pub struct Gzip;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("gzip"),
    summary: Cow::Borrowed("Compresses a file with gzip."),
    options: &[OptionSpec {
        default: "6",
        ..OptionSpec::new("level", "integer", "From 1, the quickest, to 9, the smallest.", "9")
    }],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "level_default")]
    level: u32,
}

pub fn level_default() -> u32 {
    6
}

/// 1 to 9, or what is wrong.
pub fn check_level(level: u32) -> Result<u32, String> {
    match level {
        1..=9 => Ok(level),
        _ => Err(format!("option \"level\" is {level}; use 1 to 9")),
    }
}

struct Packing {
    level: u32,
    threads: usize,
}

impl Processor for Gzip {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        let level = check_level(options::read::<Options>(options)?.level)?;
        Ok(Box::new(Packing { level, threads: threads_here() }))
    }
}

impl Transform for Packing {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, _chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        work.output.write_all(&head(self.level))?;
        let mut cutter = Cutter::default();
        let first = cutter.begin(work.input)?;
        // one block needs no second thread
        let threads = if first.is_last { 1 } else { self.threads };
        let worker = || {
            let mut deflater = Deflater::new(self.level);
            move |block: Block| (deflater.block(&block), block)
        };
        let crc = in_order(threads, worker, |lane| pack(first, &mut cutter, lane, 2 * threads, work))?;
        work.output.write_all(&tail(&crc))?;
        Ok(ChunkReport::default())
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("application/gzip".into())
    }
}

/// Keeps at most `ahead` blocks in the lane and writes what comes back.
fn pack(
    first: Block,
    cutter: &mut Cutter,
    lane: &mut Lane<'_, Block, (Vec<u8>, Block)>,
    ahead: usize,
    work: &mut Work<'_>,
) -> Result<Digest, ProcessError> {
    let mut crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
    let (mut first, mut is_read) = (Some(first), false);
    loop {
        while !is_read && lane.under_way() < ahead {
            let block = match first.take() {
                Some(block) => block,
                None => cutter.next(work.input)?,
            };
            crc.update(block.bytes());
            is_read = block.is_last;
            lane.give(block);
        }
        let Some((deflated, block)) = lane.take() else { return Ok(crc) };
        go_on(work.pulse)?;
        work.output.write_all(&deflated)?;
        cutter.give_back(block);
    }
}

/// Deflate, no flags, no time, what the level says of itself, an unknown system.
fn head(level: u32) -> [u8; 10] {
    let hint = match level {
        1 => 4,
        9 => 2,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, hint, 255]
}

/// Checksum and length, both modulo 2^32.
fn tail(crc: &Digest) -> [u8; 8] {
    let mut tail = [0; 8];
    tail[..4].copy_from_slice(&(crc.finalize() as u32).to_le_bytes());
    tail[4..].copy_from_slice(&(crc.get_amount() as u32).to_le_bytes());
    tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;
    use serde_json::json;
    use std::io::Read;

    fn packed(input: &[u8], threads: usize) -> Vec<u8> {
        suite::whole(&Packing { level: 6, threads }, input).expect("packed").output
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // one member: nothing may be left behind it
        let mut rest = packed;
        flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut out).expect("a member in order");
        assert!(rest.is_empty());
        out
    }

    fn inputs() -> Vec<Vec<u8>> {
        let text: Vec<u8> =
            (0..90_000u64).flat_map(|n| format!("{n} line of a log {}\n", n * n % 977).into_bytes()).collect();
        let zeros = vec![0; 1_600_000];
        vec![
            vec![],
            b"a".to_vec(),
            text[..100].to_vec(),
            text[..1 << 20].to_vec(),
            text[..(1 << 20) + 1].to_vec(),
            text,
            zeros,
        ]
    }

    #[test]
    fn the_same_bytes_come_from_any_number_of_threads() {
        for input in inputs() {
            let expected = packed(&input, 1);
            assert!(unpacked(&expected) == input);
            for threads in [2, 3, 8] {
                assert!(packed(&input, threads) == expected, "{} bytes on {threads} threads", input.len());
            }
        }
    }

    #[test]
    fn python_reads_it() {
        let script = "import gzip,sys;sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
        for input in inputs() {
            let Some(read) = crate::compress::tests::python(script, &[], &packed(&input, 2)) else { return };
            assert!(read == input);
        }
    }

    #[test]
    fn levels_beyond_the_scale_are_refused() {
        for level in [0, 10] {
            let options = json!({ "level": level });
            let error = Gzip.prepare(options.as_object().expect("an object")).map(drop).expect_err("refused");
            assert!(error.contains("level") && error.contains("1 to 9"), "{error}");
        }
    }

    suite::processor_suite! {
        processor: Gzip,
        options: [json!({}), json!({ "level": 1 })],
        pieces: ["abc", "\n", "\0", "é", "a longer piece that comes again and again"],
    }
}
