//! What becomes of an input once all of its jobs have completed.

use crate::Engine;
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits;
use filemill_core::object::ObjectRef;
use filemill_core::ports::{BlobError, JobQuery, Precondition, StateError};

/// `delete_source = true`: the input goes once every job of this version has completed without rejects and every result was
/// read back whole (a read checks the checksum). Asked at each completion, so the last one finds the others done.
pub(super) async fn retire_source(engine: &Engine, job: &Job) {
    let rules = engine.inner.config.rules.all();
    if !job.delete_source && !rules.iter().any(|rule| rule.delete_source && rule.from == job.input.bucket) {
        return;
    }
    if let Err(e) = try_retire(engine, job).await {
        tracing::warn!(job = %job.id, error = %e, "source is kept");
    }
}

#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("the result {} does not read back whole", .0.key)]
    Unreadable(ObjectRef),
}

async fn try_retire(engine: &Engine, job: &Job) -> Result<(), Kept> {
    let (ports, input) = (&engine.inner.ports, &job.input);
    let jobs = jobs_of_version(engine, job).await?;
    // the reject file shortens records; the input is where they are whole
    let has_ended_well = |other: &Job| other.status == JobStatus::Completed && other.rejects == 0;
    if !jobs.iter().any(|other| other.delete_source) || !jobs.iter().all(has_ended_well) {
        return Ok(());
    }
    for output in jobs.iter().filter_map(|other| other.output.as_ref()) {
        read_back(engine, output).await?;
    }
    let condition = Precondition::IfSequencer(job.sequencer.clone());
    match ports.blobs.delete(&input.bucket, &input.key, condition).await {
        // a newer one took its place, or another completion was faster
        Ok(_) | Err(BlobError::NotFound(_) | BlobError::Conflict(_)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// All jobs that were born with this one. Lists go from the newest; a key that ends in `*` also finds others' jobs.
async fn jobs_of_version(engine: &Engine, job: &Job) -> Result<Vec<Job>, StateError> {
    let (bucket, key) = (Some(job.input.bucket.clone()), Some(job.input.key.to_string()));
    let mut query = JobQuery { bucket, key, limit: limits::PAGE_MAX, ..JobQuery::default() };
    let mut found = Vec::new();
    loop {
        let page = engine.inner.ports.state.jobs(&query).await?;
        let last = page.items.last().map(|last| (last.id.clone(), last.created_at));
        let is_one = |other: &Job| other.input.key == job.input.key && other.sequencer == job.sequencer;
        found.extend(page.items.into_iter().filter(is_one));
        match last {
            Some((id, created_at)) if page.more && created_at >= job.created_at => query.after = Some(id),
            _ => return Ok(found),
        }
    }
}

async fn read_back(engine: &Engine, output: &ObjectRef) -> Result<(), Kept> {
    let ports = &engine.inner.ports;
    let open = ports.blobs.open(&output.bucket, &output.key, Some(&output.etag), None).await?;
    let reading = move || std::io::copy(&mut open.body.into_reader(), &mut std::io::sink());
    match ports.compute.run(reading).await {
        Ok(Ok(size)) if size == output.size => Ok(()),
        _ => Err(Kept::Unreadable(output.clone())),
    }
}
