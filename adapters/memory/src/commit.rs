//! Change sets: every condition first, against the state before, then every change (S1, S2).
//!
//! Stricter than a relational store would be: a set may name an item only once, as DynamoDB demands.

use crate::content::{Content, unstage};
use crate::world::{Counter, Object, TaskRow, World};
use filemill_core::checksum::Checksums;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::FileId;
use filemill_core::limits::CHANGES_MAX;
use filemill_core::object::{ObjectInfo, Sequencer};
use filemill_core::ports::*;
use filemill_core::record::RecordKind;
use filemill_core::task::{FencingToken, TaskId};
use filemill_core::time::Timestamp;
use std::collections::BTreeSet;
use std::io;

impl World {
    pub fn commit(
        &mut self,
        set: ChangeSet,
        publishes: bool,
        min_part_bytes: u64,
        now: Timestamp,
    ) -> Result<Committed, StateError> {
        check_shape(&set, publishes)?;
        let has_result = set.changes.iter().any(|change| matches!(change, Change::Publish(_)));
        if self.dice.roll(self.plan.conflict) || has_result && self.dice.roll(self.plan.publish_conflict) {
            return Err(StateError::Conflict("another transaction was in the way".into()));
        }
        if self.dice.roll(self.plan.full) {
            return Err(StateError::Unavailable(io::Error::from(io::ErrorKind::StorageFull).into()));
        }
        for change in &set.changes {
            self.check(change, now)?;
        }
        for change in &set.changes {
            if let Change::Publish(publication) = change {
                self.check_publication(publication, min_part_bytes)?;
            }
        }
        let mut committed = Committed::default();
        for change in set.changes {
            self.apply(change, now, &mut committed)?;
        }
        Ok(committed)
    }

    fn check(&self, change: &Change, now: Timestamp) -> Result<(), StateError> {
        let tables = &self.tables;
        let holds = match change {
            Change::PutFile { file, over } => tables.files.get(&file.id).map(|f| &f.sequencer) == over.as_ref(),
            Change::HoldFile(id, sequencer) => self.is_version(id, sequencer),
            Change::MarkRemoved(file) => self.is_version(&file.id, &file.sequencer),
            Change::InsertUpload(upload) => !tables.uploads.contains_key(&upload.id),
            Change::InsertJob(job) => !tables.jobs.contains_key(&job.id),
            Change::UpdateJob(job) => tables.jobs.get(&job.id).is_some_and(|j| j.rev + 1 == job.rev),
            Change::PutTask(_) => true,
            Change::InsertTask(task) => !tables.tasks.contains_key(&task.id),
            Change::HoldTask(id, token) | Change::EndTask(id, token) => self.holds(id, *token, now),
            Change::ReturnTask(task, token) => self.holds(&task.id, *token, now),
            Change::InsertChunk(c) => !tables.chunks.contains_key(&(c.job.clone(), c.run, c.index)),
            Change::InsertSurvey { job, run, .. } => !tables.surveys.contains_key(&(job.clone(), *run)),
            Change::UpdateUpload { upload, was } => tables.uploads.get(&upload.id).is_some_and(|u| u.status == *was),
            Change::PutRecord(record) => self.rev_of(record.kind, &record.id) + 1 == record.rev,
            Change::RemoveRecord { kind, id, rev } => self.rev_of(*kind, id) == *rev,
            Change::PutFinding(_) | Change::RemoveFinding { .. } | Change::Emit(_) | Change::Publish(_) => true,
        };
        if holds { Ok(()) } else { Err(StateError::Conflict(item(change).unwrap_or_default())) }
    }

    /// 0 if there is none.
    fn rev_of(&self, kind: RecordKind, id: &str) -> u64 {
        self.tables.records.get(&(kind, id.to_owned())).map_or(0, |record| record.rev)
    }

    fn holds(&self, id: &TaskId, token: FencingToken, now: Timestamp) -> bool {
        self.tables.tasks.get(id).is_some_and(|row| row.is_held(token, now))
    }

    fn is_version(&self, id: &FileId, sequencer: &Sequencer) -> bool {
        self.tables.files.get(id).is_some_and(|f| f.sequencer == *sequencer && f.removed_at.is_none())
    }

