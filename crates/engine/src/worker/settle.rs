//! A step's outcome becomes truth: decide, commit, and after the commit tell whoever waits for it.
//!
//! Whoever loses a race loads again and decides again; whoever lost the lease says nothing.

use super::source::retire_source;
use crate::Engine;
use crate::publish::{CommitError, abandon_multiparts};
use crate::steps::{Done, place_is_taken, task_error_of_blob};
use filemill_core::job::{Job, JobStatus};
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::ports::{
    Change, ChangeSet, Durability, Lease, Publication, PublicationSource, StateError, Unpublishable, is_full,
};
use filemill_core::task::TaskError;

/// Decides and commits; whoever lost a race loads again and decides again.
pub(super) async fn settle(engine: &Engine, lease: Lease, mut job: Job, done: Done) {
    let ports = &engine.inner.ports;
    let Done { mut happening, mut publications } = done;
    for attempt in 0..limits::DECISIONS_MAX {
        if attempt > 0 {
            match ports.state.job(&job.id).await {
                Ok(Some(now)) => job = now,
                Ok(None) => return drop_task(engine, &lease).await,
                Err(e) => {
                    tracing::warn!(task = %lease.task.id, error = %e, "a step's outcome cannot be stored yet");
                    ports.clock.sleep(limits::PROGRESS_INTERVAL).await;
                    continue;
                }
            }
        }
        let chunk_recorded = attempt > 0 && is_recorded(engine, &happening).await;
        let held = Some((&lease.task, lease.token));
        let snapshot = Snapshot { job: &job, held, chunk_recorded };
        let decision = lifecycle::decide(snapshot, happening.clone(), engine.now(), ports.chance.number());
        let Decision::Commit { changes, durability, job: changed } = decision else { return };
        let completes =
            changed.status.is_terminal() && !job.status.is_terminal() && matches!(happening, Happening::Finished(_));
        let made = if completes { std::mem::take(&mut publications) } else { Vec::new() };
        let has_parts = made.iter().any(|one| matches!(one.source, PublicationSource::Multipart { .. }));
        let again: Option<Vec<Publication>> = made.iter().map(Publication::again).collect();
        let again = again.filter(|again| !again.is_empty());
        match commit(engine, &job, changes, made, durability, completes).await {
            Ok(()) => return settled(engine, &lease, &job, &changed).await,
            Err(Setback::Conflict) => {
                if is_over(engine, &lease).await {
                    return;
                }
                match again {
                    _ if !completes => {}
                    Some(same) => publications = same,
                    None => return release_later(engine, &lease).await,
                }
            }
            Err(Setback::Unpublishable(why)) => {
                if is_over(engine, &lease).await {
                    return;
                }
                happening = Happening::TaskFailed(match why {
                    Unpublishable::Taken => place_is_taken(),
                    Unpublishable::Missing(_) if !has_place(engine, &job).await => no_place(),
                    Unpublishable::Missing(_) if has_parts => result_refused(),
                    Unpublishable::Missing(_) => return release_later(engine, &lease).await,
                });
            }
            Err(Setback::Result(error)) => happening = Happening::TaskFailed(error),
            Err(Setback::Unavailable(e)) => {
                tracing::warn!(task = %lease.task.id, error = %e, "a step's outcome cannot be stored yet");
                if completes {
                    return release_later(engine, &lease).await;
                }
                ports.clock.sleep(limits::PROGRESS_INTERVAL).await;
            }
        }
    }
    release(engine, &lease).await;
}

/// Why a commit did not happen, by what to do about it.
enum Setback {
    Conflict,
    Unpublishable(Unpublishable),
    Unavailable(StateError),
    /// The result could not be made visible.
    Result(TaskError),
}

