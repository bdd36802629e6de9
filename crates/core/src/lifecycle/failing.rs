//! An attempt failed: it is tried again after a wait, or the job fails with the reason; and where trying again was what
//! did not help, or the job was a dead letter before, a dead letter waits for a person.

use super::{Decision, Snapshot, event, next_rev, stop, store};
use crate::dead_letter::DeadLetter;
use crate::event::EventKind;
use crate::job::{Failure, Job, JobStatus};
use crate::limits;
use crate::ports::{Change, ChangeSet, Durability};
use crate::record::Recorded;
use crate::task::{Attempt, TaskError, throttles_of};
use crate::time::Timestamp;

pub(super) fn task_failed(snapshot: Snapshot<'_>, error: TaskError, now: Timestamp, chance: u64) -> Decision {
    let Some((task, token)) = snapshot.held else { return Decision::Stale("no task is held") };
    let retry = &snapshot.job.retry;
    let is_permanent = retry.is_permanent(&error);
    if is_permanent && !snapshot.job.redriven {
        return stop(snapshot, JobStatus::Failed, Some(error.into()), now);
    }
    let history = task.history_with(&error);
    if is_permanent || task.attempts >= retry.attempts {
        return give_up(snapshot, error, history, now);
    }
    let mut returned = task.clone();
    returned.ready_at = now.plus(retry.wait_after(task.attempts, chance));
    returned.history = history;
    returned.last_error = Some(error);
    let changes = ChangeSet::new().with(Change::ReturnTask(returned, token));
    Decision::Commit { changes, durability: Durability::Lazy, job: Box::new(snapshot.job.clone()) }
}

/// The claim was one too many: nothing was tried under it.
pub(super) fn exhausted(snapshot: Snapshot<'_>, now: Timestamp) -> Decision {
    let Some((task, _)) = snapshot.held else { return Decision::Stale("no task is held") };
    let lost = || TaskError::transient("worker_lost", "the service stopped each time that it worked on this file");
    let error = task.last_error.clone().unwrap_or_else(lost);
    // claims like this one may have been lost too
    let allowed = snapshot.job.retry.attempts as usize;
    give_up(snapshot, error, task.history.iter().take(allowed).cloned().collect(), now)
}

/// The job fails, a letter tells why, and the chunks that are done are kept for a while.
fn give_up(snapshot: Snapshot<'_>, error: TaskError, attempts: Vec<Attempt>, now: Timestamp) -> Decision {
    let Some((task, token)) = snapshot.held else { return Decision::Stale("no task is held") };
    let mut job = next_rev(snapshot.job);
    job.status = JobStatus::Failed;
    job.failure = Some(after_tries(&error, attempts.len()));
    job.finished_at = Some(now);
    job.attempts += task.attempts.min(job.retry.attempts);
    job.throttles += throttles_of(&attempts);
    job.resumable_until = job.multipart.is_some().then(|| now.plus(limits::RESUMABLE_FOR));
    let letter = DeadLetter::of(&job, (task, token), error, attempts, now);
    job.dead_letter = Some(letter.id.clone());
    let changes = ChangeSet::new()
        .with(Change::EndTask(task.id.clone(), token))
        .with(Change::PutRecord(Box::new(letter.record(1))))
        .with(Change::Emit(event(EventKind::JobFailed, &job, now)));
    store(job, changes, Durability::Synced)
}

fn after_tries(error: &TaskError, tries: usize) -> Failure {
    let TaskError { code, message, detail, .. } = error.clone();
    let times = if tries == 1 { "once".to_owned() } else { format!("{tries} times") };
    Failure { message: format!("{message} (tried {times})"), code, detail }
}

/// The time to resume is over; what was kept can go.
pub(super) fn kept_long_enough(job: &Job) -> Decision {
    if job.resumable_until.is_none() {
        return Decision::Stale("it keeps nothing");
    }
    let mut job = next_rev(job);
    job.resumable_until = None;
    job.multipart = None;
    job.reject_multipart = None;
    store(job, ChangeSet::new(), Durability::Lazy)
}
