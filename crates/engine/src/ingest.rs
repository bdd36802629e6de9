//! The only place where files and jobs are born: announcements in, records out, then the acknowledgement.
//!
//! Idempotent: ids are derived from the announcement, a file moves only to a higher sequencer, and whoever comes late
//! or twice finds its work done.

use crate::Engine;
use crate::error::CommandError;
use crate::publish::abandon_multiparts;
use filemill_core::event::{EventKind, NewEvent};
use filemill_core::file::File;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::{FileId, JobId};
use filemill_core::job::{Failure, Job, JobStatus, Target};
use filemill_core::key_template::KeyParts;
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::matching::Subject;
use filemill_core::object::{BucketName, ObjectRef, Sequencer};
use filemill_core::ports::{
    Announcement, AnnouncementKind, Change, ChangeSet, Durability, FindingQuery, StateError, is_newer,
};
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{Process, Rule};
use filemill_core::upload::{Upload, UploadStatus};
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let ports = &engine.inner.ports;
    loop {
        match pass(engine).await {
            Ok(0) => tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = ports.blobs.announced() => {}
                () = ports.clock.sleep(limits::SWEEP_INTERVAL) => {}
            },
            Ok(_) => {}
            Err(e) => {
                tracing::warn!(error = %e, "announcements cannot be ingested");
                engine.pause_for_outage(&stop).await;
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// One batch. Answers how many announcements were dealt with.
pub(crate) async fn pass(engine: &Engine) -> Result<usize, CommandError> {
    let ports = &engine.inner.ports;
    let batch = ports.blobs.announcements(limits::INGEST_BATCH).await?;
    let outcomes = futures::future::join_all(batch.iter().map(|a| ingest(engine, a))).await;
    let mut done = Vec::with_capacity(batch.len());
    let mut failed = None;
    for (announcement, outcome) in batch.iter().zip(outcomes) {
        match outcome {
            Ok(()) => done.push(announcement.id),
            Err(e) => failed = Some(e),
        }
    }
    if !done.is_empty() {
        ports.blobs.acknowledge(&done).await?;
    }
    match failed {
        // what failed is announced again
        Some(e) if done.is_empty() => Err(e.into()),
        _ => Ok(done.len()),
    }
}

/// Records one announcement. `Ok` also where there was nothing left to do.
///
/// Open jobs of the version before end first, and the record gives way only if it is still that version: so no job of an
/// older version is open, or can be born, once the newer one's jobs are, and none can publish behind them.
async fn ingest(engine: &Engine, announcement: &Announcement) -> Result<(), StateError> {
    let state = &engine.inner.ports.state;
    let id = FileId::of(&announcement.bucket, &announcement.key);
    for _ in 0..limits::DECISIONS_MAX {
        let known = state.file(&id).await?;
        if !is_newer(&announcement.sequencer, known.as_ref().map(|f| &f.sequencer)) {
            return Ok(());
        }
        if known.is_some() {
            supersede_older(engine, announcement).await?;
        }
        let over = known.map(|f| f.sequencer);
        let found = if over.is_some() { findings_of(engine, announcement).await? } else { Vec::new() };
        let mut changes = match announcement.kind {
            AnnouncementKind::Created => created(engine, announcement, &id, over).await?,
            AnnouncementKind::Removed => removed(engine, announcement, &id, over),
        };
        for FindingRecord { processor, bucket, key, .. } in found {
            changes.push(Change::RemoveFinding { processor, bucket, key });
        }
        match engine.commit(changes, Durability::Lazy).await {
            Ok(_) => return Ok(()),
            // another ingest was faster, or the first reply was lost: look again
            Err(StateError::Conflict(_)) => continue,
            Err(e) => return Err(e),
        }
    }
    Err(StateError::Conflict(format!("file {id} changes too fast")))
}

async fn created(
    engine: &Engine,
    a: &Announcement,
    id: &FileId,
    over: Option<Sequencer>,
) -> Result<ChangeSet, StateError> {
    let upload = engine.inner.ports.state.upload_for(&a.bucket, &a.key).await?;
    // a slow line may end after its link did, but not by days
    let upload = upload.filter(|u| a.at <= u.expires_at.plus(limits::MULTIPART_TTL));
    let now = engine.now();
    let file = file_of(a, id, upload.as_ref());
    let mut changes = ChangeSet::new();
    changes.push(Change::Emit(file_event(EventKind::FileCreated, &file, engine)));
    changes.push(Change::PutFile { file, over });
    for (rule, process) in rules_for(engine, a, upload.as_ref()) {
        let sources = sources_of(engine, &rule, upload.as_ref());
        let retry = engine.inner.config.retry_of(&rule);
        changes.changes.extend(birth(a, &rule, process, retry, sources, upload.as_ref(), now).changes);
    }
    if let Some(mut upload) = upload {
        let was = std::mem::replace(&mut upload.status, UploadStatus::Received);
        changes.push(Change::UpdateUpload { upload, was });
    }
    Ok(changes)
}

fn removed(engine: &Engine, a: &Announcement, id: &FileId, over: Option<Sequencer>) -> ChangeSet {
    let mut file = file_of(a, id, None);
    file.removed_at = Some(a.at);
    let event = file_event(EventKind::FileRemoved, &file, engine);
    ChangeSet::new().with(Change::PutFile { file, over }).with(Change::Emit(event))
}

/// What was found in the version before goes with it.
async fn findings_of(engine: &Engine, a: &Announcement) -> Result<Vec<FindingRecord>, StateError> {
    let limit = u32::try_from(limits::RULES_PER_OBJECT_MAX).unwrap_or(u32::MAX);
    let behind_its_keys = Some((a.bucket.clone(), a.key.clone(), String::new()));
    let query =
        FindingQuery { bucket: Some(a.bucket.clone()), after: behind_its_keys, limit, ..FindingQuery::default() };
    let page = engine.inner.ports.state.findings(&query).await?;
    Ok(page.items.into_iter().filter(|found| found.key == a.key).collect())
}

fn file_of(a: &Announcement, id: &FileId, upload: Option<&Upload>) -> File {
    File {
        id: id.clone(),
        bucket: a.bucket.clone(),
        key: a.key.clone(),
        size: a.size,
        etag: a.etag.clone(),
        content_type: a.content_type.clone(),
        sequencer: a.sequencer.clone(),
        upload: upload.map(|u| u.id.clone()),
        origin: a.origin.clone(),
        created_at: a.at,
        removed_at: None,
    }
}

fn file_event(kind: EventKind, file: &File, engine: &Engine) -> NewEvent {
    let data = json!({ "bucket": file.bucket, "key": file.key, "size": file.size, "etag": file.etag });
    NewEvent {
        kind,
        at: engine.now(),
        job: file.origin.as_ref().map(|o| o.job.clone()),
        file: Some(file.id.clone()),
        upload: file.upload.clone(),
        data,
    }
}

/// The rule that the upload named, or all that match; each with the options to use.
fn rules_for(engine: &Engine, a: &Announcement, upload: Option<&Upload>) -> Vec<(Arc<Rule>, Process)> {
    let rules = &engine.inner.config.rules;
    if let Some((upload, wanted)) = upload.and_then(|u| u.rule.as_ref().map(|r| (u, r))) {
        let Some(rule) = rules.get(wanted) else {
            tracing::warn!(upload = %upload.id, rule = %wanted, "an upload names a rule that is gone");
            return Vec::new();
        };
        return vec![(rule.clone(), rule.process_with(&upload.options))];
    }
    let subject = Subject { key: &a.key, size: a.size, content_type: a.content_type.as_deref() };
    let matching = rules.starting_from(&a.bucket, subject, a.origin.as_ref());
    matching.map(|rule| (rule.clone(), rule.process.clone())).collect()
}

/// What the job may read besides its input. Whoever can put a manifest into a bucket need not be allowed to read all
/// others; whoever orders by the API is.
fn sources_of(engine: &Engine, rule: &Rule, upload: Option<&Upload>) -> Option<Vec<BucketName>> {
    let is_order = upload.is_some_and(|upload| upload.is_order);
    match &rule.sources {
        Some(named) => Some(named.clone()),
        None if is_order => None,
        None => Some(vec![rule.from.clone(), engine.inner.config.default_bucket.clone()]),
    }
}

/// The job of this object and rule, as first commit.
fn birth(
    a: &Announcement,
    rule: &Rule,
    process: Process,
    retry: RetryPolicy,
    sources: Option<Vec<BucketName>>,
    upload: Option<&Upload>,
    now: filemill_core::time::Timestamp,
) -> ChangeSet {
    let parts = KeyParts { bucket: &a.bucket, key: &a.key, rule: rule.id.as_str() };
    let wanted = rule.output.key.key_for(parts);
    let target_key = wanted.as_ref().unwrap_or(&a.key).clone();
    let job = Job {
        id: JobId::of(&a.bucket, &a.key, a.sequencer.as_str(), rule.id.as_str(), a.at),
        rev: 1,
        status: JobStatus::Queued,
        rule: rule.id.clone(),
        process,
        input: ObjectRef { bucket: a.bucket.clone(), key: a.key.clone(), size: a.size, etag: a.etag.clone() },
        sequencer: a.sequencer.clone(),
        target: Target { bucket: rule.output.bucket.clone(), key: target_key },
        output: None,
        queue: rule.queue.clone(),
        retry,
        delete_source: rule.delete_source,
        run: 1,
        plan: None,
        multipart: None,
        reject_multipart: None,
        chunks_planned: 0,
        chunks_done: 0,
        bytes_in: 0,
        bytes_out: 0,
        rejects: 0,
        records: 0,
        tolerance: rule.rejects,
        reject_file: None,
        summary: serde_json::Map::new(),
        result_name: None,
        sources,
        attempts: 0,
        failure: None,
        dead_letter: None,
        resumable_until: None,
        upload: upload.map(|u| u.id.clone()),
        metadata: upload.map(|u| u.metadata.clone()).unwrap_or_default(),
        generation: a.origin.as_ref().map_or(0, |o| o.generation),
        created_at: a.at,
        started_at: None,
        finished_at: None,
    };
    match impossible_target(&job, wanted.err().map(|e| e.to_string())) {
        None => lifecycle::create(job, now),
        Some(message) => {
            let failure = Failure { code: lifecycle::NO_TARGET.into(), message, detail: None };
            lifecycle::create_failed(job, failure, now)
        }
    }
}

fn impossible_target(job: &Job, key_error: Option<String>) -> Option<String> {
    let written = [&job.target.key, &job.target.reject_key()];
    let overwrites_input = job.target.bucket == job.input.bucket && written.contains(&&job.input.key);
    match key_error {
        Some(e) => Some(format!("the rule's output key cannot be made from this key: {e}")),
        None if overwrites_input => Some("the rule's result would overwrite its own input".into()),
        None => None,
    }
}

/// Open jobs of older versions of this object have nothing left to read.
async fn supersede_older(engine: &Engine, a: &Announcement) -> Result<(), StateError> {
    for job in engine.inner.ports.state.open_jobs_of(&a.bucket, &a.key).await? {
        if job.sequencer < a.sequencer {
            supersede(engine, job, a.kind).await?;
        }
    }
    Ok(())
}

async fn supersede(engine: &Engine, mut job: Job, by: AnnouncementKind) -> Result<(), StateError> {
    let ports = &engine.inner.ports;
    let happening = match by {
        AnnouncementKind::Created => Happening::Superseded,
        AnnouncementKind::Removed => Happening::InputRemoved,
    };
    for _ in 0..limits::DECISIONS_MAX {
        let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
        let decision = lifecycle::decide(snapshot, happening.clone(), engine.now(), 0);
        let Decision::Commit { changes, durability, .. } = decision else { return Ok(()) };
        match engine.commit(changes, durability).await {
            Ok(_) => {
                abandon_multiparts(ports, &job).await;
                return Ok(());
            }
            Err(StateError::Conflict(_)) => match ports.state.job(&job.id).await? {
                Some(newer) => job = newer,
                None => return Ok(()),
            },
            Err(e) => return Err(e),
        }
    }
    Err(StateError::Conflict(format!("job {} changes too fast", job.id)))
}
