//! Code that turns an input file into an output. Bytes in, bytes out, on a thread of its own (never on the runtime).
//!
//! Clauses:
//! * P1 cutting changes nothing: for every plan, the outputs of the chunks in order are the output of the whole input,
//!   and so are the rejects. Where the whole fails, the first chunk that fails does so with the same words.
//! * P2 memory is bounded whatever the input: no buffer grows with a line, a record or the file beyond a stated limit.
//! * P3 `process` may run several times for the same chunk, also at the same time; each run gives the same bytes.
//! * P4 hostile input ends in an error that says where, never in a panic.
//! * P5 options of an upload are laid over a rule's: what an operator alone decides is no option.

use crate::chunks::{ChunkPlan, Cut, Survey};
use crate::object::{BucketName, ObjectKey};
use crate::reject::Reject;
use crate::task::TaskError;

pub use crate::report::ChunkReport;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::ops::Range;

/// One kind of processing, as named in a rule's `process.kind`.
pub trait Processor: Send + Sync {
    fn spec(&self) -> &ProcessorSpec;
    /// Reads the options of a rule or an upload. The error names the option and what to do.
    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String>;
}

impl<P: Processor + ?Sized> Processor for &P {
    fn spec(&self) -> &ProcessorSpec {
        (**self).spec()
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        (**self).prepare(options)
    }
}

/// Feeds the docs, the API's schema, `filemill rules explain` and the console's form.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ProcessorSpec {
    pub kind: Cow<'static, str>,
    pub summary: Cow<'static, str>,
    pub options: &'static [OptionSpec],
}

/// One option. Texts are for people; `example`, `default` and `choices` are JSON, so that they can be used as they are.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct OptionSpec {
    pub name: &'static str,
    /// A JSON type: `string`, `boolean`, `integer`, `array`, `object`; several are joined by ` or `.
    pub kind: &'static str,
    pub required: bool,
    pub summary: &'static str,
    pub example: &'static str,
    /// What holds where it is not given; empty if nothing does.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub default: &'static str,
    /// The values it may have; empty if any of its kind.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub choices: &'static [&'static str],
}

impl OptionSpec {
    /// To build on: `OptionSpec { required: true, ..OptionSpec::new(...) }`.
    pub const fn new(name: &'static str, kind: &'static str, summary: &'static str, example: &'static str) -> Self {
        OptionSpec { name, kind, required: false, summary, example, default: "", choices: &[] }
    }
}

/// A processor with its options read.
pub trait Transform: Send + Sync {
    fn cut(&self, input: InputFacts<'_>) -> Cut;

    /// [`Cut::Surveyed`] only: reads the whole input once, quicker than processing it, and says where chunks begin: for
    /// each border of `plan` the first record that starts at or behind it. One chunk needs no survey.
    fn survey(&self, _plan: &ChunkPlan, _input: &mut dyn Read) -> Result<Survey, ProcessError> {
        Ok(Survey::default())
    }

    /// Survey even an input of one chunk: the note is needed. An input that cannot be read twice is kept in a temporary
    /// file first.
    fn always_surveys(&self) -> bool {
        false
    }

    /// May records be set aside with these options? Then a place for them is made before the chunks run.
    fn may_reject(&self) -> bool {
        false
    }

    /// Does the work depend on more than the input's size, as that of an archive or of somebody's command does? Then even a
    /// small input has a task of its own, of which only so many run at a time.
    fn works_beyond_its_input(&self) -> bool {
        false
    }

    /// [`Cut::Anywhere`] only: the bytes that `process` may look at for this chunk, at least the chunk itself: records
    /// around its borders are the transform's affair. It need not read to the end of what it asked for.
    fn reach(&self, chunk: &Range<u64>, _input: InputFacts<'_>) -> Range<u64> {
        chunk.clone()
    }

    /// Turns one chunk into output. `work.input` starts at the start of `reach`.
    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError>;

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
    /// Names the version of the input, where it is an object.
    pub etag: Option<&'a str>,
}

/// The part of the input that a run of `process` is about.
#[derive(Clone, Debug)]
pub struct Chunk<'a> {
    pub input: InputFacts<'a>,
    /// The bytes of the input that are this chunk's. A whole input of unknown size ends at `u64::MAX`.
    pub range: Range<u64>,
    pub index: u32,
    /// Is there no chunk behind this one?
    pub is_last: bool,
    /// The number of the chunk's first line, from 1, where the input was surveyed or is one chunk.
    pub line: u64,
    /// Records before the chunk, likewise.
    pub record: u64,
    /// What the survey noted for all chunks. `Null` without a survey.
    pub note: &'a Value,
}

