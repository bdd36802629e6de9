//! Live progress of running jobs: bytes read so far, told at most four times a second per job, never stored.

use crate::feed::Feed;
use filemill_core::event::{EventKind, NewEvent};
use filemill_core::ids::JobId;
use filemill_core::job::Job;
use filemill_core::lifecycle;
use filemill_core::limits;
use filemill_core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(crate) struct Board(Mutex<BTreeMap<JobId, Row>>);

#[derive(Default)]
struct Row {
    told_at: Timestamp,
    /// Bytes read by chunks that are not recorded yet, by chunk.
    running: BTreeMap<u32, u64>,
}

impl Board {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<JobId, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chunk `index` has read `bytes` so far.
    pub fn moved(&self, feed: &Feed, job: &Job, index: u32, bytes: u64, now: Timestamp) {
        let mut rows = self.rows();
        let row = rows.entry(job.id.clone()).or_default();
        row.running.insert(index, bytes);
        row.tell(feed, job, now);
    }

    /// A commit changed the job; `index` is no longer running.
    pub fn committed(&self, feed: &Feed, job: &Job, index: u32, now: Timestamp) {
        let mut rows = self.rows();
        if job.status.is_terminal() {
            rows.remove(&job.id);
            return;
        }
        let row = rows.entry(job.id.clone()).or_default();
        row.running.remove(&index);
        row.tell(feed, job, now);
    }
}

impl Row {
    fn tell(&mut self, feed: &Feed, job: &Job, now: Timestamp) {
        if now.since(self.told_at) < limits::PROGRESS_INTERVAL || !feed.has_listeners() {
            return;
        }
        self.told_at = now;
        feed.tell(self.event(job, now));
    }

    fn event(&self, job: &Job, now: Timestamp) -> NewEvent {
        let mut seen = job.clone();
        seen.bytes_in += self.running.values().sum::<u64>();
        lifecycle::event(EventKind::JobProgress, &seen, now)
    }
}
