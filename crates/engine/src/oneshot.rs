//! One file through one processor without stores, jobs or leases: the shell's `filemill run`.
//!
//! The same transforms as the service, in one pass from a reader to a writer, in constant memory.

use crate::registry::Registry;
use crate::steps::{Watch, Watched};
use filemill_core::chunks::{ChunkLimits, ChunkPlan, Cut, Survey};
use filemill_core::ports::{Chunk, ChunkReport, InputFacts, ProcessError, RejectSink, Sources, Transform, Work};
use filemill_core::reject::Reject;
use filemill_core::rule::Process;
use std::io::{self, Read, Write};
use std::sync::Arc;

pub struct OneShot {
    transform: Box<dyn Transform>,
    watch: Arc<Watch>,
}

/// Where the bytes come from and go.
pub struct OneShotWork<'a> {
    pub input: &'a mut dyn Read,
    pub output: &'a mut dyn Write,
    /// Records that were set aside, as JSON Lines.
    pub rejects: &'a mut dyn Write,
    pub sources: &'a dyn Sources,
}

#[derive(Debug)]
pub struct OneShotDone {
    pub report: ChunkReport,
    pub rejects: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum OneShotError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is at fault; the text is for the person who gave it.
    #[error("{0}")]
    Input(String),
}

impl From<ProcessError> for OneShotError {
    fn from(e: ProcessError) -> Self {
        match e {
            ProcessError::Io(e) => OneShotError::Io(e),
            ProcessError::Failed(e) => match e.detail {
                Some(detail) => OneShotError::Input(format!("{}: {detail}", e.message)),
                None => OneShotError::Input(e.message),
            },
        }
    }
}

impl OneShot {
    /// The error says what is wrong with the processor's kind or options.
    pub fn new(processors: &Registry, process: &Process) -> Result<Self, String> {
        Ok(OneShot { transform: processors.prepare(process)?, watch: Arc::default() })
    }

    /// Bytes of the input read so far, for a progress bar on another thread.
    pub fn bytes_read(&self) -> u64 {
        self.watch.bytes_read()
    }

    /// Must the input be read twice? Then [`OneShot::survey`] comes first.
    pub fn needs_survey(&self) -> bool {
        self.transform.always_surveys()
    }

    pub fn survey(&self, size: u64, input: &mut dyn Read) -> Result<Survey, OneShotError> {
        let plan = ChunkPlan::of(size, Cut::Whole, ChunkLimits::default());
        Ok(self.transform.survey(&plan, input)?)
    }

    /// `size`: `None` for a pipe.
    pub fn run(
        &self,
        name: &str,
        size: Option<u64>,
        survey: Option<Survey>,
        work: OneShotWork<'_>,
    ) -> Result<OneShotDone, OneShotError> {
        let facts = InputFacts { key: name, size: size.unwrap_or(u64::MAX), content_type: None, etag: None };
        let note = survey.map_or(serde_json::Value::Null, |survey| survey.note);
        let chunk = Chunk { note: &note, ..Chunk::whole(facts) };
        debug_assert_eq!(self.transform.reach(&chunk.range, facts), chunk.range, "a whole input reaches no further");
        let mut input = Watched { reader: work.input, watch: self.watch.clone() };
        let mut rejects = Rejects { out: work.rejects, count: 0 };
        let mut work = Work {
            input: &mut input,
            output: work.output,
            rejects: &mut rejects,
            sources: work.sources,
            pulse: &*self.watch,
        };
        let report = self.transform.process(&chunk, &mut work)?;
        work.output.flush()?;
        rejects.out.flush()?;
        Ok(OneShotDone { report, rejects: rejects.count })
    }
}

struct Rejects<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl RejectSink for Rejects<'_> {
    fn reject(&mut self, reject: &Reject<'_>) -> io::Result<()> {
        self.count += 1;
        reject.write_to(self.out)
    }
}
