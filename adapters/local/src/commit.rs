//! Change sets: every condition first, against the state before the set, then every change (S1, S2).
//!
//! Documents are serialised before the set reaches the writer, whose time is everybody's.

use crate::blobs::BlobFolder;
use crate::effects::TaskNews;
use crate::failure::{Halt, Step, refuse};
use crate::findings;
use crate::jobs;
use crate::multipart::{self, Part};
use crate::objects::{self, NewObject, Stored};
use crate::records;
use crate::rows::{to_json, to_sql};
use crate::stage::Content;
use crate::tasks;
use crate::writer::Tx;
use filemill_core::checksum::Checksums;
use filemill_core::event::NewEvent;
use filemill_core::file::File;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::{FileId, KeyId};
use filemill_core::job::Job;
use filemill_core::limits::CHANGES_MAX;
use filemill_core::object::{ObjectInfo, Sequencer};
use filemill_core::ports::*;
use filemill_core::task::ChunkRecord;
use filemill_core::upload::Upload;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A set that is well-formed, with its documents and its content ready.
pub(crate) struct Prepared {
    changes: Vec<(Change, String)>,
    publications: Vec<Ready>,
}

struct Ready {
    new: NewObject,
    replaces_only: Option<KeyId>,
    source: Source,
}

enum Source {
    Staged { content: Content, size: u64 },
    Parts { id: String, parts: Vec<PartRef> },
}

/// What the check of a publication found, for its writing.
struct Target {
    current: Option<Stored>,
    parts: Vec<Part>,
}

impl Prepared {
    pub(crate) fn new(set: ChangeSet, blobs: &Arc<BlobFolder>) -> Result<Self, StateError> {
        check_shape(&set)?;
        let mut prepared = Prepared { changes: Vec::with_capacity(set.changes.len()), publications: Vec::new() };
        for change in set.changes {
            match change {
                Change::Publish(publication) => prepared.publications.push(ready(publication, blobs)?),
                other => {
                    let document = document(&other);
                    prepared.changes.push((other, document));
                }
            }
        }
        Ok(prepared)
    }

    pub(crate) fn commit(self, tx: &mut Tx<'_>) -> Step<Committed, StateError> {
        for (change, _) in &self.changes {
            check(tx, change)?;
        }
        let mut targets = Vec::with_capacity(self.publications.len());
        for ready in &self.publications {
            targets.push(check_publication(tx.sql, ready)?);
        }
        let mut committed = Committed::default();
        for (change, document) in &self.changes {
            if let Some(event) = apply(tx, change, document)? {
                committed.last_event = Some(event);
            }
        }
        for (ready, target) in self.publications.into_iter().zip(targets) {
            committed.published.push(publish(tx, ready, target)?);
        }
        Ok(committed)
    }
}

/// What is wrong with a set whatever the state (S3). An item is named once, as DynamoDB demands: two changes of one
/// item have no order in a set whose conditions all look at the state before it.
fn check_shape(set: &ChangeSet) -> Result<(), StateError> {
    if set.changes.len() > CHANGES_MAX {
        return Err(StateError::Invalid(format!("{} changes; at most {CHANGES_MAX} fit", set.changes.len())));
    }
    let mut named = BTreeSet::new();
    for name in set.changes.iter().filter_map(item) {
        if let Some(twice) = named.replace(name) {
            return Err(StateError::Invalid(format!("{twice} is named twice")));
        }
    }
    Ok(())
}

/// The item that a change is about; events have none.
fn item(change: &Change) -> Option<String> {
    Some(match change {
        Change::PutFile { file, .. } | Change::MarkRemoved(file) => format!("file {}", file.id),
        Change::HoldFile(id, _) => format!("file {id}"),
        Change::InsertUpload(upload) | Change::UpdateUpload { upload, .. } => format!("upload {}", upload.id),
        Change::InsertJob(job) | Change::UpdateJob(job) => format!("job {}", job.id),
        Change::InsertTask(task) | Change::PutTask(task) | Change::ReturnTask(task, _) => {
            format!("task {}", task.id)
        }
        Change::HoldTask(id, _) | Change::EndTask(id, _) => format!("task {id}"),
        Change::InsertChunk(chunk) => format!("chunk {}/{}/{}", chunk.job, chunk.run, chunk.index),
        Change::InsertSurvey { job, run, .. } => format!("survey {job}/{run}"),
        Change::PutFinding(FindingRecord { processor, bucket, key, .. })
        | Change::RemoveFinding { processor, bucket, key } => format!("finding {processor} {bucket}/{key}"),
        Change::Publish(publication) => format!("object {}/{}", publication.bucket, publication.key),
        Change::PutRecord(record) => format!("{} {}", record.kind, record.id),
        Change::RemoveRecord { kind, id, .. } => format!("{kind} {id}"),
        Change::Emit(_) => return None,
    })
}