async fn commit(
    engine: &Engine,
    job: &Job,
    changes: ChangeSet,
    publications: Vec<Publication>,
    durability: Durability,
    completes: bool,
) -> Result<(), Setback> {
    if completes && publications.is_empty() {
        return Err(Setback::Conflict);
    }
    let committed = engine.commit_with_results(job, changes, publications, durability).await;
    match committed {
        Ok(_) => Ok(()),
        Err(CommitError::State(StateError::Conflict(_))) => Err(Setback::Conflict),
        Err(CommitError::State(StateError::Unpublishable(why))) => Err(Setback::Unpublishable(why)),
        Err(CommitError::State(e)) => Err(Setback::Unavailable(e)),
        Err(CommitError::Blob(e)) if is_full(&e) => Err(Setback::Unavailable(StateError::Unavailable(Box::new(e)))),
        Err(CommitError::Blob(e)) => Err(Setback::Result(task_error_of_blob(e))),
    }
}

fn result_refused() -> TaskError {
    let message = "the result could not be put together: its parts changed after they were recorded";
    TaskError::transient("result_refused", message)
}

/// Is the bucket of the result there? An outage says nothing against it.
async fn has_place(engine: &Engine, job: &Job) -> bool {
    !matches!(engine.inner.ports.blobs.bucket(&job.target.bucket).await, Ok(None))
}

fn no_place() -> TaskError {
    TaskError::transient("store_changed", "the bucket for the result is gone")
}

async fn is_recorded(engine: &Engine, happening: &Happening) -> bool {
    let Happening::ChunkDone(record) = happening else { return false };
    let known = engine.inner.ports.state.chunk(&record.job, record.run, record.index).await;
    known.is_ok_and(|r| r.is_some())
}

/// Is the task gone or held by another? Then there is nothing left to say for this lease.
async fn is_over(engine: &Engine, lease: &Lease) -> bool {
    let hold = ChangeSet::new().with(Change::HoldTask(lease.task.id.clone(), lease.token));
    matches!(engine.inner.ports.state.commit(hold, Durability::Lazy).await, Err(StateError::Conflict(_)))
}

/// After the commit: the queue forgets the task, listeners hear of it, leftovers go.
async fn settled(engine: &Engine, lease: &Lease, before: &Job, after: &Job) {
    let inner = &engine.inner;
    if let Err(e) = inner.ports.queue.ack(lease).await {
        tracing::warn!(task = %lease.task.id, error = %e, "queue did not take the acknowledgement");
    }
    inner.progress.committed(&inner.feed, after, lease.task.id.index, engine.now());
    if before.status == after.status || !after.status.is_terminal() {
        return;
    }
    if after.status == JobStatus::Completed {
        // a result without bytes left its multipart upload behind
        abandon_multiparts(&inner.ports, before).await;
        retire_source(engine, after).await;
    } else if after.is_over() {
        abandon_multiparts(&inner.ports, before).await;
    }
}

/// The job of a task is gone; so is the task.
pub(super) async fn drop_task(engine: &Engine, lease: &Lease) {
    let changes = ChangeSet::new().with(Change::EndTask(lease.task.id.clone(), lease.token));
    if let Err(e) = engine.commit(changes, Durability::Lazy).await {
        tracing::debug!(task = %lease.task.id, error = %e, "a task without a job was not removed yet");
    }
}

/// What was staged for the result is used up, so the step is taken again.
async fn release_later(engine: &Engine, lease: &Lease) {
    engine.inner.ports.clock.sleep(limits::PROGRESS_INTERVAL).await;
    release(engine, lease).await;
}

pub(super) async fn release(engine: &Engine, lease: &Lease) {
    for _ in 0..limits::RELEASES_MAX {
        match engine.inner.ports.queue.release(lease).await {
            Err(e) if is_full(&e) => {
                tracing::debug!(task = %lease.task.id, error = %e, "a lease cannot be given back yet");
                engine.inner.ports.clock.sleep(limits::OUTAGE_PAUSE).await;
            }
            Err(e) => return tracing::debug!(task = %lease.task.id, error = %e, "a lease runs out by itself"),
            Ok(()) => return,
        }
    }
}
