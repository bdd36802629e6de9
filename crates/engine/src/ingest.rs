//! The only place where files and jobs are born: announcements in, records out, then the acknowledgement.
//!
//! Idempotent: ids are derived from the announcement, a file moves only to a higher sequencer, and whoever comes late
//! or twice finds its work done.

mod birth;
mod derived;
mod supersede;

use crate::Engine;
use crate::error::CommandError;
use birth::{Heritage, birth, rules_for, sources_of};
use derived::{Derived, Refused};
use filemill_core::backfill::job_of;
use filemill_core::event::{EventKind, NewEvent};
use filemill_core::file::File;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::FileId;
use filemill_core::limits;
use filemill_core::object::{BucketName, ObjectKey, Sequencer};
use filemill_core::ports::{
    Announcement, AnnouncementKind, Change, ChangeSet, Durability, FindingQuery, StateError, is_newer,
};
use filemill_core::rule::Rule;
use filemill_core::upload::{Upload, UploadStatus};
use serde_json::json;
use supersede::{Gone, end_jobs};
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

/// Where somebody learned of an object's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Announcement,
    /// No announcement came; the bucket's listing told.
    Listing,
}

async fn ingest(engine: &Engine, announcement: &Announcement) -> Result<(), StateError> {
    record(engine, announcement, Source::Announcement).await.map(drop)
}

/// Records one change of an object. False where there was nothing left to do.
///
/// Open jobs of the version before end first, and the record gives way only if it is still that version: so no job of an
/// older version is open, or can be born, once the newer one's jobs are, and none can publish behind them. Whoever was
/// started over or backfilled in between ends right behind.
pub(crate) async fn record(engine: &Engine, change: &Announcement, source: Source) -> Result<bool, StateError> {
    let state = &engine.inner.ports.state;
    let id = FileId::of(&change.bucket, &change.key);
    let gone = Gone::before(change);
    for _ in 0..limits::DECISIONS_MAX {
        let known = state.file(&id).await?;
        if !is_newer(&change.sequencer, known.as_ref().map(|f| &f.sequencer)) {
            // whoever recorded it may have been stopped before the last step
            end_jobs(engine, &gone).await?;
            return Ok(false);
        }
        if known.is_some() {
            end_jobs(engine, &gone).await?;
        }
        let over = known.map(|f| f.sequencer);
        let replaces = over.is_some();
        let mut changes = match change.kind {
            AnnouncementKind::Created => created(engine, change, &id, over.clone(), source).await?,
            AnnouncementKind::Removed => removed(engine, change, &id, over.clone()),
        };
        if let Some(over) = over {
            match forget_findings_of(engine, change, over, &mut changes).await {
                Ok(()) => {}
                Err(StateError::Conflict(_)) => continue,
                Err(e) => return Err(e),
            }
        }
        let _until_stored = spans_of(change, &changes);
        match commit(engine, changes).await {
            Ok(()) if replaces => return end_jobs(engine, &gone).await.map(|()| true),
            Ok(()) => return Ok(true),
            // another ingest was faster, or the first reply was lost: look again
            Err(StateError::Conflict(_)) => continue,
            Err(e) => return Err(e),
        }
    }
    Err(StateError::Conflict(format!("file {id} changes too fast")))
}

/// One for each job that is born: a job is a trace.
fn spans_of(change: &Announcement, changes: &ChangeSet) -> Vec<tracing::Span> {
    let span = |change_set: &Change| match change_set {
        Change::InsertJob(job) => {
            let (job, rule, upload) = (&job.id, &job.rule, job.upload.as_ref().map(tracing::field::display));
            Some(tracing::debug_span!("ingest", %job, %rule, upload, received_at = %change.at, bytes = change.size))
        }
        _ => None,
    };
    changes.changes.iter().filter_map(span).collect()
}

