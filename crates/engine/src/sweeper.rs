//! Makes good what was missed: uploads that never came, parts that nobody gathers, jobs without a task,
//! leftovers, messages that grew old.
//!
//! Every duty is idempotent and guarded, so that several sweepers at once are harmless. Expired leases need no duty:
//! the queue leases them again.

use crate::Engine;
use crate::error::CommandError;
use filemill_core::event::{EventKind, NewEvent};
use filemill_core::job::Job;
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::object::BucketName;
use filemill_core::ports::{
    BlobError, Change, ChangeSet, Durability, ListMultiparts, MultipartInfo, MultipartRef, StateError,
};
use filemill_core::upload::{Upload, UploadStatus};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let mut sweeps: u32 = 0;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = engine.inner.ports.clock.sleep(engine.inner.config.sweep_interval) => {}
        }
        sweeps = sweeps.wrapping_add(1);
        let with_store = sweeps.is_multiple_of(limits::SWEEPS_PER_STORE_SWEEP);
        if let Err(e) = pass(engine, with_store).await {
            tracing::warn!(error = %e, "sweep did not finish");
        }
    }
}

impl Engine {
    /// One whole sweep, the stores' own included.
    pub async fn sweep(&self) -> Result<(), CommandError> {
        pass(self, true).await
    }
}

async fn pass(engine: &Engine, with_store: bool) -> Result<(), CommandError> {
    expire_uploads(engine).await?;
    revive_stranded_jobs(engine).await?;
    engine.give_up_kept_chunks().await?;
    abort_forgotten_multiparts(engine).await?;
    let state = &engine.inner.ports.state;
    while state.clean(limits::EVENTS_KEPT, limits::SWEEP_BATCH).await? >= u64::from(limits::SWEEP_BATCH) {}
    while engine.inner.ports.messages.tidy(limits::SWEEP_BATCH).await? >= u64::from(limits::SWEEP_BATCH) {}
    if with_store {
        engine.inner.ports.blobs.sweep().await?;
    }
    Ok(())
}

/// A promise that nobody kept ends as `expired`, visible, with its parts removed.
async fn expire_uploads(engine: &Engine) -> Result<(), CommandError> {
    let ports = &engine.inner.ports;
    let now = engine.now();
    for upload in ports.state.overdue_uploads(now.minus(limits::UPLOAD_GRACE), limits::SWEEP_BATCH).await? {
        if let Some(id) = upload.multipart.clone() {
            abort(engine, &MultipartRef { bucket: upload.bucket.clone(), key: upload.key.clone(), id }).await?;
        }
        let data = json!({ "bucket": upload.bucket, "key": upload.key });
        let id = Some(upload.id.clone());
        let event = NewEvent { kind: EventKind::UploadExpired, at: now, job: None, file: None, upload: id, data };
        let was = upload.status;
        let upload = Upload { status: UploadStatus::Expired, ..upload };
        let changes = ChangeSet::new().with(Change::UpdateUpload { upload, was }).with(Change::Emit(event));
        match engine.commit(changes, Durability::Lazy).await {
            // a conflict: it was kept after all
            Ok(_) | Err(StateError::Conflict(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// The invariant says that there are none; if a bug or a damaged store made one, it goes on.
async fn revive_stranded_jobs(engine: &Engine) -> Result<(), CommandError> {
    for job in engine.inner.ports.state.stranded_jobs(limits::SWEEP_BATCH).await? {
        let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
        let decision = lifecycle::decide(snapshot, Happening::Stranded, engine.now(), 0);
        if let Decision::Commit { changes, durability, .. } = decision {
            tracing::warn!(job = %job.id, "job had no task and got one");
            match engine.commit(changes, durability).await {
                Ok(_) | Err(StateError::Conflict(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

/// Parts of ended jobs, of plans that lost their race, and of uploads that nobody finished in a day.
async fn abort_forgotten_multiparts(engine: &Engine) -> Result<(), CommandError> {
    for bucket in engine.inner.ports.blobs.buckets().await? {
        abort_forgotten_in(engine, bucket.name).await?;
    }
    Ok(())
}

async fn abort_forgotten_in(engine: &Engine, bucket: BucketName) -> Result<(), CommandError> {
    // a plan that is being committed right now is younger than a few leases
    let begun_before = engine.now().minus(engine.inner.config.lease * limits::LEASE_RENEWALS);
    let limit = limits::SWEEP_BATCH;
    let mut query = ListMultiparts { bucket: Some(bucket), limit, ..ListMultiparts::default() };
    query.begun_before = Some(begun_before);
    loop {
        let page = engine.inner.ports.blobs.multiparts(&query).await?;
        for begun in &page {
            if is_forgotten(engine, begun).await? {
                abort(engine, &begun.upload).await?;
            }
        }
        match page.last() {
            Some(last) if page.len() == limit as usize => {
                query.after = Some((last.upload.key.to_string(), Some(last.upload.id.clone())));
            }
            _ => return Ok(()),
        }
    }
}

async fn is_forgotten(engine: &Engine, begun: &MultipartInfo) -> Result<bool, StateError> {
    let Some(origin) = &begun.attributes.origin else {
        return Ok(begun.begun_at < engine.now().minus(limits::MULTIPART_TTL));
    };
    let job = engine.inner.ports.state.job(&origin.job).await?;
    let id = Some(&begun.upload.id);
    let is_its = |j: &Job| [&j.multipart, &j.reject_multipart].iter().any(|known| known.as_ref() == id);
    Ok(job.is_none_or(|j| j.is_over() || !is_its(&j)))
}

async fn abort(engine: &Engine, upload: &MultipartRef) -> Result<(), CommandError> {
    match engine.inner.ports.blobs.abort_multipart(upload).await {
        Ok(()) | Err(BlobError::NotFound(_)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