fn document(change: &Change) -> String {
    match change {
        Change::PutFile { file, .. } | Change::MarkRemoved(file) => to_json(file),
        Change::InsertUpload(upload) | Change::UpdateUpload { upload, .. } => to_json(upload),
        Change::InsertJob(job) | Change::UpdateJob(job) => to_json(job),
        Change::InsertChunk(chunk) => to_json(chunk),
        Change::InsertSurvey { survey, .. } => to_json(survey),
        Change::PutFinding(found) => to_json(&found.finding.values),
        Change::PutRecord(record) => to_json(&record.document),
        Change::Emit(event) => to_json(&event.data),
        _ => String::new(),
    }
}

fn ready(publication: Publication, blobs: &Arc<BlobFolder>) -> Result<Ready, StateError> {
    let Publication { bucket, key, attributes, etag, size, replaces_only, source } = publication;
    let source = match source {
        PublicationSource::Staged(staged) => {
            Source::Staged { size: staged.size, content: Content::of(staged, blobs).map_err(as_state_error)? }
        }
        PublicationSource::Multipart { id, parts } => Source::Parts { id, parts },
    };
    let checksums = Checksums::default();
    let new = NewObject { bucket, key, size, etag, attributes, checksums, part_sizes: Vec::new() };
    Ok(Ready { new, replaces_only, source })
}

fn check(tx: &Tx<'_>, change: &Change) -> Step<(), StateError> {
    let (holds, why) = match change {
        Change::PutFile { file, over } => (file_sequencer(tx.sql, file)? == *over, "is another version"),
        Change::HoldFile(id, sequencer) => (is_version(tx.sql, id, sequencer)?, "is another version or removed"),
        Change::MarkRemoved(file) => (is_version(tx.sql, &file.id, &file.sequencer)?, "is another version or removed"),
        Change::InsertUpload(upload) => (!exists(tx.sql, "uploads", upload.id.as_str())?, "exists"),
        Change::InsertJob(job) => (!exists(tx.sql, "jobs", job.id.as_str())?, "exists"),
        Change::UpdateJob(job) => (job_rev(tx.sql, job)? == Some(to_sql(job.rev) - 1), "has another revision"),
        Change::InsertTask(task) => (!tasks::exists(tx.sql, &task.id)?, "exists"),
        Change::HoldTask(id, token) | Change::EndTask(id, token) => {
            (tasks::is_held(tx.sql, id, *token, tx.now)?, "is not held with this token")
        }
        Change::ReturnTask(task, token) => {
            (tasks::is_held(tx.sql, &task.id, *token, tx.now)?, "is not held with this token")
        }
        Change::InsertChunk(chunk) => (!chunk_exists(tx.sql, chunk)?, "is recorded"),
        Change::UpdateUpload { upload, was } => {
            (upload_status(tx.sql, upload)?.as_deref() == Some(was.as_str()), "has another status")
        }
        Change::InsertSurvey { job, run, .. } => (!jobs::has_survey(tx.sql, job, *run)?, "is stored"),
        Change::PutRecord(record) => {
            (records::rev(tx.sql, record.kind, &record.id)? + 1 == record.rev, "has another revision")
        }
        Change::RemoveRecord { kind, id, rev } => (records::rev(tx.sql, *kind, id)? == *rev, "has another revision"),
        Change::PutTask(_)
        | Change::PutFinding(_)
        | Change::RemoveFinding { .. }
        | Change::Emit(_)
        | Change::Publish(_) => (true, ""),
    };
    if holds { Ok(()) } else { refuse(StateError::Conflict(format!("{} {why}", item(change).unwrap_or_default()))) }
}

