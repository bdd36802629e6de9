//! The truth about files, uploads, jobs and tasks.
//!
//! Clauses:
//! * S1 a change set is applied whole or not at all.
//! * S2 every condition is checked against the state before the set; one that fails refuses the set with `Conflict`.
//! * S3 a set of more than [`CHANGES_MAX`](crate::limits::CHANGES_MAX) changes is `Invalid`. Callers name an item only
//!   once in a set; a store may refuse twice as `Invalid`, as DynamoDB does.
//! * S4 a reply that was lost says nothing: the set may have been applied. Callers load again and decide again.
//! * S5 a reader sees a committed set whole.
//! * S6 events are numbered in commit order. A number is never given twice, even where a crash took its event.
//! * S7 `Publish` is atomic with the set where [`StateStore::publishes`] says so, and refused as `Invalid` elsewhere.
//!   A bucket, upload or part that is not there refuses the set with `Unpublishable` where every condition (S2) holds, and so
//!   does an object that may not be replaced. A set publishes two objects at most: a result and its rejects.
//! * S8 a lease is held while its token is the task's newest and its end, by the store's clock, has not come.
//! * S9 an object has one finding by processor; a later one replaces it, and `RemoveFinding` takes it away.
//! * S10 records are found by all of their fields as last stored, and by nothing that they had before.
//! * S11 what expires has ended: never an open job, a pending upload, or the record of a file that is there.
//! * S12 jobs, files, findings and records are found only within the query's reach, before the page is cut.
//! * S13 ended jobs are counted by their last end: a job that runs again counts for nothing until it has ended again.

use super::{BoxError, Durability, PartRef, Staged};
use crate::access::Reach;
use crate::alarm::EndedJobs;
use crate::chunks::Survey;
use crate::etag::Etag;
use crate::event::{LiveEvent, NewEvent};
use crate::file::File;
use crate::finding::FindingRecord;
use crate::ids::{FileId, JobId, KeyId, UploadId};
use crate::job::{Job, JobStatus};
use crate::object::{Attributes, BucketName, ObjectInfo, ObjectKey, Sequencer};
use crate::record::{Record, RecordGroup, RecordKind, RecordQuery};
use crate::rule::RuleId;
use crate::task::{ChunkRecord, FencingToken, Task, TaskId};
use crate::time::Timestamp;
use crate::upload::{Upload, UploadStatus};
use async_trait::async_trait;
use std::collections::BTreeMap;

#[async_trait]
pub trait StateStore: Send + Sync {
    /// One bounded, conditional, atomic change set.
    async fn commit(&self, changes: ChangeSet, durability: Durability) -> Result<Committed, StateError>;

    /// Does `commit` take [`Change::Publish`]? True where state and bytes share a disk.
    fn publishes(&self) -> bool;

