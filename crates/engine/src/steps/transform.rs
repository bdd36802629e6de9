//! One range of the input through the transform into staged bytes, on a thread of its own.

use super::failure::{task_error_of_blob, task_error_of_process};
use super::{Step, Watched};
use filemill_core::object::{Attributes, Origin};
use filemill_core::ports::{BlobError, ChunkReport, InputFacts, ProcessError, Staged, Transform};
use filemill_core::task::TaskError;
use std::ops::Range;
use std::sync::Arc;

impl Step<'_> {
    pub(super) fn prepare(&self) -> Result<Arc<dyn Transform>, TaskError> {
        let prepared = self.ports.processors.prepare(&self.job.process);
        prepared.map(Arc::from).map_err(|message| TaskError::permanent("options", message))
    }

    pub(super) fn facts<'a>(&'a self, content_type: Option<&'a str>) -> InputFacts<'a> {
        InputFacts { key: &self.job.input.key, size: self.job.input.size, content_type }
    }

    /// What travels with the result.
    pub(super) fn result_attributes(&self, content_type: Option<String>) -> Attributes {
        let origin = Origin { job: self.job.id.clone(), generation: self.job.generation + 1 };
        Attributes { content_type, origin: Some(origin), ..Attributes::default() }
    }

    /// The staged output, the transform's report and the input's content type.
    pub(super) async fn transform(
        &self,
        transform: Arc<dyn Transform>,
        chunk: Range<u64>,
    ) -> Result<(Staged, ChunkReport, Option<String>), TaskError> {
        let input = &self.job.input;
        let reach = transform.reach(&chunk, self.facts(None));
        let reach = reach.start.min(input.size)..reach.end.min(input.size);
        let open = self.ports.blobs.open(&input.bucket, &input.key, Some(&input.etag), Some(reach)).await;
        let open = open.map_err(task_error_of_blob)?;
        let content_type = open.info.attributes.content_type.clone();
        let blobs = self.ports.blobs.clone();
        let mut reader = Watched { reader: open.body.into_reader(), watch: self.watch.clone() };
        let work = move || -> Result<(Staged, ChunkReport), WorkError> {
            let mut stage = blobs.stage(None)?;
            let report = transform.process(&chunk, &mut reader, &mut stage)?;
            Ok((stage.finish()?, report))
        };
        let (staged, report) = match self.ports.compute.run(work).await {
            Ok(Ok(made)) => made,
            Ok(Err(WorkError::Blob(e))) => return Err(task_error_of_blob(e)),
            Ok(Err(WorkError::Process(e))) => return Err(task_error_of_process(e)),
            Err(panicked) => {
                let message = "the processor stopped on this file; this is a bug in the processor";
                return Err(TaskError::transient("processor_panicked", message).with_detail(panicked));
            }
        };
        Ok((staged, report, content_type))
    }
}

enum WorkError {
    Blob(BlobError),
    Process(ProcessError),
}

impl From<BlobError> for WorkError {
    fn from(e: BlobError) -> Self {
        WorkError::Blob(e)
    }
}

impl From<ProcessError> for WorkError {
    fn from(e: ProcessError) -> Self {
        WorkError::Process(e)
    }
}
