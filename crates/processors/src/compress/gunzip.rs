//! `gunzip`: the content of a gzip file (RFC 1952), of as many members as it has.
//!
//! Checksums and lengths are verified, and zeros behind the last member are padding, as gzip itself has it; anything else
//! there is an error, and so is a file that ends too soon. What was written before an error is no result.

use super::bombs::{self, BombLimits};
use super::unpacking::{self, Unpacker};
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::{ProcessError, Processor, ProcessorSpec, Transform, Work};
use flate2::{Decompress, FlushDecompress, Status};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const WINDOW_BITS: u8 = 15;

pub struct Gunzip;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("gunzip"),
    summary: Cow::Borrowed("Unpacks a gzip file."),
    options: bombs::OPTIONS,
};

impl Processor for Gunzip {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        unpacking::prepare::<Members>(options)
    }
}

/// Where in the file we are.
enum Place {
    /// Before a member, with as many bytes of its magic number as were seen.
    Between(usize),
    In(Box<Decompress>),
    /// Zeros to the end.
    Padding,
}

struct Members {
    place: Place,
    /// Where the member under way starts.
    member_at: u64,
    members: u64,
    at: u64,
    unpacked: u64,
    limits: BombLimits,
    out: Vec<u8>,
}

impl Unpacker for Members {
    fn new(limits: BombLimits) -> io::Result<Self> {
        let out = vec![0; IO_BLOCK_BYTES];
        Ok(Members { place: Place::Between(0), member_at: 0, members: 0, at: 0, unpacked: 0, limits, out })
    }

    fn feed(&mut self, mut bytes: &[u8], work: &mut Work<'_>) -> Result<(), ProcessError> {
        loop {
            if let Place::In(_) = &self.place {
                let taken = self.inflate(bytes, work)?;
                bytes = &bytes[taken..];
                // nothing is left unsaid at the end: a member's content is all out before its last eight bytes are taken
                if bytes.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let Some(first) = bytes.first() else { return Ok(()) };
            match &self.place {
                Place::Between(0) if *first == 0 && self.members > 0 => self.place = Place::Padding,
                Place::Between(seen) if *first == MAGIC[*seen] => self.begin_or_wait(),
                Place::Between(_) => return Err(self.no_member()),
                Place::Padding if *first == 0 => {}
                Place::Padding | Place::In(_) => return Err(self.no_member()),
            }
            self.at += 1;
            bytes = &bytes[1..];
        }
    }

    fn end(&self) -> Result<(), ProcessError> {
        match &self.place {
            Place::Between(0) if self.members == 0 => {
                Err(ProcessError::input("input_invalid", "the file is empty, which is no gzip file"))
            }
            Place::Between(0) | Place::Padding => Ok(()),
            Place::Between(_) | Place::In(_) => {
                let (at, start) = (self.at, self.member_at);
                let message =
                    format!("the gzip file ends at byte {at}, in the midst of the member that starts at byte {start}");
                Err(ProcessError::input("input_invalid", message))
            }
        }
    }
}

impl Members {
    /// One more byte of a magic number is there.
    fn begin_or_wait(&mut self) {
        if matches!(self.place, Place::Between(0)) {
            self.member_at = self.at;
            self.place = Place::Between(1);
            return;
        }
        let mut inflate = Box::new(Decompress::new_gzip(WINDOW_BITS));
        let begun = inflate.decompress(&MAGIC, &mut self.out, FlushDecompress::None);
        debug_assert!(begun.is_ok() && inflate.total_in() == 2, "two bytes of a head are taken");
        self.place = Place::In(inflate);
    }

    /// Unpacks a part of `bytes` and returns its length.
    fn inflate(&mut self, bytes: &[u8], work: &mut Work<'_>) -> Result<usize, ProcessError> {
        let Place::In(inflate) = &mut self.place else { return Ok(0) };
        let (in_before, out_before) = (inflate.total_in(), inflate.total_out());
        let result = inflate.decompress(bytes, &mut self.out, FlushDecompress::None);
        let (taken, made) = (inflate.total_in() - in_before, inflate.total_out() - out_before);
        self.at += taken;
        self.unpacked += made;
        let status = result.map_err(|e| broken(self.at, e.message().unwrap_or("it cannot be unpacked")))?;
        self.limits.check(self.at, self.unpacked)?;
        work.output.write_all(&self.out[..made as usize])?;
        match status {
            Status::StreamEnd => {
                self.members += 1;
                self.place = Place::Between(0);
            }
            Status::Ok | Status::BufError if taken == 0 && made == 0 && !bytes.is_empty() => {
                return Err(broken(self.at, "it cannot be unpacked"));
            }
            Status::Ok | Status::BufError => {}
        }
        Ok(taken as usize)
    }

