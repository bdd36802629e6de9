//! One range of the input through the transform into staged bytes, on a thread of its own.

use super::failure::{Stopped, stopped_by_blobs, stopped_in_processor};
use super::rejects::StagedRejects;
use super::sources::JobSources;
use super::watch::Beating;
use super::{Step, Watched};
use filemill_core::chunks::{ChunkPlan, Start, Survey};
use filemill_core::object::{Attributes, ObjectRef, Origin};
use filemill_core::ports::{
    BlobError, Chunk, ChunkReport, InputFacts, OpenObject, ProcessError, Staged, Transform, Work,
};
use filemill_core::task::TaskError;
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

/// What a transform made of a chunk.
pub(super) struct Transformed {
    pub output: Staged,
    /// The bytes of the rejects, if there are any.
    pub rejects: Option<Staged>,
    pub reject_count: u64,
    pub report: ChunkReport,
    /// Of the input.
    pub content_type: Option<String>,
}

/// Which chunk.
pub(super) struct Place {
    pub index: u32,
    pub range: Range<u64>,
    pub is_last: bool,
    pub start: Start,
    pub note: Value,
}

impl Place {
    pub fn of(plan: ChunkPlan, survey: Option<Survey>, index: u32) -> Self {
        let is_last = index + 1 == plan.count;
        match survey {
            None => Place { index, range: plan.range(index), is_last, start: Start::FIRST, note: Value::Null },
            Some(survey) => {
                let range = survey.range(index, plan.input_bytes);
                Place { index, range, is_last, start: survey.starts[index as usize], note: survey.note }
            }
        }
    }
}

impl Step<'_> {
    pub(super) fn prepare(&self) -> Result<Arc<dyn Transform>, TaskError> {
        let process = &self.job.process;
        if self.ports.processors.spec(process.kind.as_str()).is_none() {
            // a service that was started with another config is no fault of the file's
            let message = format!("this service has no processor {:?} now", process.kind);
            return Err(TaskError::transient("no_processor", message));
        }
        let prepared = self.ports.processors.prepare(process);
        prepared.map(Arc::from).map_err(|message| TaskError::permanent("options", message))
    }

    pub(super) fn facts<'a>(&'a self, content_type: Option<&'a str>) -> InputFacts<'a> {
        let input = &self.job.input;
        InputFacts { key: &input.key, size: input.size, content_type, etag: Some(input.etag.as_str()) }
    }

    /// What travels with the result.
    pub(super) fn result_attributes(&self, content_type: Option<String>) -> Attributes {
        let job = &self.job;
        let (generation, original) = (job.generation + 1, job.original.clone());
        let origin = Origin { job: job.id.clone(), generation, original };
        let owner = job.owner.clone();
        Attributes { content_type, origin: Some(origin), owner, ..Attributes::default() }
    }

    /// Reads the whole input for its borders and its note.
    pub(super) async fn survey(&self, transform: Arc<dyn Transform>, plan: ChunkPlan) -> Result<Survey, Stopped> {
        let open = self.open(0..self.job.input.size).await?;
        let mut reader = Watched { reader: open.body.into_reader(), watch: self.watch.clone() };
        let survey = self.compute(move || Ok(transform.survey(&plan, &mut reader)?)).await?;
        survey.check(self.job.input.size, plan.count).map_err(|message| TaskError::permanent("survey", message))?;
        Ok(survey)
    }

    pub(super) async fn transform(&self, transform: Arc<dyn Transform>, place: Place) -> Result<Transformed, Stopped> {
        let reach = transform.reach(&place.range, self.facts(None));
        let open = self.open(reach).await?;
        let content_type = open.info.attributes.content_type.clone();
        let (blobs, watch, sources) = (self.ports.blobs.clone(), self.watch.clone(), JobSources::of(self));
        let ObjectRef { key, size, etag, .. } = self.job.input.clone();
        let mut reader = Watched { reader: open.body.into_reader(), watch: watch.clone() };
        let work = move || {
            let content_type_given = content_type.as_deref();
            let input = InputFacts { key: &key, size, content_type: content_type_given, etag: Some(etag.as_str()) };
            let Place { index, range, is_last, start, note } = place;
            let chunk = Chunk { input, range, index, is_last, line: start.line, record: start.record, note: &note };
            let mut output = Beating { inner: blobs.stage(None)?, watch: watch.clone() };
            let mut rejects = StagedRejects::new(blobs);
            let mut work = Work {
                input: &mut reader,
                output: &mut output,
                rejects: &mut rejects,
                sources: &sources,
                pulse: &*watch,
            };
            let report = transform.process(&chunk, &mut work)?;
            let output = output.inner.finish()?;
            let (rejects, reject_count) = rejects.finish()?;
            Ok(Transformed { output, rejects, reject_count, report, content_type })
        };
        self.compute(work).await
    }

    /// The version that the job is about.
    async fn open(&self, range: Range<u64>) -> Result<OpenObject, Stopped> {
        let input = &self.job.input;
        let range = range.start.min(input.size)..range.end.min(input.size);
        let open = self.ports.blobs.open(&input.bucket, &input.key, Some(&input.etag), Some(range)).await;
        open.map_err(stopped_by_blobs)
    }

    async fn compute<T, F>(&self, work: F) -> Result<T, Stopped>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, WorkError> + Send + 'static,
    {
        match self.ports.compute.run(work).await {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(WorkError::Blob(e))) => Err(stopped_by_blobs(e)),
            Ok(Err(WorkError::Process(e))) => Err(stopped_in_processor(e)),
            Err(panicked) => {
                let message = "the processor stopped on this file; this is a bug in the processor";
                Err(TaskError::transient("processor_panicked", message).with_detail(panicked).into())
            }
        }
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
