//! `zstd`: the input as one Zstandard frame (RFC 8878) with a checksum.
//!
//! Nothing but the input and the level decides about the bytes; the length is not written in front, so that a pipe gives
//! what a file gives. One thread: at its usual levels it is quicker than a disk.

use super::{fill, go_on};
use crate::options;
use filemill_core::chunks::Cut;
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// Higher levels take more than 64 MiB, and ten times as long for a few percent.
const LEVEL_MAX: i32 = 12;
/// From here on the window is held to what the level before has, and the tables with it.
const LARGE_LEVELS: i32 = 10;
const WINDOW_LOG_OF_LARGE_LEVELS: u32 = 21;

pub struct Zstd;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("zstd"),
    summary: Cow::Borrowed("Compresses a file with Zstandard."),
    options: &[OptionSpec {
        default: "3",
        ..OptionSpec::new("level", "integer", "From 1, the quickest, to 12, the smallest.", "9")
    }],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "level_default")]
    level: i32,
}

fn level_default() -> i32 {
    3
}

struct Packing {
    level: i32,
}

impl Processor for Zstd {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        match options::read::<Options>(options)?.level {
            level @ 1..=LEVEL_MAX => Ok(Box::new(Packing { level })),
            level => Err(format!("option \"level\" is {level}; use 1 to {LEVEL_MAX}")),
        }
    }
}

impl Transform for Packing {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, _chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let mut encoder = self.encoder()?;
        let mut out = vec![0; zstd::zstd_safe::CCtx::out_size()];
        let mut block = Vec::new();
        // a small file takes a small buffer
        for bytes in [IO_BLOCK_BYTES / 16].into_iter().chain(std::iter::repeat(IO_BLOCK_BYTES)) {
            go_on(work.pulse)?;
            block.resize(bytes, 0);
            let read = fill(work.input, &mut block)?;
            let mut input = InBuffer::around(&block[..read]);
            while input.pos() < read {
                let mut packed = OutBuffer::around(&mut out[..]);
                encoder.run(&mut input, &mut packed)?;
                work.output.write_all(packed.as_slice())?;
            }
            if read < block.len() {
                break;
            }
        }
        finish(&mut encoder, &mut out, work)?;
        Ok(ChunkReport::default())
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("application/zstd".into())
    }
}

impl Packing {
    fn encoder(&self) -> io::Result<Encoder<'static>> {
        let mut encoder = Encoder::new(self.level)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        if self.level >= LARGE_LEVELS {
            encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG_OF_LARGE_LEVELS))?;
        }
        Ok(encoder)
    }
}

fn finish(encoder: &mut Encoder<'_>, out: &mut [u8], work: &mut Work<'_>) -> Result<(), ProcessError> {
    loop {
        let mut packed = OutBuffer::around(&mut out[..]);
        let left = encoder.finish(&mut packed, true)?;
        work.output.write_all(packed.as_slice())?;
        if left == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;
    use proptest::prelude::*;
    use serde_json::json;

    fn packed(input: &[u8], level: i32) -> Vec<u8> {
        suite::whole(&Packing { level }, input).expect("packed").output
    }

    #[test]
    fn any_level_comes_back_and_is_one_frame_with_a_checksum() {
        let input: Vec<u8> = (0..100_000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for level in 1..=LEVEL_MAX {
            let found = packed(&input, level);
            assert!(zstd::stream::decode_all(&found[..]).expect("a frame in order") == input, "level {level}");
            assert_eq!(found[4] & 0b100, 0b100, "the checksum's flag");
            assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&found), Ok(found.len()));
        }
    }

    #[test]
    fn levels_beyond_the_scale_are_refused() {
        for level in [-1, 0, 13] {
            let options = json!({ "level": level });
            let error = Zstd.prepare(options.as_object().expect("an object")).map(drop).expect_err("refused");
            assert!(error.contains("level"), "{error}");
        }
    }

    suite::processor_suite! {
        processor: Zstd,
        options: [json!({}), json!({ "level": 1 })],
        pieces: ["abc", "\n", "\0", "é", "a longer piece that comes again and again"],
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn any_content_comes_back(piece in proptest::collection::vec(any::<u8>(), 0..300), times in 0usize..2000) {
            let input = piece.repeat(times);
            prop_assert!(zstd::stream::decode_all(&packed(&input, 3)[..]).expect("a frame in order") == input);
        }
    }
}
