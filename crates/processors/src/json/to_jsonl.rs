//! `json.to_jsonl`: each element of an array on a line of its own; what is JSON Lines already comes out tidy.
//!
//! Blanks between tokens are removed, everything else stays byte for byte: the text of numbers, escapes, the order of
//! keys. Nothing is chosen, renamed or converted.

use super::compact::{Blocks, Gaps, without_gaps};
use super::fault::OnBad;
use super::records::{Layout, Records};
use super::{FROM, ON_BAD, cut, line_starts};
use crate::options;
use filemill_core::chunks::{ChunkPlan, Cut, Survey};
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::Read;

pub struct JsonToJsonl;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("json.to_jsonl"),
    summary: Cow::Borrowed("A JSON array to JSON Lines: each element on a line of its own, otherwise unchanged."),
    options: &[OptionSpec { default: "\"auto\"", ..FROM }, ON_BAD],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToJsonl {
    #[serde(default)]
    from: Layout,
    #[serde(default)]
    on_bad_record: OnBad,
}

impl Processor for JsonToJsonl {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(options::read::<ToJsonl>(options)?))
    }
}

impl Transform for ToJsonl {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        cut(self.from)
    }

    fn may_reject(&self) -> bool {
        self.on_bad_record == OnBad::Reject
    }

    fn survey(&self, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
        line_starts(plan, input, self.from, |_, _| Ok(Value::Null))
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let mut records = Records::new(work.input, self.from, chunk);
        let mut gaps = Gaps::default();
        let mut out = Blocks::new(work.output);
        let mut report = ChunkReport::default();
        while let Some(record) = records.next(&mut gaps)? {
            report.records += 1;
            if let Some(fault) = &record.fault {
                self.on_bad_record.settle(fault, record.start, record.bytes, work.rejects)?;
                continue;
            }
            without_gaps(0..record.bytes.len(), &gaps.0, |piece| out.put_within(record.bytes, piece));
            out.push(b'\n');
            out.pass_on()?;
        }
        out.flush()?;
        Ok(report)
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("application/x-ndjson".into())
    }
}