/// Answers the number of an event.
fn apply(tx: &mut Tx<'_>, change: &Change, document: &str) -> rusqlite::Result<Option<u64>> {
    match change {
        Change::PutFile { file, .. } | Change::MarkRemoved(file) => put_file(tx.sql, file, document)?,
        Change::InsertUpload(upload) | Change::UpdateUpload { upload, .. } => put_upload(tx.sql, upload, document)?,
        Change::InsertJob(job) => insert_job(tx.sql, job, document)?,
        Change::UpdateJob(job) => update_job(tx.sql, job, document)?,
        Change::InsertTask(task) => {
            tasks::insert(tx.sql, task)?;
            tx.effects.tasks = Some(TaskNews::Ready);
        }
        Change::PutTask(task) => {
            tasks::remove(tx.sql, &task.id)?;
            tasks::insert(tx.sql, task)?;
            tx.effects.tasks = Some(TaskNews::Ready);
        }
        Change::ReturnTask(task, _) => {
            tasks::give_back(tx.sql, task)?;
            tx.effects.tasks = Some(TaskNews::Ready);
        }
        Change::EndTask(id, _) => {
            tasks::remove(tx.sql, id)?;
            // its queue has room again
            tx.effects.tasks = Some(TaskNews::Ready);
        }
        Change::InsertChunk(chunk) => insert_chunk(tx.sql, chunk, document)?,
        Change::InsertSurvey { job, run, .. } => jobs::insert_survey(tx.sql, job, *run, document)?,
        Change::PutFinding(found) => findings::put(tx.sql, found, document)?,
        Change::RemoveFinding { processor, bucket, key } => findings::remove(tx.sql, processor, bucket, key)?,
        Change::PutRecord(record) => records::put(tx.sql, record, document)?,
        Change::RemoveRecord { kind, id, .. } => records::remove(tx.sql, *kind, id)?,
        Change::Emit(event) => return emit(tx.sql, event, document).map(Some),
        Change::HoldTask(..) | Change::HoldFile(..) | Change::Publish(_) => {}
    }
    Ok(None)
}

/// What is not there cannot be published; what does not fit together is a mistake.
fn check_publication(sql: &Connection, ready: &Ready) -> Step<Target, StateError> {
    let new = &ready.new;
    let target = (|| {
        let current = objects::check(sql, &new.bucket, &new.key, &Precondition::None)?;
        let parts = match &ready.source {
            Source::Staged { .. } => Vec::new(),
            Source::Parts { id, parts } => {
                let upload = MultipartRef { bucket: new.bucket.clone(), key: new.key.clone(), id: id.clone() };
                multipart::need(sql, &upload)?;
                multipart::named_parts(sql, id, parts, 0)?
            }
        };
        Ok(Target { current, parts })
    })();
    let target = target.map_err(|halt: Halt<BlobError>| match halt {
        Halt::Refused(why) => Halt::Refused(as_state_error(why)),
        Halt::Failed(e) => Halt::Failed(e),
    })?;
    let owner = target.current.as_ref().map(|stored| stored.info.attributes.owner.as_ref());
    if owner.is_some_and(|owner| !may_replace(ready.replaces_only.as_ref(), owner)) {
        return refuse(StateError::Unpublishable(Unpublishable::Taken));
    }
    let there = match &ready.source {
        Source::Staged { size, .. } => *size,
        Source::Parts { .. } => multipart::total(&target.parts),
    };
    if there != new.size {
        return refuse(StateError::Invalid(format!("{} bytes were promised, {there} are there", new.size)));
    }
    Ok(target)
}

fn publish(tx: &mut Tx<'_>, ready: Ready, target: Target) -> rusqlite::Result<ObjectInfo> {
    let Ready { mut new, source, .. } = ready;
    match source {
        Source::Staged { content, .. } => {
            let held = objects::hold(tx, content)?;
            objects::publish(tx, new, held, target.current)
        }
        Source::Parts { id, .. } => {
            new.part_sizes = target.parts.iter().map(|part| part.info.size).collect();
            multipart::join(tx, &id, new, &target.parts, target.current)
        }
    }
}

fn as_state_error(e: BlobError) -> StateError {
    match e {
        BlobError::NotFound(_) | BlobError::Conflict(_) | BlobError::Invalid(InvalidBlob::Part(_)) => {
            StateError::Unpublishable(Unpublishable::Missing(e.to_string()))
        }
        BlobError::Invalid(why) => StateError::Invalid(why.to_string()),
        BlobError::Unavailable(source) => StateError::Unavailable(source),
        BlobError::Corrupt(what) => StateError::Corrupt(what),
    }
}

fn file_sequencer(sql: &Connection, file: &File) -> rusqlite::Result<Option<Sequencer>> {
    let mut statement = sql.prepare_cached("SELECT sequencer FROM files WHERE id = ?1")?;
    let text: Option<String> = statement.query_row([file.id.as_str()], |row| row.get(0)).optional()?;
    Ok(text.map(|text| Sequencer::new(&text)))
}

fn is_version(sql: &Connection, id: &FileId, sequencer: &Sequencer) -> rusqlite::Result<bool> {
    let query = "SELECT 1 FROM files WHERE id = ?1 AND sequencer = ?2 AND removed_at IS NULL";
    sql.prepare_cached(query)?.exists([id.as_str(), sequencer.as_str()])
}

