//! The work of one task: plan, chunk, assemble. A step reads and makes bytes; it decides nothing and commits nothing.

mod assemble;
mod chunk;
mod failure;
mod plan;
mod transform;
mod watch;

pub(crate) use failure::task_error_of_blob;
pub(crate) use watch::{Watch, Watched};

use crate::Ports;
use filemill_core::chunks::{ChunkLimits, ChunkPlan};
use filemill_core::etag::Etag;
use filemill_core::job::{Job, Target};
use filemill_core::lifecycle::{Finished, Happening};
use filemill_core::object::ObjectRef;
use filemill_core::ports::{Publication, PublicationSource};
use filemill_core::task::{Task, TaskError, TaskKind};
use std::sync::Arc;

/// What a step made of its task.
pub(crate) struct Done {
    pub happening: Happening,
    /// The result, where the step finished the job.
    pub publication: Option<Publication>,
}

/// The bytes of a result, before they are visible.
struct Made {
    size: u64,
    etag: Etag,
    source: PublicationSource,
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

    /// The job is done: its result and the publication that makes it visible.
    fn finished(&self, plan: ChunkPlan, made: Made, content_type: Option<String>, rejects: u64) -> Done {
        let Made { size, etag, source } = made;
        let Target { bucket, key } = self.job.target.clone();
        let output = ObjectRef { bucket: bucket.clone(), key: key.clone(), size, etag: etag.clone() };
        let attributes = self.result_attributes(content_type);
        Done {
            happening: Happening::Finished(Finished { output, plan, rejects }),
            publication: Some(Publication { bucket, key, attributes, etag, size, source }),
        }
    }
}
