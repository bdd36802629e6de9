//! Where chunks begin in an input whose records are lines: one pass over the bytes, in constant memory.
//!
//! A line starts at the first byte and behind each LF that has a byte behind it. Nothing here knows of quotes: records
//! that may hold line ends need a survey of their own.

use crate::chunks::{ChunkPlan, Start, Survey};
use crate::limits::IO_BLOCK_BYTES;
use std::io::{self, Read};

/// For each border of `plan` the first line that starts at or behind it. A line that covers several borders is one chunk.
pub fn survey_lines(plan: &ChunkPlan, input: &mut dyn Read) -> io::Result<Survey> {
    let mut pass = Pass { borders: plan.borders().peekable(), at: 0, ends: 0, starts: vec![Start::FIRST] };
    let mut block = vec![0; IO_BLOCK_BYTES];
    loop {
        match input.read(&mut block) {
            Ok(0) => break,
            Ok(read) => pass.take(&block[..read]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let input_bytes = pass.at;
    pass.starts.retain(|start| start.at == 0 || start.at < input_bytes);
    Ok(Survey { starts: pass.starts, note: serde_json::Value::Null })
}

struct Pass<I: Iterator<Item = u64>> {
    borders: std::iter::Peekable<I>,
    /// Bytes seen.
    at: u64,
    /// Line ends seen.
    ends: u64,
    starts: Vec<Start>,
}

impl<I: Iterator<Item = u64>> Pass<I> {
    fn take(&mut self, block: &[u8]) {
        let mut counted = 0;
        while let Some(border) = self.borders.peek() {
            // a line starts at or behind the border where an LF stands at or behind the byte before it
            let wanted = usize::try_from((border - 1).saturating_sub(self.at)).unwrap_or(usize::MAX).max(counted);
            if wanted >= block.len() {
                break;
            }
            self.ends += memchr::memchr_iter(b'\n', &block[counted..wanted]).count() as u64;
            let Some(end) = memchr::memchr(b'\n', &block[wanted..]) else {
                counted = block.len();
                break;
            };
            counted = wanted + end + 1;
            self.ends += 1;
            let at = self.at + counted as u64;
            self.starts.push(Start { at, line: self.ends + 1, record: self.ends });
            while self.borders.next_if(|border| *border <= at).is_some() {}
        }
        self.ends += memchr::memchr_iter(b'\n', &block[counted..]).count() as u64;
        self.at += block.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::{ChunkLimits, Cut};

    /// Gives `step` bytes at a time.
    struct Steps<'a>(&'a [u8], usize);

    impl Read for Steps<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(buf.len()).min(self.0.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// What the survey should say, in the plainest way.
    fn reference(input: &[u8], plan: &ChunkPlan) -> Vec<Start> {
        let starts = (1..input.len()).filter(|at| input[at - 1] == b'\n').map(|at| {
            let line = 1 + input[..at].iter().filter(|b| **b == b'\n').count() as u64;
            Start { at: at as u64, line, record: line - 1 }
        });
        let starts: Vec<Start> = starts.collect();
        let mut found = vec![Start::FIRST];
        found.extend(plan.borders().filter_map(|border| starts.iter().find(|s| s.at >= border).copied()));
        found.dedup();
        found
    }

    #[test]
    fn each_border_gets_the_first_line_at_or_behind_it() {
        for pattern in ["\n", "a", "ab\n", "a\n\n", "\nabcdefgh", "\r\n", "abcdefghij\nk\n"] {
            for length in 0..40 {
                let input: Vec<u8> = pattern.bytes().cycle().take(length).collect();
                for chunk_bytes in 1..12 {
                    let limits = ChunkLimits { chunk_bytes, chunks_max: 1000 };
                    let plan = ChunkPlan::of(length as u64, Cut::Surveyed, limits);
                    for step in [1, 2, 3, 7, 100] {
                        let survey = survey_lines(&plan, &mut Steps(&input, step)).expect("a survey");
                        assert_eq!(
                            survey.starts,
                            reference(&input, &plan),
                            "{pattern:?} {length} {chunk_bytes} {step}"
                        );
                        survey.check(length as u64, plan.count).expect("in order");
                    }
                }
            }
        }
    }
}