    async fn job(&self, id: &JobId) -> Result<Option<Job>, StateError>;
    /// Newest first.
    async fn jobs(&self, query: &JobQuery) -> Result<Page<Job>, StateError>;
    /// Jobs of this object that are not terminal, whatever their version (at most one page).
    async fn open_jobs_of(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Job>, StateError>;
    /// Completed and failed jobs that ended at `since` or later, by rule (S11).
    async fn ended_jobs(&self, since: Timestamp) -> Result<BTreeMap<RuleId, EndedJobs>, StateError>;
    async fn task(&self, id: &TaskId) -> Result<Option<Task>, StateError>;
    async fn chunk(&self, job: &JobId, run: u32, index: u32) -> Result<Option<ChunkRecord>, StateError>;
    /// All recorded chunks of a run, by index.
    async fn chunks(&self, job: &JobId, run: u32) -> Result<Vec<ChunkRecord>, StateError>;
    async fn survey(&self, job: &JobId, run: u32) -> Result<Option<Survey>, StateError>;
    /// By bucket, key and processor.
    async fn findings(&self, query: &FindingQuery) -> Result<Page<FindingRecord>, StateError>;
    /// Over all that the query finds, whatever its `after` and `limit`.
    async fn finding_summary(&self, query: &FindingQuery) -> Result<FindingSummary, StateError>;
    async fn record(&self, kind: RecordKind, id: &str) -> Result<Option<Record>, StateError>;
    /// By id.
    async fn records(&self, query: &RecordQuery) -> Result<Page<Record>, StateError>;
    /// How many the query finds, whatever its `after` and `limit`.
    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StateError>;
    /// What the query finds, whatever its `after`, by the value of a field; the largest `limit` groups first.
    async fn record_groups(&self, query: &RecordQuery, by: &'static str) -> Result<Vec<RecordGroup>, StateError>;
    /// Records whose `due_at` is before `before`, the longest due first.
    async fn due_records(&self, kind: RecordKind, before: Timestamp, limit: u32) -> Result<Vec<Record>, StateError>;
    /// Removed ones too (`removed_at` is set).
    async fn file(&self, id: &FileId) -> Result<Option<File>, StateError>;
    /// By bucket and key; without the removed ones.
    async fn files(&self, query: &FileQuery) -> Result<Page<File>, StateError>;
    async fn upload(&self, id: &UploadId) -> Result<Option<Upload>, StateError>;
    /// The newest upload for this bucket and key, promised to this key, that is not received, if any (an expired one counts: its object
    /// came late but it came).
    async fn upload_for(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        by: Option<&KeyId>,
    ) -> Result<Option<Upload>, StateError>;
    /// Pending uploads whose link ended before `before`.
    async fn overdue_uploads(&self, before: Timestamp, limit: u32) -> Result<Vec<Upload>, StateError>;
    /// Open jobs that have no task at all: there should be none; the sweeper makes one.
    async fn stranded_jobs(&self, limit: u32) -> Result<Vec<Job>, StateError>;
    /// Deletes up to `limit` records that ended before their time (S11). Answers how many.
    async fn expire(&self, expiry: &Expiry, limit: u32) -> Result<Expired, StateError>;
    /// Deletes what jobs left that are [over](Job::is_over): tasks, chunk records, surveys; events beyond the newest `events_kept`. Answers how many.
    async fn clean(&self, events_kept: u64, limit: u32) -> Result<u64, StateError>;

    /// Stored events with a higher number, in order.
    async fn events_after(&self, seq: u64, limit: u32) -> Result<Vec<LiveEvent>, StateError>;
    /// The highest number given out, 0 before the first.
    async fn last_event(&self) -> Result<u64, StateError>;
    /// Counts for metrics and health.
    async fn counts(&self) -> Result<StateCounts, StateError>;
}

/// Records of a kind that ended before this are removed; `None` keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Without a dead letter.
    pub jobs: Option<Timestamp>,
    pub jobs_with_letter: Option<Timestamp>,
    pub events: Option<Timestamp>,
    /// By the end of their link.
    pub uploads: Option<Timestamp>,
    pub removed_files: Option<Timestamp>,
}

/// How many of each were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub jobs: u64,
    pub events: u64,
    pub uploads: u64,
    pub removed_files: u64,
}

impl Expired {
    pub fn total(&self) -> u64 {
        self.jobs + self.events + self.uploads + self.removed_files
    }
}

impl std::ops::AddAssign for Expired {
    fn add_assign(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.events += other.events;
        self.uploads += other.uploads;
        self.removed_files += other.removed_files;
    }
}

#[derive(Debug, Default)]
pub struct ChangeSet {
    pub changes: Vec<Change>,
}

