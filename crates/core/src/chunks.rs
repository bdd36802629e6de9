//! How an input is cut. Planning reads nothing: borders follow from the size alone, so it is O(1) for any file.

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

/// Equal chunks of `chunk_bytes`, the last one shorter. An empty input is one empty chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPlan {
    pub input_bytes: u64,
    pub chunk_bytes: u64,
    pub count: u32,
}

impl ChunkPlan {
    pub fn of(input_bytes: u64, cut: Cut, limits: ChunkLimits) -> Self {
        let target = match cut {
            Cut::Whole => input_bytes.max(1),
            Cut::Anywhere => limits.chunk_bytes.max(1).max(input_bytes.div_ceil(u64::from(limits.chunks_max.max(1)))),
        };
        let count = input_bytes.div_ceil(target).max(1);
        let count = u32::try_from(count).expect("the chunk size was chosen so that the count stays below its limit");
        ChunkPlan { input_bytes, chunk_bytes: target, count }
    }

    /// The bytes of chunk `index`, which is below `count`.
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
    fn a_whole_input_is_one_chunk() {
        let plan = ChunkPlan::of(1 << 42, Cut::Whole, ChunkLimits::default());
        assert_eq!((plan.count, plan.range(0)), (1, 0..1 << 42));
    }
}
