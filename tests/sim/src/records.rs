//! A processor for simulations that uses all of the port: it surveys lines, sets some aside, counts and finds. Beside it
//! its meaning, said in the plainest way, which the checkers judge by.
//!
//! A line that holds a comma is rejected; any other is written behind its number.

use filemill_core::chunks::{ChunkPlan, Cut, Start, Survey};
use filemill_core::finding::Finding;
use filemill_core::ports::{Chunk, ChunkReport, InputFacts, ProcessError, Processor, ProcessorSpec, Transform, Work};
use filemill_core::reject::Reject;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

pub const KIND: &str = "sim.records";
/// Of all lines, that may be rejected.
pub const PERCENT: f64 = 40.0;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed(KIND),
    summary: Cow::Borrowed("Numbers lines and sets those with a comma aside."),
    options: &[],
};

pub struct SimRecords;

struct Numbering;

impl Processor for SimRecords {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, _options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(Numbering))
    }
}

impl Transform for Numbering {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Surveyed
    }

    fn may_reject(&self) -> bool {
        true
    }

    fn survey(&self, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
        let mut content = Vec::new();
        input.read_to_end(&mut content)?;
        let mut starts = vec![Start::FIRST];
        for border in plan.borders() {
            let before = lines(&content).take_while(|(at, _)| (*at as u64) < border);
            let (count, end) = before.fold((0, 0), |(count, _), (at, line)| (count + 1, at + line.len()));
            let at = end as u64;
            if at > starts.last().map_or(0, |s| s.at) && at < plan.input_bytes {
                starts.push(Start { at, line: count + 1, record: count });
            }
        }
        Ok(Survey { starts, note: json!({ "bytes": content.len() }) })
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let mut content = Vec::new();
        work.input.read_to_end(&mut content)?;
        let mut report = ChunkReport::default();
        for (number, (at, line)) in (chunk.line..).zip(lines(&content)) {
            report.records += 1;
            match accepted(number, line) {
                Some(text) => work.output.write_all(&text)?,
                None => {
                    let byte = chunk.range.start + at as u64;
                    work.rejects.reject(&Reject { line: number, byte, column: None, reason: REASON, record: line })?;
                }
            }
        }
        report.summary.insert("lines".into(), report.records.into());
        if chunk.index == 0 && chunk.is_last {
            let values = BTreeMap::from([("lines".to_owned(), report.records as f64)]);
            report.finding = Some(Finding { label: "LINES".into(), values });
        }
        Ok(report)
    }
}

const REASON: &str = "it holds a comma";

/// Each line with its line end, and where it starts.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    content.split_inclusive(|b| *b == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line)
    })
}

fn accepted(number: u64, line: &[u8]) -> Option<Vec<u8>> {
    (!line.contains(&b',')).then(|| [format!("{number}:").as_bytes(), line].concat())
}

/// What one pass over the whole input gives.
pub struct Expected {
    pub output: Vec<u8>,
    pub reject_file: Vec<u8>,
    pub rejects: u64,
    pub records: u64,
}

impl Expected {
    pub fn of(content: &[u8]) -> Self {
        let mut expected = Expected { output: Vec::new(), reject_file: Vec::new(), rejects: 0, records: 0 };
        for (number, (at, line)) in (1..).zip(lines(content)) {
            expected.records += 1;
            match accepted(number, line) {
                Some(text) => expected.output.extend(text),
                None => {
                    expected.rejects += 1;
                    let reject = Reject { line: number, byte: at as u64, column: None, reason: REASON, record: line };
                    reject.write_to(&mut expected.reject_file).expect("memory");
                }
            }
        }
        expected
    }

    pub fn is_refused(&self) -> bool {
        self.rejects as f64 * 100.0 > PERCENT * self.records as f64
    }
}