#[derive(Debug)]
pub enum Change {
    /// Insert where none is there (`over` is none), or replace the one with exactly the sequencer `over`. Anything else
    /// there: `Conflict`. Whoever replaces has dealt with all that the one before began.
    PutFile { file: File, over: Option<Sequencer> },
    /// The record must have exactly this sequencer and not be removed; otherwise `Conflict`. Writes nothing.
    HoldFile(FileId, Sequencer),
    /// Replace the record that has exactly the given one's sequencer and is not removed; otherwise `Conflict`.
    MarkRemoved(File),
    /// Insert. One there: `Conflict`.
    InsertUpload(Upload),
    /// Replace the one whose stored status is `was`; otherwise `Conflict`.
    UpdateUpload { upload: Upload, was: UploadStatus },
    /// Insert. One there: `Conflict`.
    InsertJob(Box<Job>),
    /// Replace the job whose stored `rev` is one below the given one; otherwise `Conflict`.
    UpdateJob(Box<Job>),
    /// Insert, ready at its `ready_at`. One with the same identity there: `Conflict`.
    InsertTask(Task),
    /// Insert, or replace the one with the same identity: whoever held that one holds it no longer.
    PutTask(Task),
    /// The lease must be held with this token (S8); otherwise `Conflict`. Writes nothing.
    HoldTask(TaskId, FencingToken),
    /// End the lease and its claim, and make the task ready at its `ready_at`, otherwise as given. Not held with
    /// this token: `Conflict`.
    ReturnTask(Task, FencingToken),
    /// Remove the task. Not held with this token: `Conflict`.
    EndTask(TaskId, FencingToken),
    /// Insert. One there: `Conflict`, so a chunk counts once.
    InsertChunk(ChunkRecord),
    /// Insert. One there for this run: `Conflict`.
    InsertSurvey { job: JobId, run: u32, survey: Survey },
    /// Insert or replace the one of its processor, bucket and key (S9).
    PutFinding(FindingRecord),
    /// Remove it, if it is there (S9).
    RemoveFinding { processor: String, bucket: BucketName, key: ObjectKey },
    /// Insert where `record.rev` is 1 and none is there, or replace the one whose stored `rev` is one below; otherwise
    /// `Conflict`.
    PutRecord(Box<Record>),
    /// Remove the one with exactly this `rev`; otherwise `Conflict`.
    RemoveRecord { kind: RecordKind, id: String, rev: u64 },
    /// Append to the live feed.
    Emit(NewEvent),
    /// Make the result visible (see S7). An overwritten object is replaced, as by PUT.
    Publish(Publication),
}

/// A result about to become an object.
#[derive(Debug)]
pub struct Publication {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub attributes: Attributes,
    /// The result's tag and size, known before: they stand in the job that the same set completes.
    pub etag: Etag,
    pub size: u64,
    /// Replaces objects of this owner only; whosever they are if not given.
    pub replaces_only: Option<KeyId>,
    pub source: PublicationSource,
}

impl Publication {
    pub fn may_replace(&self, owner: Option<&KeyId>) -> bool {
        may_replace(self.replaces_only.as_ref(), owner)
    }

    /// The same once more, for whoever lost a race; `None` where its bytes go with the first.
    pub fn again(&self) -> Option<Publication> {
        let PublicationSource::Multipart { id, parts } = &self.source else { return None };
        let source = PublicationSource::Multipart { id: id.clone(), parts: parts.clone() };
        let Publication { bucket, key, attributes, etag, size, replaces_only, .. } = self;
        let (bucket, key, attributes) = (bucket.clone(), key.clone(), attributes.clone());
        let (etag, size, replaces_only) = (etag.clone(), *size, replaces_only.clone());
        Some(Publication { bucket, key, attributes, etag, size, replaces_only, source })
    }
}

/// May what replaces only one owner's objects, or anybody's, replace an object of this owner?
pub fn may_replace(replaces_only: Option<&KeyId>, owner: Option<&KeyId>) -> bool {
    replaces_only.is_none() || replaces_only == owner
}

#[derive(Debug)]
pub enum PublicationSource {
    Staged(Staged),
    /// The parts of a multipart upload that become the object, in order, without a copy. The upload is ended.
    Multipart {
        id: String,
        parts: Vec<PartRef>,
    },
}

