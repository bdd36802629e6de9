//! The work of one task: plan, chunk, assemble. A step reads and makes bytes; it decides nothing and commits nothing.

mod assemble;
mod chunk;
mod failure;
mod plan;
mod rejects;
mod sources;
mod transform;
mod watch;

pub(crate) use failure::{Stopped, place_is_taken, task_error_of_blob};
pub(crate) use watch::{Watch, Watched};

use crate::Ports;
use filemill_core::chunks::{ChunkLimits, ChunkPlan};
use filemill_core::etag::Etag;
use filemill_core::job::{Failure, Job};
use filemill_core::lifecycle::{Finished, Happening};
use filemill_core::object::{BucketName, ObjectKey, ObjectRef};
use filemill_core::ports::{ChunkReport, Publication, PublicationSource};
use filemill_core::task::{Task, TaskKind};
use std::sync::Arc;
use std::time::Duration;

/// Of the reject file: a line of JSON for each.
const REJECTS_TYPE: &str = "application/x-ndjson";

/// What a step made of its task.
pub(crate) struct Done {
    pub happening: Happening,
    /// The result and the rejects, where the step finished the job.
    pub publications: Vec<Publication>,
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
    /// Of sources without a bucket.
    pub default_bucket: &'a BucketName,
    /// Of links to the input.
    pub link_ttl: Duration,
}

impl Step<'_> {
    pub async fn run(&self) -> Result<Done, Stopped> {
        match self.task.id.kind {
            TaskKind::Plan => self.plan().await,
            TaskKind::Chunk => self.chunk().await,
            TaskKind::Assemble => self.assemble().await,
        }
    }

    /// The job is done: its result, unless too many records were rejected, its rejects, and the publications that make
    /// them visible.
    fn finished(
        &self,
        plan: ChunkPlan,
        result: Made,
        content_type: Option<String>,
        (rejects, reject_file): (u64, Option<Made>),
        report: ChunkReport,
    ) -> Done {
        let mut publications = Vec::new();
        // before the result: where they are not one write, a result must not be seen of a job that ends without
        let reject_file = reject_file.map(|made| {
            let (key, content_type) = (self.job.target.reject_key(), Some(REJECTS_TYPE.to_owned()));
            let (object, publication) = self.publication(key, made, content_type);
            publications.push(publication);
            object
        });
        let outcome = match self.job.tolerance.refuses(rejects, report.records) {
            None => {
                let (output, publication) = self.publication(self.job.target.key.clone(), result, content_type);
                publications.push(publication);
                Ok(output)
            }
            Some(message) => Err(Failure { code: "too_many_rejects".into(), message, detail: None }),
        };
        let finished = Finished { outcome, plan, rejects, reject_file, report };
        Done { happening: Happening::Finished(finished), publications }
    }

    fn publication(&self, key: ObjectKey, made: Made, content_type: Option<String>) -> (ObjectRef, Publication) {
        let Made { size, etag, source } = made;
        let bucket = self.job.target.bucket.clone();
        let object = ObjectRef { bucket: bucket.clone(), key: key.clone(), size, etag: etag.clone() };
        let attributes = self.result_attributes(content_type);
        let replaces_only = self.job.replaces_only();
        (object, Publication { bucket, key, attributes, etag, size, replaces_only, source })
    }
}
