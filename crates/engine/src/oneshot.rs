//! One file through one processor without stores, jobs or leases: the shell's `filemill run`.
//!
//! The same transforms as the service, in one pass from a reader to a writer, in constant memory.

use crate::registry::Registry;
use crate::steps::{Watch, Watched};
use filemill_core::ports::{ChunkReport, InputFacts, ProcessError, Transform};
use filemill_core::rule::Process;
use std::io::{Read, Write};
use std::sync::Arc;

pub struct OneShot {
    transform: Box<dyn Transform>,
    watch: Arc<Watch>,
}

#[derive(Debug, thiserror::Error)]
pub enum OneShotError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is at fault; the text is for the person who gave it.
    #[error("{0}")]
    Input(String),
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

    /// `size`: `None` for a pipe.
    pub fn run(
        &self,
        name: &str,
        size: Option<u64>,
        input: impl Read,
        output: &mut dyn Write,
    ) -> Result<ChunkReport, OneShotError> {
        let size = size.unwrap_or(u64::MAX);
        let facts = InputFacts { key: name, size, content_type: None };
        let all = 0..size;
        debug_assert_eq!(self.transform.reach(&all, facts), all, "a whole input reaches no further");
        let mut input = Watched { reader: input, watch: self.watch.clone() };
        let report = self.transform.process(&all, &mut input, output).map_err(|e| match e {
            ProcessError::Io(e) => OneShotError::Io(e),
            ProcessError::Input(e) => OneShotError::Input(e.message),
        })?;
        output.flush()?;
        Ok(report)
    }
}
