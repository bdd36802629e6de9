//! Code that turns an input file into an output. Bytes in, bytes out, on a thread of its own (never on the runtime).
//!
//! Clauses:
//! * P1 cutting changes nothing: for every plan, the outputs of the chunks in order are the output of the whole input.
//! * P2 memory is bounded whatever the input: no buffer grows with a line, a record or the file.
//! * P3 `process` may run several times for the same chunk, also at the same time; each run gives the same bytes.
//! * P4 hostile input ends in an error that says where, never in a panic.

use crate::chunks::Cut;
use crate::task::TaskError;
use serde_json::{Map, Value};
use std::io::{Read, Write};
use std::ops::Range;

/// One kind of processing, as named in a rule's `process.kind`.
pub trait Processor: Send + Sync {
    fn spec(&self) -> &'static ProcessorSpec;
    /// Reads the options of a rule or an upload. The error names the option and what to do.
    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String>;
}

/// Feeds the docs, the API's schema and the console's form.
#[derive(Debug, serde::Serialize)]
pub struct ProcessorSpec {
    pub kind: &'static str,
    pub summary: &'static str,
    pub options: &'static [OptionSpec],
}

#[derive(Debug, serde::Serialize)]
pub struct OptionSpec {
    pub name: &'static str,
    /// A JSON type: `string`, `boolean`, `integer`, `array`, `object`.
    pub kind: &'static str,
    pub required: bool,
    pub summary: &'static str,
    pub example: &'static str,
}

/// A processor with its options read.
pub trait Transform: Send + Sync {
    fn cut(&self, input: InputFacts<'_>) -> Cut;
    /// The bytes that `process` may look at for this chunk, at least the chunk itself: records around its borders are
    /// the transform's affair. It need not read to the end of what it asked for.
    fn reach(&self, chunk: &Range<u64>, _input: InputFacts<'_>) -> Range<u64> {
        chunk.clone()
    }
    /// Turns the bytes of `chunk` into output. `input` starts at the start of `reach`.
    fn process(
        &self,
        chunk: &Range<u64>,
        input: &mut dyn Read,
        output: &mut dyn Write,
    ) -> Result<ChunkReport, ProcessError>;
    /// The content type of the result.
    fn content_type(&self, input: InputFacts<'_>) -> Option<String> {
        input.content_type.map(str::to_owned)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct InputFacts<'a> {
    pub key: &'a str,
    /// `u64::MAX` where it is not known (a pipe); such an input is one chunk.
    pub size: u64,
    pub content_type: Option<&'a str>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkReport {
    pub rejects: u64,
    pub note: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Reading the input or writing the output failed; the store's error is inside.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The input or the options are at fault.
    #[error("{}", .0.message)]
    Input(TaskError),
}
