//! How a processor is proved (clause P1): chunked equals whole, for any cut. Tests of every processor use this.

use filemill_core::chunks::{ChunkLimits, ChunkPlan};
use filemill_core::ports::{InputFacts, Transform};
use std::io::Read;

/// The output of the chunks in order, cut as the engine would cut with this chunk size.
pub fn chunked(transform: &dyn Transform, input: &[u8], chunk_bytes: u64) -> Vec<u8> {
    let facts = InputFacts { key: "input", size: input.len() as u64, content_type: None };
    let limits = ChunkLimits { chunk_bytes, chunks_max: u32::MAX };
    let plan = ChunkPlan::of(facts.size, transform.cut(facts), limits);
    let mut output = Vec::new();
    for index in 0..plan.count {
        let chunk = plan.range(index);
        let reach = transform.reach(&chunk, facts);
        let reach = reach.start as usize..(reach.end as usize).min(input.len());
        let mut dribble = Dribble { rest: &input[reach], step: 1 };
        transform.process(&chunk, &mut dribble, &mut output).expect("the input is readable");
    }
    output
}

/// Cuts the input in chunks of every size from 1 to its length.
pub fn every_cut_equals(transform: &dyn Transform, input: &[u8], expected: &[u8]) {
    for chunk_bytes in 1..=(input.len() as u64).max(1) {
        let output = chunked(transform, input, chunk_bytes);
        assert_eq!(output, expected, "chunks of {chunk_bytes} bytes, input {input:?}");
    }
}

/// Gives one byte, then two, then four: no transform may depend on how reads fall.
struct Dribble<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.step.min(buf.len()).min(self.rest.len());
        buf[..n].copy_from_slice(&self.rest[..n]);
        self.rest = &self.rest[n..];
        self.step = (self.step * 2).min(1 << 18);
        Ok(n)
    }
}
