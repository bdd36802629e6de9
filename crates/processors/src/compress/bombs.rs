//! What unpacking may make of its input: a ratio and a size. Both are options; what is beyond them is a bomb.
//!
//! The first MiB is free, so a small file of zeros passes. It counts what was unpacked so far against what was read so
//! far: a bomb ends a block behind its limit, however long it would have gone on.

use crate::options;
use filemill_core::limits::{GIB, MIB};
use filemill_core::ports::{OptionSpec, ProcessError};
use serde::Deserialize;
use serde_json::{Map, Value};
#[cfg(test)]
use {filemill_core::ports::Processor, std::io::Read};

/// Logs reach 100 and more; deflate ends at 1,032, zstd at none.
const RATIO_DEFAULT: u64 = 200;
const BYTES_DEFAULT: u64 = 64 * GIB;
const FREE_BYTES: u64 = MIB;

pub static OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        default: "200",
        ..OptionSpec::new(
            "max_ratio",
            "integer",
            "Unpacked bytes for one packed byte, at most; the first MiB is not counted.",
            "1000",
        )
    },
    OptionSpec {
        default: "68719476736",
        ..OptionSpec::new("max_bytes", "integer", "Unpacked bytes, at most; 64 GiB if not given.", "1073741824")
    },
];

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BombLimits {
    max_ratio: u64,
    max_bytes: u64,
}

impl Default for BombLimits {
    fn default() -> Self {
        BombLimits { max_ratio: RATIO_DEFAULT, max_bytes: BYTES_DEFAULT }
    }
}

impl BombLimits {
    pub fn read(from: &Map<String, Value>) -> Result<Self, String> {
        let limits: BombLimits = options::read(from)?;
        for (name, value) in [("max_ratio", limits.max_ratio), ("max_bytes", limits.max_bytes)] {
            if value == 0 {
                return Err(format!("option {name:?} is 0; use 1 or more"));
            }
        }
        Ok(limits)
    }

    /// `packed` bytes became `unpacked` so far.
    pub fn check(&self, packed: u64, unpacked: u64) -> Result<(), ProcessError> {
        if unpacked > self.max_bytes {
            let message = format!("unpacked, the file has more than {} bytes, which is max_bytes", self.max_bytes);
            return Err(ProcessError::input("bomb", message));
        }
        if unpacked.saturating_sub(FREE_BYTES) > packed.saturating_mul(self.max_ratio) {
            let message = format!(
                "the first {packed} bytes of the file unpack to more than {} times as many, which is max_ratio",
                self.max_ratio
            );
            return Err(ProcessError::input("bomb", message));
        }
        Ok(())
    }
}

/// Unpacks an endless bomb: it ends as one after `most` bytes at the latest, and little memory was held.
#[cfg(test)]
pub fn ends_early(processor: &dyn Processor, options: &Value, bomb: &mut dyn Read, most: u64) {
    use crate::suite::{self, Calm, Discard, Shelf};
    use filemill_core::ports::{Chunk, InputFacts, RejectSink, Work};
    use filemill_core::reject::Reject;

    struct Nowhere;

    impl RejectSink for Nowhere {
        fn reject(&mut self, _: &Reject<'_>) -> std::io::Result<()> {
            Ok(())
        }
    }

    let transform = suite::prepared(processor, options);
    let (mut output, mut error) = (Discard(0), None);
    let facts = InputFacts { key: "bomb", size: u64::MAX, content_type: None, etag: None };
    let held = allocation_counter::measure(|| {
        let (output, rejects, sources) = (&mut output, &mut Nowhere, &Shelf::default());
        let mut work = Work { input: bomb, output, rejects, sources, pulse: &Calm };
        error = transform.process(&Chunk::whole(facts), &mut work).err();
    });
    let error = error.expect("a bomb");
    assert!(matches!(&error, ProcessError::Failed(e) if e.code == "bomb"), "{error}");
    assert!(output.0 <= most, "{} bytes were written", output.0);
    assert!(held.bytes_max < 4 << 20, "{} bytes were held", held.bytes_max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_hold_to_the_byte() {
        let limits = BombLimits { max_ratio: 10, max_bytes: 3 * MIB };
        for (packed, unpacked, is_fine) in [
            (1, MIB, true),
            (0, MIB + 1, false),
            (1, MIB + 10, true),
            (1, MIB + 11, false),
            (MIB, 3 * MIB, true),
            (MIB, 3 * MIB + 1, false),
            (u64::MAX, 1, true),
        ] {
            assert_eq!(limits.check(packed, unpacked).is_ok(), is_fine, "{packed} to {unpacked}");
        }
    }
}