/// What a commit made.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The objects of the set's `Publish`, in their order.
    pub published: Vec<ObjectInfo>,
    /// The number of the set's last event.
    pub last_event: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum Unpublishable {
    /// The bucket, the upload or a part, or not as it was recorded.
    #[error("{0}")]
    Missing(String),
    #[error("an object that it may not replace is there")]
    Taken,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A condition did not hold. Load again and decide again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// What the set publishes cannot be made visible (S7), and deciding again does not change that.
    #[error("cannot be published: {0}")]
    Unpublishable(Unpublishable),
    /// The set itself is wrong: a bug of ours.
    #[error("invalid change set: {0}")]
    Invalid(String),
    /// Try again later. The set may have been applied (S4).
    #[error("the state store is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("the state store is corrupt: {0}")]
    Corrupt(String),
}

#[derive(Clone, Debug, Default)]
pub struct JobQuery {
    pub status: Option<JobStatus>,
    pub rule: Option<RuleId>,
    pub bucket: Option<BucketName>,
    /// With a trailing `*`: a prefix.
    pub key: Option<String>,
    pub upload: Option<UploadId>,
    /// By the input.
    pub reach: Reach,
    pub after: Option<JobId>,
    pub limit: u32,
}

#[derive(Clone, Debug, Default)]
pub struct FileQuery {
    pub bucket: Option<BucketName>,
    pub prefix: Option<String>,
    pub reach: Reach,
    pub after: Option<(BucketName, ObjectKey)>,
    pub limit: u32,
}

/// Filters are ANDed.
#[derive(Clone, Debug, Default)]
pub struct FindingQuery {
    pub processor: Option<String>,
    pub label: Option<String>,
    pub bucket: Option<BucketName>,
    /// With a trailing `*`: a prefix.
    pub key: Option<String>,
    /// Found at this time or later.
    pub since: Option<Timestamp>,
    /// Found before this time.
    pub until: Option<Timestamp>,
    pub reach: Reach,
    pub after: Option<(BucketName, ObjectKey, String)>,
    pub limit: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingSummary {
    pub count: u64,
    /// How many have each label.
    pub labels: BTreeMap<String, u64>,
    /// The mean of each number over those that have it.
    pub means: BTreeMap<String, f64>,
}

/// `more` is true if the query has further items behind the last.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub more: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct StateCounts {
    pub jobs_queued: u64,
    pub jobs_running: u64,
    pub tasks_ready: u64,
    pub tasks_leased: u64,
    /// When the oldest ready task became ready.
    pub oldest_ready_at: Option<Timestamp>,
}

impl ChangeSet {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    pub fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Ready tasks that the set makes, for [`TaskQueue::push`](super::TaskQueue::push).
    pub fn tasks_made_ready(&self) -> Vec<TaskId> {
        self.changes
            .iter()
            .filter_map(|c| match c {
                Change::InsertTask(t) | Change::PutTask(t) | Change::ReturnTask(t, _) => Some(t.id.clone()),
                _ => None,
            })
            .collect()
    }

    /// Each job that ends by the set. The feed is told so by the same set: an ended job may be stored again, for example when
    /// what it kept is given up.
    pub fn jobs_ended(&self) -> impl Iterator<Item = &Job> {
        let ended = self.changes.iter().filter_map(|change| match change {
            Change::Emit(event) => event.kind.end_of_job().and(event.job.as_ref()),
            _ => None,
        });
        ended.filter_map(|id| self.jobs().find(|job| job.id == *id))
    }

    /// Each job that is stored by the set.
    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.changes.iter().filter_map(|change| match change {
            Change::InsertJob(job) | Change::UpdateJob(job) => Some(&**job),
            _ => None,
        })
    }
}

/// Is `given` newer than what is stored? Only then may it replace it.
pub fn is_newer(given: &Sequencer, stored: Option<&Sequencer>) -> bool {
    stored.is_none_or(|s| given > s)
}