    fn no_member(&self) -> ProcessError {
        let at = self.at;
        let message = match self.members {
            0 => "the file is no gzip file: it does not start with the bytes 1F 8B".to_owned(),
            _ => format!("byte {at} is behind the end of the gzip data and belongs to nothing"),
        };
        ProcessError::input("input_invalid", message)
    }
}

fn broken(at: u64, why: &str) -> ProcessError {
    ProcessError::input("input_invalid", format!("the gzip file is damaged near byte {at}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;
    use flate2::Compression;
    use flate2::read::GzEncoder;
    use proptest::prelude::*;
    use serde_json::json;
    use std::io::{Read, Write};

    fn member(content: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        GzEncoder::new(content, Compression::new(6)).read_to_end(&mut packed).expect("memory");
        packed
    }

    fn unpack(packed: &[u8], options: Value) -> Result<Vec<u8>, String> {
        suite::whole(&*suite::prepared(&Gunzip, &options), packed).map(|ran| ran.output).map_err(|e| e.to_string())
    }

    #[test]
    fn members_are_unpacked_one_behind_the_other() {
        let long: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let packed = [member(b"one"), member(b""), member(&long), vec![0; 600]].concat();
        assert!(unpack(&packed, json!({})) == Ok([b"one".to_vec(), long].concat()));
    }

    #[test]
    fn what_a_head_may_hold_is_passed_over() {
        let mut encoder = flate2::GzBuilder::new().filename("a").comment("b").extra(vec![7; 999]).mtime(5);
        encoder = encoder.operating_system(3);
        let mut encoder = encoder.write(Vec::new(), Compression::new(6));
        encoder.write_all(b"content").expect("memory");
        assert_eq!(unpack(&encoder.finish().expect("memory"), json!({})), Ok(b"content".to_vec()));
    }

    #[test]
    fn a_damaged_file_is_refused_and_the_message_says_where() {
        let good = member(b"some content that is not so short, not so short, not so short");
        let mut bad_crc = good.clone();
        bad_crc[good.len() - 8] ^= 1;
        let mut bad_length = good.clone();
        bad_length[good.len() - 1] ^= 1;
        for (packed, says) in [
            (vec![], "empty"),
            (b"PK".to_vec(), "1F 8B"),
            (vec![0x1f], "ends at byte 1,"),
            (vec![0; 100], "1F 8B"),
            (good[..10].to_vec(), "ends at byte 10,"),
            (good[..good.len() - 1].to_vec(), "the member that starts at byte 0"),
            ([&good[..], &good[..20]].concat(), "the member that starts at byte"),
            ([&good[..], b"x"].concat(), "behind the end"),
            ([&good[..], b"\0x"].concat(), "behind the end"),
            (bad_crc, "damaged near byte"),
            (bad_length, "damaged near byte"),
        ] {
            let error = unpack(&packed, json!({})).expect_err(says);
            assert!(error.contains(says), "{error}, not {says}");
        }
    }

    #[test]
    fn a_bomb_ends_at_its_limit_in_bounded_memory() {
        for (options, most) in
            [(json!({}), 20 << 20), (json!({ "max_ratio": 2000, "max_bytes": 50_000_000 }), 50_000_000)]
        {
            // 10 MiB that would be 10 GiB, made as they are read
            let zeros = std::io::repeat(0).take(10 << 30);
            bombs::ends_early(&Gunzip, &options, &mut GzEncoder::new(zeros, Compression::new(9)), most);
        }
    }

    #[test]
    fn a_bomb_in_a_bomb_is_unpacked_one_layer_deep() {
        let inner = member(&vec![0; 8 << 20]);
        assert!(unpack(&member(&inner), json!({})) == Ok(inner));
    }

    #[test]
    fn a_small_file_of_zeros_is_no_bomb() {
        assert!(unpack(&member(&vec![0; 1 << 20]), json!({ "max_ratio": 1 })).is_ok());
    }

    suite::processor_suite! {
        processor: Gunzip,
        options: [json!({}), json!({ "max_ratio": 2, "max_bytes": 100 })],
        pieces: ["\u{1f}", "\0", "abc", "\u{8}\0"],
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn damage_anywhere_never_gives_other_content(
            content in proptest::collection::vec(any::<u8>(), 0..3000),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let mut packed = member(&content);
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
            // the time, the level's hint and the system in the head say nothing about the content
            if let Ok(found) = unpack(&packed, json!({})) {
                prop_assert!(found == content, "byte {}", at);
            }
        }
    }
}
