//! A person opens an ended job again: from the start as another run, or where it stopped.

use super::{Decision, NO_TARGET, TOO_MANY_DERIVED, event, next_rev, store};
use crate::event::EventKind;
use crate::job::{Job, JobStatus};
use crate::ports::{Change, ChangeSet, Durability};
use crate::rule::Process;
use crate::task::{Task, TaskId};
use crate::time::Timestamp;

/// Another run from the start, with other options if some are given.
pub(super) fn retried(job: &Job, process: Option<Process>, now: Timestamp) -> Decision {
    if !matches!(job.status, JobStatus::Failed | JobStatus::Cancelled) {
        return Decision::Stale("only a failed or cancelled job can be retried");
    }
    match job.failure.as_ref().map(|f| f.code.as_str()) {
        Some(NO_TARGET) => {
            return Decision::Stale("its result has no place; change the rule and upload the file again");
        }
        Some(TOO_MANY_DERIVED) => {
            return Decision::Stale("as much as may be was made of its upload; change the rules and upload that again");
        }
        _ => {}
    }
    let mut job = next_rev(job);
    job.status = JobStatus::Queued;
    job.run += 1;
    job.process = process.unwrap_or(job.process);
    job.plan = None;
    job.multipart = None;
    job.reject_multipart = None;
    job.chunks_planned = 0;
    job.chunks_done = 0;
    job.bytes_in = 0;
    job.bytes_out = 0;
    job.rejects = 0;
    // the reject file of the run before is there until another replaces it: the same input has the same rejects
    job.records = 0;
    job.summary.clear();
    job.result_name = None;
    job.attempts = 0;
    job.output = None;
    job.started_at = None;
    open(&mut job);
    let task = Task::new(TaskId::plan(&job.id, job.run), job.queue.clone(), now);
    let changes =
        ChangeSet::new().with(Change::InsertTask(task)).with(Change::Emit(event(EventKind::JobCreated, &job, now)));
    store(job, changes, Durability::Synced)
}

/// The same run goes on: `unrecorded` are the chunks that were planned and are not done. At most a window of them was at
/// work when the job failed. Their tasks are made anew even where one is still there: its worker has seen the failure, or
/// will, and would drop it behind our back.
pub(super) fn resumed(job: &Job, unrecorded: &[u32], now: Timestamp) -> Decision {
    let Some(plan) = job.plan.filter(|_| job.status == JobStatus::Failed && job.resumable_until.is_some()) else {
        return Decision::Stale("it keeps no chunks; run it from the start");
    };
    let mut job = next_rev(job);
    job.status = JobStatus::Running;
    open(&mut job);
    let chunks = unrecorded.iter().map(|index| TaskId::chunk(&job.id, job.run, *index));
    let assemble = (job.chunks_done == plan.count).then(|| TaskId::assemble(&job.id, job.run));
    let tasks = chunks.chain(assemble).map(|id| Change::PutTask(Task::new(id, job.queue.clone(), now)));
    let mut changes = ChangeSet { changes: tasks.collect() };
    changes.push(Change::Emit(event(EventKind::JobStarted, &job, now)));
    store(job, changes, Durability::Synced)
}

fn open(job: &mut Job) {
    job.failure = None;
    job.redriven |= job.dead_letter.take().is_some();
    job.resumable_until = None;
    job.finished_at = None;
}