    /// What is not there cannot be published; what does not fit together is a mistake.
    fn check_publication(&self, publication: &Publication, min_part_bytes: u64) -> Result<(), StateError> {
        let size = self.need_bucket(&publication.bucket).and_then(|()| match &publication.source {
            PublicationSource::Staged(staged) => Ok(staged.size),
            PublicationSource::Multipart { id, parts } => {
                let (bucket, key) = (publication.bucket.clone(), publication.key.clone());
                self.need_multipart(&MultipartRef { bucket, key, id: id.clone() })?;
                Ok(self.named_parts(id, parts, min_part_bytes)?.iter().map(|p| p.content.size).sum())
            }
        });
        let there = self.tables.objects.get(&(publication.bucket.clone(), publication.key.clone()));
        match size {
            Ok(_) if there.is_some_and(|there| !publication.may_replace(there.info.attributes.owner.as_ref())) => {
                Err(StateError::Unpublishable(Unpublishable::Taken))
            }
            Ok(size) if size == publication.size => Ok(()),
            Ok(size) => Err(StateError::Invalid(format!("{} bytes were promised, {size} are there", publication.size))),
            Err(e @ (BlobError::Invalid(InvalidBlob::Part(_)) | BlobError::NotFound(_))) => {
                Err(StateError::Unpublishable(Unpublishable::Missing(e.to_string())))
            }
            Err(other) => Err(StateError::Invalid(other.to_string())),
        }
    }

    fn apply(&mut self, change: Change, now: Timestamp, committed: &mut Committed) -> Result<(), StateError> {
        match change {
            Change::PutFile { file, .. } | Change::MarkRemoved(file) => {
                self.set(|t| &mut t.files, file.id.clone(), Some(file));
            }
            Change::InsertUpload(upload) | Change::UpdateUpload { upload, .. } => {
                self.set(|t| &mut t.uploads, upload.id.clone(), Some(upload));
            }
            Change::InsertJob(job) | Change::UpdateJob(job) => {
                self.set(|t| &mut t.jobs, job.id.clone(), Some(*job));
            }
            Change::InsertTask(mut task) | Change::ReturnTask(mut task, _) => {
                task.claim = None;
                let token = self.tables.tasks.get(&task.id).map_or(FencingToken(0), |row| row.token);
                self.set(|t| &mut t.tasks, task.id.clone(), Some(TaskRow { task, token, leased: false }));
            }
            Change::PutTask(task) => {
                let (id, token) = (task.id.clone(), FencingToken(0));
                self.set(|t| &mut t.tasks, id, Some(TaskRow { task, token, leased: false }));
            }
            Change::HoldTask(..) | Change::HoldFile(..) => {}
            Change::EndTask(id, _) => {
                self.set(|t| &mut t.tasks, id, None);
            }
            Change::InsertChunk(chunk) => {
                let id = (chunk.job.clone(), chunk.run, chunk.index);
                self.set(|t| &mut t.chunks, id, Some(chunk));
            }
            Change::InsertSurvey { job, run, survey } => {
                self.set(|t| &mut t.surveys, (job, run), Some(survey));
            }
            Change::PutFinding(found) => {
                let id = (found.bucket.clone(), found.key.clone(), found.processor.clone());
                self.set(|t| &mut t.findings, id, Some(found));
            }
            Change::RemoveFinding { processor, bucket, key } => {
                self.set(|t| &mut t.findings, (bucket, key, processor), None);
            }
            Change::PutRecord(record) => {
                self.set(|t| &mut t.records, (record.kind, record.id.clone()), Some(*record));
            }
            Change::RemoveRecord { kind, id, .. } => {
                self.set(|t| &mut t.records, (kind, id), None);
            }
            Change::Emit(event) => {
                let seq = self.next(Counter::Event);
                self.set(|t| &mut t.events, seq, Some(event));
                committed.last_event = Some(seq);
            }
            Change::Publish(publication) => {
                let published = self.publish(publication, now);
                committed.published.push(published.map_err(|e| StateError::Invalid(e.to_string()))?);
            }
        }
        Ok(())
    }

    fn publish(&mut self, publication: Publication, now: Timestamp) -> Result<ObjectInfo, BlobError> {
        let Publication { bucket, key, attributes, etag, source, .. } = publication;
        let (content, part_sizes) = match source {
            PublicationSource::Staged(staged) => (unstage(staged)?.0, Vec::new()),
            PublicationSource::Multipart { id, parts } => {
                let parts = self.named_parts(&id, &parts, 0)?;
                self.drop_multipart(&id);
                let sizes = parts.iter().map(|p| p.content.size).collect();
                (Content::joined(parts.iter().map(|p| &p.content)), sizes)
            }
        };
        let info = ObjectInfo {
            bucket,
            key,
            size: content.size,
            etag,
            sequencer: self.next_sequencer(),
            modified_at: now,
            attributes,
            checksums: Checksums::default(),
            part_sizes,
        };
        self.publish_object(Object { info: info.clone(), content }, now);
        Ok(info)
    }
}

/// S3 and S7: what is wrong with a set whatever the state.
fn check_shape(set: &ChangeSet, publishes: bool) -> Result<(), StateError> {
    if set.changes.len() > CHANGES_MAX {
        return Err(StateError::Invalid(format!("{} changes; at most {CHANGES_MAX} fit", set.changes.len())));
    }
    if !publishes && set.changes.iter().any(|c| matches!(c, Change::Publish(_))) {
        return Err(StateError::Invalid("this store does not publish".into()));
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
