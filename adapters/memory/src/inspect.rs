//! What a checker may see and do from outside: the tables as they are, faults switched, a crash, a damaged byte.
//!
//! None of it is part of a port; the engine never sees it.

use crate::faults::{Dice, FaultPlan};
use crate::store::MemoryStore;
use bytes::Bytes;
use filemill_core::chunks::Survey;
use filemill_core::event::NewEvent;
use filemill_core::file::File;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::JobId;
use filemill_core::job::Job;
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{Announcement, BlobError, MultipartInfo, PartInfo};
use filemill_core::record::Record;
use filemill_core::task::{ChunkRecord, Task};
use filemill_core::upload::Upload;
use std::sync::PoisonError;

/// All tables at one instant, each in its order.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub objects: Vec<ObjectInfo>,
    pub multiparts: Vec<MultipartInfo>,
    pub parts: Vec<PartInfo>,
    /// Not acknowledged.
    pub announcements: Vec<Announcement>,
    pub jobs: Vec<Job>,
    pub tasks: Vec<Task>,
    pub chunks: Vec<ChunkRecord>,
    /// With the job and the run of each.
    pub surveys: Vec<(JobId, u32, Survey)>,
    pub findings: Vec<FindingRecord>,
    pub records: Vec<Record>,
    pub files: Vec<File>,
    pub uploads: Vec<Upload>,
    pub events: Vec<(u64, NewEvent)>,
    /// Stage writers and staged bytes that nobody dropped.
    pub staged_alive: u64,
}

impl MemoryStore {
    pub fn snapshot(&self) -> Snapshot {
        let world = self.world();
        let tables = &world.tables;
        Snapshot {
            objects: tables.objects.values().map(|o| o.info.clone()).collect(),
            multiparts: tables.multiparts.values().cloned().collect(),
            parts: tables.parts.values().map(|p| p.info.clone()).collect(),
            announcements: tables.announcements.values().map(|w| w.announcement.clone()).collect(),
            jobs: tables.jobs.values().cloned().collect(),
            tasks: tables.tasks.values().map(|row| row.task.clone()).collect(),
            chunks: tables.chunks.values().cloned().collect(),
            surveys: tables.surveys.iter().map(|((job, run), survey)| (job.clone(), *run, survey.clone())).collect(),
            findings: tables.findings.values().cloned().collect(),
            records: tables.records.values().cloned().collect(),
            files: tables.files.values().cloned().collect(),
            uploads: tables.uploads.values().cloned().collect(),
            events: tables.events.iter().map(|(seq, event)| (*seq, event.clone())).collect(),
            staged_alive: self.staged.alive(),
        }
    }

    /// An object's bytes, without faults.
    pub fn content(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Bytes, BlobError> {
        self.world().need_object(bucket, key)?.content.all()
    }

    /// What was announced and acknowledged so far, copies too.
    pub fn acknowledged(&self) -> Vec<Announcement> {
        self.world().tables.acknowledged.values().cloned().collect()
    }

    /// From now on this plan holds; its seed starts the dice anew.
    pub fn set_faults(&self, plan: FaultPlan) {
        let world = &mut *self.world();
        world.dice = Dice::new(plan.seed);
        world.plan = plan;
        world.outage_until = self.now();
    }

    /// The store's machine lost its power and is back: some or all of what no synced write covered is gone. Whoever
    /// used the store before must be gone too. Answers how many calls were lost.
    pub fn crash(&self) -> usize {
        let now = self.now();
        let world = &mut *self.world();
        let lost = world.crash();
        world.trace.note(now, format_args!("crash: {lost} calls lost"));
        lost
    }

    /// So many bytes are left from now on; `None`: no limit (B10).
    pub fn set_room(&self, bytes: Option<u64>) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// Damages the object's bytes where they lie (B4).
    pub fn flip_bit(&self, bucket: &BucketName, key: &ObjectKey) {
        let world = &mut *self.world();
        if let Some(object) = world.tables.objects.get_mut(&(bucket.clone(), key.clone())) {
            object.content.flip_bit();
        }
    }

    /// Adds a line of the caller's own to the trace.
    pub fn note(&self, what: &str) {
        let now = self.now();
        self.world().trace.note(now, format_args!("{what}"));
    }

    /// The same for every run of a seed.
    pub fn trace_hash(&self) -> u64 {
        self.world().trace.hash()
    }

    /// Empty unless `keeps_trace`.
    pub fn trace_lines(&self) -> Vec<String> {
        self.world().trace.lines().to_vec()
    }

    pub fn calls(&self) -> u64 {
        self.world().trace.calls
    }
}
