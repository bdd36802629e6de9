//! `unzstd`: the content of a Zstandard file (RFC 8878), of as many frames as it has.
//!
//! Checksums are verified where the file has them. A frame that asks for a window beyond 32 MiB is refused: the window is
//! held in memory. What was written before an error is no result.

use super::bombs::{self, BombLimits};
use super::unpacking::{self, Unpacker};
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::{ProcessError, Processor, ProcessorSpec, Transform, Work};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// 32 MiB: twice what `zstd -19` uses, a quarter of what `--long` may.
const WINDOW_LOG_MAX: u32 = 25;

pub struct Unzstd;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("unzstd"),
    summary: Cow::Borrowed("Unpacks a Zstandard file."),
    options: bombs::OPTIONS,
};

impl Processor for Unzstd {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        unpacking::prepare::<Frames>(options)
    }
}

struct Frames {
    decoder: Decoder<'static>,
    /// Between two frames, that is.
    is_between: bool,
    frame_at: u64,
    at: u64,
    unpacked: u64,
    limits: BombLimits,
    out: Vec<u8>,
}

impl Unpacker for Frames {
    fn new(limits: BombLimits) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        let out = vec![0; IO_BLOCK_BYTES / 2];
        Ok(Frames { decoder, is_between: true, frame_at: 0, at: 0, unpacked: 0, limits, out })
    }

    fn feed(&mut self, bytes: &[u8], work: &mut Work<'_>) -> Result<(), ProcessError> {
        let mut input = InBuffer::around(bytes);
        let start = self.at;
        // content that did not fit comes with the next bytes; zstd holds back a frame's last one until all is out
        while input.pos() < bytes.len() {
            if self.is_between {
                self.frame_at = self.at;
            }
            let mut out = OutBuffer::around(&mut self.out[..]);
            let result = self.decoder.run(&mut input, &mut out);
            self.at = start + input.pos() as u64;
            let left = result.map_err(|e| broken(self.frame_at, self.at, &e))?;
            let made = out.pos();
            self.unpacked += made as u64;
            self.limits.check(self.at, self.unpacked)?;
            work.output.write_all(&self.out[..made])?;
            self.is_between = left == 0;
        }
        Ok(())
    }

    fn end(&self) -> Result<(), ProcessError> {
        let message = match self.is_between {
            true if self.at > 0 => return Ok(()),
            true => "the file is empty, which is no zstd file".to_owned(),
            false => format!(
                "the zstd file ends at byte {}, in the midst of the frame that starts at byte {}",
                self.at, self.frame_at
            ),
        };
        Err(ProcessError::input("input_invalid", message))
    }
}

fn broken(frame: u64, at: u64, why: &io::Error) -> ProcessError {
    let message = match why.to_string() {
        why if why.contains("requires too much memory") => format!(
            "the frame that starts at byte {frame} asks for a window of more than {} MiB; compress it without --long",
            (1u64 << WINDOW_LOG_MAX) >> 20
        ),
        why if why.contains("Unknown frame descriptor") => {
            format!("what starts at byte {frame} is no zstd frame")
        }
        why => format!("the zstd file is damaged near byte {at}, in the frame that starts at byte {frame}: {why}"),
    };
    ProcessError::input("input_invalid", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;
    use proptest::prelude::*;
    use serde_json::json;
    use std::io::{Read, Write};

    fn frame(content: &[u8]) -> Vec<u8> {
        suite::whole(&*suite::prepared(&crate::compress::Zstd, &json!({})), content).expect("packed").output
    }

    fn unpack(packed: &[u8], options: Value) -> Result<Vec<u8>, String> {
        suite::whole(&*suite::prepared(&Unzstd, &options), packed).map(|ran| ran.output).map_err(|e| e.to_string())
    }

    #[test]
    fn frames_are_unpacked_one_behind_the_other() {
        let long: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"notes"].concat();
        let packed = [frame(b"one"), skippable, frame(b""), frame(&long)].concat();
        assert!(unpack(&packed, json!({})) == Ok([b"one".to_vec(), long].concat()));
    }

    #[test]
    fn a_damaged_file_is_refused_and_the_message_says_where() {
        let good = frame(b"some content that is not so short, not so short, not so short");
        let mut bad_checksum = good.clone();
        bad_checksum[good.len() - 1] ^= 1;
        let next = good.len();
        for (packed, says) in [
            (vec![], "empty".to_owned()),
            (b"PK and more".to_vec(), "byte 0 is no zstd frame".into()),
            (vec![0x28, 0xb5], "ends at byte 2,".into()),
            (good[..next - 1].to_vec(), "the frame that starts at byte 0".into()),
            ([&good[..], &good[..20]].concat(), format!("the frame that starts at byte {next}")),
            ([&good[..], b"and more"].concat(), format!("byte {next} is no zstd frame")),
            (bad_checksum, "damaged near byte".into()),
        ] {
            let error = unpack(&packed, json!({})).expect_err(&says);
            assert!(error.contains(&says), "{error}, not {says}");
        }
    }

    /// Blocks that end across the ends of buffers: the rest comes without further input.
    #[test]
    fn a_last_block_that_does_not_fit_is_not_lost() {
        let content: Vec<u8> = (0..70_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        for first in [1, 1000, 50 << 10, 100 << 10, 127 << 10] {
            for second in [1, 28 << 10, 100 << 10, 128 << 10] {
                let content = &content[..first + second];
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
                encoder.write_all(&content[..first]).expect("memory");
                encoder.flush().expect("memory");
                encoder.write_all(&content[first..]).expect("memory");
                let packed = encoder.finish().expect("memory");
                assert!(unpack(&packed, json!({})).as_deref() == Ok(content), "{first} and {second}");
            }
        }
    }

    #[test]
    fn a_window_that_would_fill_the_memory_is_refused() {
        // a frame's head that asks for 64 MiB: magic, no single segment, exponent 16
        let head = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3, 0x01, 0x00, 0x00];
        let error = unpack(&head, json!({})).expect_err("refused");
        assert!(error.contains("window"), "{error}");
    }

    #[test]
    fn a_bomb_ends_at_its_limit_in_bounded_memory() {
        for (options, most) in
            [(json!({}), 20 << 20), (json!({ "max_ratio": 1_000_000, "max_bytes": 50_000_000 }), 50_000_000)]
        {
            // a frame of 100 MiB, a hundred times
            let zeros = zstd::stream::encode_all(std::io::repeat(0).take(100 << 20), 3).expect("memory");
            let bomb = zeros.repeat(100);
            bombs::ends_early(&Unzstd, &options, &mut &bomb[..], most);
        }
    }

    suite::processor_suite! {
        processor: Unzstd,
        options: [json!({}), json!({ "max_ratio": 2, "max_bytes": 100 })],
        pieces: ["\u{28}", "\u{1}\0\0", "abc", "\0"],
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn damage_anywhere_never_gives_other_content(
            content in proptest::collection::vec(any::<u8>(), 0..3000),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let mut packed = frame(&content);
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
            if let Ok(found) = unpack(&packed, json!({})) {
                prop_assert!(found == content || at == 4, "byte {}", at);
            }
        }
    }
}
