//! `jsonl.to_json`: JSON Lines to one JSON array, an element a line. Zero records are `[]`.
//!
//! Each record stays byte for byte. The first chunk opens the array and holds the first record that is accepted, so each
//! later one begins with a comma; the last one closes it.

use super::compact::Blocks;
use super::fault::OnBad;
use super::records::{Layout, Records};
use super::scan::Check;
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

pub struct JsonlToJson;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("jsonl.to_json"),
    summary: Cow::Borrowed("JSON Lines to one JSON array, each record unchanged."),
    options: &[OptionSpec { default: "\"lines\"", ..FROM }, ON_BAD],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToJson {
    #[serde(default = "lines")]
    from: Layout,
    #[serde(default)]
    on_bad_record: OnBad,
}

/// As the name says: here a line that starts with `[` is a record.
fn lines() -> Layout {
    Layout::Lines
}

impl Processor for JsonlToJson {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(options::read::<ToJson>(options)?))
    }
}

impl ToJson {
    /// Where the first record starts that will be accepted; the end of the input if there is none.
    fn first_accepted(&self, records: &mut Records<'_>) -> Result<u64, ProcessError> {
        loop {
            match records.next(&mut Check) {
                Ok(Some(record)) if record.fault.is_none() => return Ok(record.start.byte),
                Ok(Some(_)) if self.on_bad_record == OnBad::Reject => continue,
                Err(ProcessError::Io(e)) => return Err(e.into()),
                // whatever it is, processing will say it
                _ => return Ok(u64::MAX),
            }
        }
    }
}

impl Transform for ToJson {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        cut(self.from)
    }

    fn may_reject(&self) -> bool {
        self.on_bad_record == OnBad::Reject
    }

    fn survey(&self, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
        let mut first = 0;
        let mut survey = line_starts(plan, input, self.from, |records, _| {
            first = self.first_accepted(records)?;
            Ok(Value::Null)
        })?;
        survey.starts.retain(|start| start.at == 0 || start.at > first);
        Ok(survey)
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let mut records = Records::new(work.input, self.from, chunk);
        let mut out = Blocks::new(work.output);
        let mut report = ChunkReport::default();
        let mut before: &[u8] = if chunk.index == 0 { b"[\n" } else { b",\n" };
        while let Some(record) = records.next(&mut Check)? {
            report.records += 1;
            if let Some(fault) = &record.fault {
                self.on_bad_record.settle(fault, record.start, record.bytes, work.rejects)?;
                continue;
            }
            out.put(before);
            out.put(record.bytes);
            before = b",\n";
            out.pass_on()?;
        }
        if chunk.is_last {
            let is_empty = before == b"[\n";
            out.put(if is_empty { b"[]\n" } else { b"\n]\n" });
        }
        out.flush()?;
        Ok(report)
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("application/json".into())
    }
}
