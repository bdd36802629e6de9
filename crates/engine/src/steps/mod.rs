//! The work of one task: plan, chunk, assemble. A step reads and makes bytes; it decides nothing and commits nothing.

mod assemble;
mod chunk;
mod failure;
mod plan;
mod transform;
mod watch;

pub(crate) use failure::task_error_of_blob;
pub(crate) use watch::{Stopped, Watch, Watched};

use crate::Ports;
use filemill_core::chunks::ChunkLimits;
use filemill_core::job::Job;
use filemill_core::lifecycle::Happening;
use filemill_core::ports::Publication;
use filemill_core::task::{Task, TaskError, TaskKind};
use std::sync::Arc;

/// What a step made of its task.
pub(crate) struct Done {
    pub happening: Happening,
    /// The result, where the step finished the job.
    pub publication: Option<Publication>,
}

pub(crate) struct Step<'a> {
    pub ports: &'a Ports,
    pub job: &'a Job,
    pub task: &'a Task,
    pub chunk_limits: ChunkLimits,
    pub watch: Arc<Watch>,
}

impl Step<'_> {
    pub async fn run(&self) -> Result<Done, TaskError> {
        match self.task.id.kind {
            TaskKind::Plan => self.plan().await,
            TaskKind::Chunk => self.chunk().await,
            TaskKind::Assemble => self.assemble().await,
        }
    }
}
