//! Everything the store holds, as ordered tables, with a log of how to take each write back.
//!
//! All writes go through [`World::set`], which logs the value before. A synced write forgets the log; a crash plays
//! some of it backwards, whole calls at a time, so what survives is always a prefix of what was written.

use crate::content::Content;
use crate::faults::{Dice, FaultPlan};
use crate::messages::{MessageKey, MessageRow, QueueRow};
use crate::trace::Trace;
use filemill_core::chunks::Survey;
use filemill_core::event::NewEvent;
use filemill_core::file::File;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::job::Job;
use filemill_core::message::MessageQueueName;
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{Announcement, BucketInfo, Clock, Durability, MultipartInfo, PartInfo, WallClock};
use filemill_core::record::{Record, RecordKind};
use filemill_core::task::{ChunkRecord, FencingToken, Task, TaskId};
use filemill_core::time::Timestamp;
use filemill_core::upload::Upload;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub info: ObjectInfo,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub info: PartInfo,
    pub content: Content,
}

/// `visible_at`: a late one is not handed out before. `task.ready_at` of a leased task is the end of its lease.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub announcement: Announcement,
    pub visible_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct TaskRow {
    pub task: Task,
    pub token: FencingToken,
    pub leased: bool,
}

impl TaskRow {
    /// Can it be leased? Nobody holds it, or its lease is over, and its time has come.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.task.ready_at <= now
    }

    pub fn is_running(&self, now: Timestamp) -> bool {
        self.leased && self.task.ready_at > now
    }

    pub fn is_held(&self, token: FencingToken, now: Timestamp) -> bool {
        self.is_running(now) && self.token == token
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counter {
    Sequencer,
    Announcement,
    Multipart,
    Part,
    Event,
    Token,
    /// Of queues, messages and receipts alike.
    Message,
}

#[derive(Default)]
pub(crate) struct Tables {
    pub buckets: BTreeMap<BucketName, BucketInfo>,
    pub objects: BTreeMap<(BucketName, ObjectKey), Object>,
    pub multiparts: BTreeMap<String, MultipartInfo>,
    pub parts: BTreeMap<(String, u32), Part>,
    pub announcements: BTreeMap<u64, Waiting>,
    /// Acknowledged ones, for faults that hand them out again.
    pub acknowledged: BTreeMap<u64, Announcement>,
    pub jobs: BTreeMap<JobId, Job>,
    pub tasks: BTreeMap<TaskId, TaskRow>,
    pub chunks: BTreeMap<(JobId, u32, u32), ChunkRecord>,
    pub surveys: BTreeMap<(JobId, u32), Survey>,
    /// By bucket, key and processor.
    pub findings: BTreeMap<(BucketName, ObjectKey, String), FindingRecord>,
    pub records: BTreeMap<(RecordKind, String), Record>,
    pub files: BTreeMap<FileId, File>,
    pub uploads: BTreeMap<UploadId, Upload>,
    pub events: BTreeMap<u64, NewEvent>,
    pub message_queues: BTreeMap<MessageQueueName, QueueRow>,
    pub messages: BTreeMap<MessageKey, MessageRow>,
    pub counters: BTreeMap<Counter, u64>,
}

type Undo = Box<dyn FnOnce(&mut Tables) + Send>;

pub(crate) struct World {
    pub tables: Tables,
    pub plan: FaultPlan,
    pub dice: Dice,
    pub trace: Trace,
    /// Every fourth lease goes by age (Q6).
    pub leases_given: u64,
    /// The last lease took all that it could, at this time; what was ready then is no news.
    pub drained_at: Option<Timestamp>,
    /// Until then every call is refused.
    pub outage_until: Timestamp,
    wall: WallClock,
    /// One entry per call since the last synced one.
    undo: Vec<Vec<Undo>>,
    open: Vec<Undo>,
}

impl World {
    pub fn new(plan: FaultPlan, keeps_trace: bool, wall: WallClock) -> Self {
        let dice = Dice::new(plan.seed);
        let trace = Trace::new(keeps_trace);
        World {
            tables: Tables::default(),
            plan,
            dice,
            trace,
            leases_given: 0,
            drained_at: None,
            outage_until: Timestamp::ZERO,
            wall,
            undo: Vec::new(),
            open: Vec::new(),
        }
    }

    /// If the clock was set, moves all that waits with it (Q10, M15). That is on disk at once, and all before it.
    pub fn follow(&mut self, clock: &dyn Clock, now: Timestamp) {
        let Some((wall, step)) = self.wall.look(clock, now) else { return };
        self.wall = wall;
        let moved = |at: Timestamp| Timestamp::from_millis(at.as_millis().saturating_add(step));
        self.tables.tasks.values_mut().for_each(|row| row.task.ready_at = moved(row.task.ready_at));
        self.tables.messages.values_mut().for_each(|row| row.visible_at = moved(row.visible_at));
        self.tables.announcements.values_mut().for_each(|waiting| waiting.visible_at = moved(waiting.visible_at));
        self.drained_at = self.drained_at.map(moved);
        self.outage_until = moved(self.outage_until);
        self.undo.clear();
    }

    /// Is this call refused, alone or with all others of an outage?
    pub fn is_away(&mut self, now: Timestamp) -> bool {
        if self.dice.roll(self.plan.outage) {
            let lasts = self.dice.wait(1.0, self.plan.outage_max).unwrap_or_default();
            self.outage_until = self.outage_until.max(now.plus(lasts));
        }
        now < self.outage_until || self.dice.roll(self.plan.unavailable)
    }

    /// The only way to change a table: `None` removes. Answers the value before.
    pub fn set<K, V>(&mut self, table: fn(&mut Tables) -> &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V>
    where
        K: Ord + Clone + Send + 'static,
        V: Clone + Send + 'static,
    {
        let before = replace(table(&mut self.tables), key.clone(), value);
        let answer = before.clone();
        self.open.push(Box::new(move |tables| {
            replace(table(tables), key, before);
        }));
        answer
    }

    pub fn next(&mut self, counter: Counter) -> u64 {
        let next = self.tables.counters.get(&counter).copied().unwrap_or(0) + 1;
        self.set(|t| &mut t.counters, counter, Some(next));
        next
    }

    /// Ends a call: its writes are one step, on disk or not.
    pub fn end_call(&mut self, durability: Durability) {
        let step = std::mem::take(&mut self.open);
        match durability {
            Durability::Lazy if step.is_empty() => {}
            Durability::Lazy => self.undo.push(step),
            Durability::Synced => self.undo.clear(),
        }
    }

    /// A refused call leaves nothing.
    pub fn abandon_call(&mut self) {
        for undo in std::mem::take(&mut self.open).into_iter().rev() {
            undo(&mut self.tables);
        }
    }

    /// The power went: the dice say how many of the unsynced steps had reached the disk. Answers how many had not.
    pub fn crash(&mut self) -> usize {
        let told = [Counter::Event, Counter::Message].map(|c| (c, self.tables.counters.get(&c).copied()));
        let lost = self.dice.below(self.undo.len() as u64 + 1) as usize;
        for step in self.undo.drain(self.undo.len() - lost..).rev() {
            for undo in step.into_iter().rev() {
                undo(&mut self.tables);
            }
        }
        self.undo.clear();
        for (counter, told) in told {
            // numbers are not given twice, though their events (S6) or claims (M4) are lost
            self.tables.counters.extend(told.map(|told| (counter, told)));
        }
        self.drained_at = None;
        lost
    }
}

fn replace<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}