fn upload_status(sql: &Connection, upload: &Upload) -> rusqlite::Result<Option<String>> {
    let mut statement = sql.prepare_cached("SELECT status FROM uploads WHERE id = ?1")?;
    statement.query_row([upload.id.as_str()], |row| row.get(0)).optional()
}

fn job_rev(sql: &Connection, job: &Job) -> rusqlite::Result<Option<i64>> {
    let mut statement = sql.prepare_cached("SELECT rev FROM jobs WHERE id = ?1")?;
    statement.query_row([job.id.as_str()], |row| row.get(0)).optional()
}

fn exists(sql: &Connection, table: &'static str, id: &str) -> rusqlite::Result<bool> {
    sql.prepare_cached(&format!("SELECT 1 FROM {table} WHERE id = ?1"))?.exists([id])
}

fn chunk_exists(sql: &Connection, chunk: &ChunkRecord) -> rusqlite::Result<bool> {
    let query = "SELECT 1 FROM chunks WHERE job = ?1 AND run = ?2 AND chunk = ?3";
    sql.prepare_cached(query)?.exists(params![chunk.job.as_str(), chunk.run, chunk.index])
}

fn put_file(sql: &Connection, file: &File, document: &str) -> rusqlite::Result<()> {
    let upsert = "INSERT OR REPLACE INTO files (id, bucket, key, sequencer, removed_at, owner, document)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let owner = file.owner.as_ref().map(|owner| owner.as_str());
    let removed_at = file.removed_at.map(|time| time.as_millis());
    let (id, bucket, key) = (file.id.as_str(), file.bucket.as_str(), file.key.as_str());
    sql.prepare_cached(upsert)?
        .execute(params![id, bucket, key, file.sequencer.as_str(), removed_at, owner, document])
        .map(drop)
}

fn put_upload(sql: &Connection, upload: &Upload, document: &str) -> rusqlite::Result<()> {
    let upsert = "INSERT OR REPLACE INTO uploads (id, status, bucket, key, expires_at, document)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (id, status) = (upload.id.as_str(), upload.status.as_str());
    let (bucket, key, expires_at) = (upload.bucket.as_str(), upload.key.as_str(), upload.expires_at.as_millis());
    sql.prepare_cached(upsert)?.execute(params![id, status, bucket, key, expires_at, document]).map(drop)
}

fn insert_job(sql: &Connection, job: &Job, document: &str) -> rusqlite::Result<()> {
    let insert = "INSERT INTO jobs (id, rev, status, rule, bucket, key, upload, owner, document)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    sql.prepare_cached(insert)?
        .execute(params![
            job.id.as_str(),
            to_sql(job.rev),
            job.status.as_str(),
            job.rule.as_str(),
            job.input.bucket.as_str(),
            job.input.key.as_str(),
            job.upload.as_ref().map(|id| id.as_str()),
            job.owner.as_ref().map(|id| id.as_str()),
            document,
        ])
        .map(drop)
}

fn update_job(sql: &Connection, job: &Job, document: &str) -> rusqlite::Result<()> {
    let update = "UPDATE jobs SET rev = ?2, status = ?3, document = ?4 WHERE id = ?1";
    let (id, rev, status) = (job.id.as_str(), to_sql(job.rev), job.status.as_str());
    sql.prepare_cached(update)?.execute(params![id, rev, status, document]).map(drop)
}

fn insert_chunk(sql: &Connection, chunk: &ChunkRecord, document: &str) -> rusqlite::Result<()> {
    let insert = "INSERT INTO chunks (job, run, chunk, document) VALUES (?1, ?2, ?3, ?4)";
    sql.prepare_cached(insert)?.execute(params![chunk.job.as_str(), chunk.run, chunk.index, document]).map(drop)
}

fn emit(sql: &Connection, event: &NewEvent, data: &str) -> rusqlite::Result<u64> {
    let insert = "INSERT INTO events (kind, at, job, file, upload, owner, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    sql.prepare_cached(insert)?.execute(params![
        event.kind.as_str(),
        event.at.as_millis(),
        event.job.as_ref().map(|id| id.as_str()),
        event.file.as_ref().map(|id| id.as_str()),
        event.upload.as_ref().map(|id| id.as_str()),
        event.owner.as_ref().map(|id| id.as_str()),
        data,
    ])?;
    Ok(crate::rows::from_sql(sql.last_insert_rowid()))
}
