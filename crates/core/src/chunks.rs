//! How an input is cut. Borders follow from the size alone, so planning reads nothing and is O(1) for any file; only
//! where records cannot be found from any byte on (a quoted line end in CSV) a survey reads the input once before.

use crate::limits;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a transform says about an input: can it be cut?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Only as a whole, in one pass.
    Whole,
    /// At any byte; the transform finds its own records around a border.
    Anywhere,
    /// Where a survey of the whole input says that records begin.
    Surveyed,
}

/// Where the chunks of a surveyed input begin: rising, the first at byte 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    pub starts: Vec<Start>,
    /// What every chunk needs to know, such as a header. A few KiB; at most [`limits::SURVEY_NOTE_BYTES_MAX`] of JSON.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub note: serde_json::Value,
}

/// Stored as a list of three numbers: a long input has 10,000 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, u64)", into = "(u64, u64, u64)")]
pub struct Start {
    /// Byte of the input, from 0.
    pub at: u64,
    /// Number of the line that starts here, from 1.
    pub line: u64,
    /// Records before.
    pub record: u64,
}

impl From<(u64, u64, u64)> for Start {
    fn from((at, line, record): (u64, u64, u64)) -> Self {
        Start { at, line, record }
    }
}

impl From<Start> for (u64, u64, u64) {
    fn from(start: Start) -> Self {
        (start.at, start.line, start.record)
    }
}

impl Start {
    /// Of an input.
    pub const FIRST: Start = Start { at: 0, line: 1, record: 0 };
}

impl Survey {
    /// The bytes of chunk `index`, which is below the number of starts.
    pub fn range(&self, index: u32, input_bytes: u64) -> Range<u64> {
        let start = self.starts[index as usize].at;
        let end = self.starts.get(index as usize + 1).map_or(input_bytes, |next| next.at);
        start..end
    }

    /// What a transform must give, checked where it is used.
    pub fn check(&self, input_bytes: u64, chunks_max: u32) -> Result<(), String> {
        let rises = self.starts.windows(2).all(|pair| pair[0].at < pair[1].at && pair[1].at <= input_bytes);
        if self.starts.first().map(|s| s.at) != Some(0) || !rises || self.starts.len() > chunks_max as usize {
            return Err(format!(
                "a survey of {} starts does not cover {input_bytes} bytes in order",
                self.starts.len()
            ));
        }
        Ok(())
    }
}

/// What the engine and the store ask of a plan.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// Target size of a chunk in bytes.
    pub chunk_bytes: u64,
    /// Most chunks that one job may have; the size grows to stay below.
    pub chunks_max: u32,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        ChunkLimits { chunk_bytes: limits::CHUNK_BYTES_MIN, chunks_max: limits::PARTS_MAX }
    }
}

/// Equal chunks of `chunk_bytes`, the last one shorter; where the input was surveyed, chunks that begin where the survey
/// says. An empty input is one empty chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPlan {
    pub input_bytes: u64,
    pub chunk_bytes: u64,
    pub count: u32,
    /// A survey is stored, and has the chunks' ranges.
    #[serde(default)]
    pub surveyed: bool,
}

impl ChunkPlan {
    pub fn of(input_bytes: u64, cut: Cut, limits: ChunkLimits) -> Self {
        let target = match cut {
            Cut::Whole => input_bytes.max(1),
            Cut::Anywhere | Cut::Surveyed => {
                limits.chunk_bytes.max(1).max(input_bytes.div_ceil(u64::from(limits.chunks_max.max(1))))
            }
        };
        let count = input_bytes.div_ceil(target).max(1);
        let count = u32::try_from(count).expect("the chunk size was chosen so that the count stays below its limit");
        ChunkPlan { input_bytes, chunk_bytes: target, count, surveyed: false }
    }

    /// The borders between chunks, without the ends of the input.
    pub fn borders(&self) -> impl Iterator<Item = u64> + '_ {
        (1..self.count).map(|index| self.range(index).start)
    }

    /// The bytes of chunk `index`, which is below `count`, where no survey has them.
    pub fn range(&self, index: u32) -> Range<u64> {
        let start = (u64::from(index) * self.chunk_bytes).min(self.input_bytes);
        start..start.saturating_add(self.chunk_bytes).min(self.input_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_input_exactly_once() {
        for size in (0..70).chain([1 << 40, u64::MAX / 2]) {
            for chunk_bytes in [1, 3, 8, 64] {
                let plan = ChunkPlan::of(size, Cut::Anywhere, ChunkLimits { chunk_bytes, chunks_max: 100 });
                assert!((1..=100).contains(&plan.count));
                let mut at = 0;
                for i in 0..plan.count {
                    let range = plan.range(i);
                    assert_eq!(range.start, at);
                    assert!(size == 0 || !range.is_empty());
                    at = range.end;
                }
                assert_eq!(at, size);
            }
        }
    }

    #[test]
    fn a_survey_covers_the_input_in_order() {
        let survey = |starts: &[u64]| Survey {
            starts: starts.iter().map(|at| Start { at: *at, line: 1, record: 0 }).collect(),
            note: serde_json::Value::Null,
        };
        assert!(survey(&[0, 5, 10]).check(10, 3).is_ok());
        for bad in [&[][..], &[1], &[0, 5, 5], &[0, 6, 5], &[0, 11], &[0, 1, 2, 3]] {
            assert!(survey(bad).check(10, 3).is_err(), "{bad:?}");
        }
        let read: Survey = serde_json::from_str(r#"{"starts": [[0, 1, 0], [7, 3, 2]]}"#).expect("a survey");
        assert_eq!((read.range(0, 9), read.range(1, 9)), (0..7, 7..9));
    }

    #[test]
    fn a_whole_input_is_one_chunk() {
        let plan = ChunkPlan::of(1 << 42, Cut::Whole, ChunkLimits::default());
        assert_eq!((plan.count, plan.range(0)), (1, 0..1 << 42));
    }
}