impl<'a> Chunk<'a> {
    /// The whole input as one chunk.
    pub fn whole(input: InputFacts<'a>) -> Self {
        Chunk { input, range: 0..input.size, index: 0, is_last: true, line: 1, record: 0, note: &Value::Null }
    }
}

/// What a run of `process` works with.
pub struct Work<'a> {
    pub input: &'a mut dyn Read,
    pub output: &'a mut dyn Write,
    /// Bad records that are set aside. Writing one never ends the job; whether they are too many is decided later.
    pub rejects: &'a mut dyn RejectSink,
    /// Other objects, and links.
    pub sources: &'a dyn Sources,
    pub pulse: &'a dyn Pulse,
}

/// Where bad records go: to a file of JSON Lines beside the result.
pub trait RejectSink {
    fn reject(&mut self, reject: &Reject<'_>) -> io::Result<()>;
}

/// Signs of life from work that waits for something else than reads and writes, which are signs by themselves.
pub trait Pulse: Sync {
    fn beat(&self);
    /// The work is not wanted any more: end soon, with any error.
    fn is_stopped(&self) -> bool;
    /// Where the work is done elsewhere: what it takes of this machine from now on, so that others are let in beside it.
    fn takes(&self, _load: Load) {}
}

/// What a chunk takes of the machine while it is worked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// A core, as work within this process does.
    #[default]
    Core,
    /// Half a core: another process computes, and waits between.
    Half,
    /// Nothing to speak of: it waits.
    Rest,
}

/// Objects beside the input, as far as the job's owner may read them.
pub trait Sources: Sync {
    /// `None`: it is not there, or it is not for this caller; nobody can tell which.
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError>;
    /// This very version. One that was replaced or removed meanwhile is an error with the code `source_changed`.
    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError>;
    /// A presigned link to the job's input, where a service gives one.
    fn input_link(&self) -> Result<String, ProcessError>;
}

/// `key` in the default bucket, or `s3://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceName {
    pub bucket: Option<BucketName>,
    pub key: ObjectKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    pub name: SourceName,
    pub size: u64,
    /// Names the version, as text.
    pub etag: String,
}

impl SourceName {
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            let key = ObjectKey::parse(text).map_err(|e| e.to_string())?;
            return Ok(SourceName { bucket: None, key });
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let wrong = |e: crate::object::NameError| format!("{e}; write s3://bucket/key, or a key alone");
        Ok(SourceName {
            bucket: Some(BucketName::parse(bucket).map_err(wrong)?),
            key: ObjectKey::parse(key).map_err(wrong)?,
        })
    }
}

impl std::fmt::Display for SourceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.bucket {
            Some(bucket) => write!(f, "s3://{bucket}/{}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Reading the input or writing the output failed; the store's error is inside.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The input, the options or something else that the processor needs is at fault; it says which, and whether trying
    /// again can help.
    #[error("{}", .0.message)]
    Failed(TaskError),
}

impl ProcessError {
    /// The input is at fault, for good. `code` is stable and explained in `docs/api.md`; the message is for the person
    /// who uploaded the file and says where.
    pub fn input(code: &str, message: impl Into<String>) -> Self {
        ProcessError::Failed(TaskError::permanent(code, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_key_or_an_address() {
        for text in ["a/b.txt", "s3://uploads/a", "s3://uploads//a/../b", "../x", "http://x/y"] {
            assert_eq!(SourceName::parse(text).expect(text).to_string(), text);
        }
        for bad in ["", "s3://", "s3://uploads", "s3://uploads/", "s3:///x", "s3://UP/x", "a\0b"] {
            assert!(SourceName::parse(bad).is_err(), "{bad}");
        }
    }
}