/// Records that the object of this very version is gone, where no announcement tells. False if the record is another by now.
pub(crate) async fn record_gone(engine: &Engine, file: &File) -> Result<bool, StateError> {
    let gone = Gone::version(file);
    end_jobs(engine, &gone).await?;
    let file = File { removed_at: Some(engine.now()), repaired: true, ..file.clone() };
    let event = file_event(EventKind::FileRemoved, &file, engine);
    let mut changes = ChangeSet::new().with(Change::Emit(event)).with(engine.audited_repair(&file));
    forget_findings(engine, (&file.bucket, &file.key), &mut changes).await?;
    changes.push(Change::MarkRemoved(file));
    match engine.commit(changes, Durability::Lazy).await {
        Ok(_) => end_jobs(engine, &gone).await.map(|()| true),
        Err(StateError::Conflict(_)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The job of a file that was there before its rule, born under the id that it would have had. False where it is there, or
/// the file is not this version any more.
pub(crate) async fn bear_job(engine: &Engine, rule: &Rule, file: &File) -> Result<bool, StateError> {
    let version = Announcement {
        id: 0,
        kind: AnnouncementKind::Created,
        bucket: file.bucket.clone(),
        key: file.key.clone(),
        size: file.size,
        etag: file.etag.clone(),
        sequencer: file.sequencer.clone(),
        content_type: file.content_type.clone(),
        origin: file.origin.clone(),
        owner: file.owner.clone(),
        at: file.created_at,
    };
    let state = &engine.inner.ports.state;
    for _ in 0..limits::DECISIONS_MAX {
        let (sources, retry) = (sources_of(engine, rule, None), engine.inner.config.retry_of(rule));
        let reader = engine.reader_for(file.owner.as_ref(), &file.bucket).await?;
        let heritage = Heritage { sources, reader, owner: file.owner.clone() };
        let mut born = birth(&version, rule, rule.process.clone(), retry, heritage, None);
        let mut derived = Derived::from(engine, &version).await?;
        if let Some(derived) = &mut derived {
            born = derived.admit(born);
        }
        let mut changes = born.changes(engine.now()).with(Change::HoldFile(file.id.clone(), file.sequencer.clone()));
        changes.changes.extend(derived.and_then(Derived::change));
        match commit(engine, changes).await {
            Ok(()) => return Ok(true),
            Err(StateError::Conflict(_)) => {}
            Err(e) => return Err(e),
        }
        let is_this = |now: &File| now.sequencer == file.sequencer && now.removed_at.is_none();
        if state.job(&job_of(file, rule)).await?.is_some() || !state.file(&file.id).await?.as_ref().is_some_and(is_this)
        {
            return Ok(false);
        }
    }
    Err(StateError::Conflict(format!("the job of file {} cannot be stored", file.id)))
}

async fn created(
    engine: &Engine,
    a: &Announcement,
    id: &FileId,
    over: Option<Sequencer>,
    source: Source,
) -> Result<ChangeSet, StateError> {
    // a promise is kept by who made it: somebody else's object at the same key is not the one that was promised, and what
    // a job writes is none
    let upload = match &a.origin {
        None => engine.inner.ports.state.upload_for(&a.bucket, &a.key, a.owner.as_ref()).await?,
        Some(_) => None,
    };
    // a slow line may end after its link did, but not by days
    let upload = upload.filter(|u| a.at <= u.expires_at.plus(limits::MULTIPART_TTL));
    let file = File { repaired: source == Source::Listing, ..file_of(a, id, upload.as_ref()) };
    let mut changes = jobs_of(engine, a, &file, upload.as_ref()).await?;
    changes.push(Change::Emit(file_event(EventKind::FileCreated, &file, engine)));
    if file.repaired {
        changes.push(engine.audited_repair(&file));
    }
    changes.push(Change::PutFile { file, over });
    if let Some(mut upload) = upload {
        let was = std::mem::replace(&mut upload.status, UploadStatus::Received);
        changes.push(Change::UpdateUpload { upload, was });
    }
    Ok(changes)
}

/// The jobs that the object starts.
async fn jobs_of(
    engine: &Engine,
    a: &Announcement,
    file: &File,
    upload: Option<&Upload>,
) -> Result<ChangeSet, StateError> {
    let mut changes = ChangeSet::new();
    let starting = rules_for(engine, a, upload);
    if starting.is_empty() {
        return Ok(changes);
    }
    let reader = engine.reader_for(file.owner.as_ref(), &a.bucket).await?;
    let mut derived = Derived::from(engine, a).await?;
    for (rule, process) in starting {
        let (sources, retry) = (sources_of(engine, &rule, upload), engine.inner.config.retry_of(&rule));
        let heritage = Heritage { sources, reader: reader.clone(), owner: file.owner.clone() };
        let mut born = birth(a, &rule, process, retry, heritage, upload);
        if let Some(derived) = &mut derived {
            born = derived.admit(born);
        }
        changes.changes.extend(born.changes(engine.now()).changes);
    }
    changes.changes.extend(derived.and_then(Derived::change));
    Ok(changes)
}

async fn commit(engine: &Engine, changes: ChangeSet) -> Result<(), StateError> {
    let refused = Refused::of(&changes);
    engine.commit(changes, Durability::Lazy).await?;
    refused.tell();
    Ok(())
}

fn removed(engine: &Engine, a: &Announcement, id: &FileId, over: Option<Sequencer>) -> ChangeSet {
    let mut file = file_of(a, id, None);
    file.removed_at = Some(a.at);
    let event = file_event(EventKind::FileRemoved, &file, engine);
    ChangeSet::new().with(Change::PutFile { file, over }).with(Change::Emit(event))
}

/// What was found in the version before goes in the same step, or, as an object that starts as many rules as it may leaves
/// no room, in one right before. That holds the version: else it would take what another has found in the newer one.
async fn forget_findings_of(
    engine: &Engine,
    change: &Announcement,
    over: Sequencer,
    changes: &mut ChangeSet,
) -> Result<(), StateError> {
    let mut forgotten = ChangeSet::new();
    forget_findings(engine, (&change.bucket, &change.key), &mut forgotten).await?;
    if changes.changes.len() + forgotten.changes.len() <= limits::CHANGES_MAX {
        changes.changes.extend(forgotten.changes);
        return Ok(());
    }
    forgotten.push(Change::HoldFile(FileId::of(&change.bucket, &change.key), over));
    engine.commit(forgotten, Durability::Lazy).await.map(drop)
}

async fn forget_findings(
    engine: &Engine,
    (bucket, key): (&BucketName, &ObjectKey),
    changes: &mut ChangeSet,
) -> Result<(), StateError> {
    let limit = u32::try_from(limits::RULES_PER_OBJECT_MAX).unwrap_or(u32::MAX);
    let behind_its_keys = Some((bucket.clone(), key.clone(), String::new()));
    let query = FindingQuery { bucket: Some(bucket.clone()), after: behind_its_keys, limit, ..FindingQuery::default() };
    let page = engine.inner.ports.state.findings(&query).await?;
    for FindingRecord { processor, bucket, key, .. } in page.items.into_iter().filter(|found| found.key == *key) {
        changes.push(Change::RemoveFinding { processor, bucket, key });
    }
    Ok(())
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
        owner: a.owner.clone(),
        created_at: a.at,
        removed_at: None,
        repaired: false,
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
        owner: file.owner.clone(),
        data,
    }
}
