//! Leases tasks and works on them: lease, load, run, decide, commit.
//!
//! One loop per process leases as much as there is room for; each lease runs as a task of its own. While a step runs
//! its lease is renewed as long as it moves; a lost lease stops it. `stop` ends the leasing, then the running tasks
//! finish or are given back.

use crate::Engine;
use crate::publish::{CommitError, abandon_multipart};
use crate::steps::{Done, Step, Watch, task_error_of_blob};
use filemill_core::duration::format_duration;
use filemill_core::job::{Job, JobStatus};
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::ports::{
    Change, ChangeSet, Durability, Lease, LeaseError, LeaseRequest, Precondition, Publication, StateError,
};
use filemill_core::task::{TaskError, TaskKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let ports = &engine.inner.ports;
    let chunks_running = Arc::new(AtomicU32::new(0));
    let give_back = CancellationToken::new();
    let mut running = JoinSet::new();
    while !stop.is_cancelled() {
        while running.try_join_next().is_some() {}
        let room = engine.inner.config.tasks_max.saturating_sub(u32::try_from(running.len()).unwrap_or(u32::MAX));
        let leases = lease(engine, room, chunks_running.load(Ordering::Acquire)).await;
        let leased = !leases.is_empty();
        for lease in leases {
            running.spawn(hold(engine.clone(), lease, chunks_running.clone(), give_back.clone()));
        }
        if leased {
            continue;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(_) = running.join_next() => {}
            () = ports.queue.ready(), if room > 0 => {}
            () = ports.clock.sleep(limits::WORKER_POLL) => {}
        }
    }
    drain(engine, running, give_back).await;
}

async fn drain(engine: &Engine, mut running: JoinSet<()>, give_back: CancellationToken) {
    let all_done = async { while running.join_next().await.is_some() {} };
    tokio::select! {
        biased;
        () = all_done => return,
        () = engine.inner.ports.clock.sleep(limits::DRAIN) => {}
    }
    give_back.cancel();
    while running.join_next().await.is_some() {}
}

async fn lease(engine: &Engine, room: u32, chunks_running: u32) -> Vec<Lease> {
    if room == 0 {
        return Vec::new();
    }
    let config = &engine.inner.config;
    let limits = config.queues.iter().filter_map(|(name, q)| q.max_running.map(|max| (name.clone(), max)));
    let wanted = LeaseRequest {
        worker: config.worker.clone(),
        max: room,
        max_chunks: config.chunks_max.saturating_sub(chunks_running),
        duration: config.lease,
        max_running: limits.collect::<BTreeMap<_, _>>(),
    };
    match engine.inner.ports.queue.lease(wanted).await {
        Ok(leases) => leases,
        Err(e) => {
            tracing::warn!(error = %e, "the queue gives no leases");
            Vec::new()
        }
    }
}

/// Counts the running chunks, so that the loop knows its room.
async fn hold(engine: Engine, lease: Lease, chunks_running: Arc<AtomicU32>, give_back: CancellationToken) {
    let is_chunk = lease.task.id.kind == TaskKind::Chunk;
    if is_chunk {
        chunks_running.fetch_add(1, Ordering::AcqRel);
    }
    work(&engine, lease, give_back).await;
    if is_chunk {
        chunks_running.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn work(engine: &Engine, mut lease: Lease, give_back: CancellationToken) {
    let job = match lease.job.take() {
        Some(job) => Ok(Some(*job)),
        None => engine.inner.ports.state.job(&lease.task.id.job).await,
    };
    let job = match job {
        Ok(Some(job)) => job,
        Ok(None) => return drop_task(engine, &lease).await,
        Err(e) => {
            tracing::warn!(task = %lease.task.id, error = %e, "a task's job cannot be read");
            return release(engine, &lease).await;
        }
    };
    let watch = Arc::new(Watch::default());
    let done = tokio::select! {
        biased;
        () = give_back.cancelled() => None,
        done = run_step(engine, &job, &lease, watch.clone()) => Some(done),
        ended = keep_alive(engine, &job, &lease, &watch) => {
            watch.stop();
            match ended {
                Ended::LeaseLost => return,
                Ended::Unwanted => Some(Done { happening: Happening::TaskUnwanted, publication: None }),
                Ended::Stuck(error) => Some(Done { happening: Happening::TaskFailed(error), publication: None }),
            }
        }
    };
    match done {
        Some(done) => settle(engine, lease, job, done).await,
        None => {
            watch.stop();
            release(engine, &lease).await;
        }
    }
}

/// Why a running step is given up.
enum Ended {
    /// Another worker has the task, or will have.
    LeaseLost,
    /// The job was cancelled, superseded or retried.
    Unwanted,
    Stuck(TaskError),
}

/// The step's outcome as a happening; tasks that nobody wants, and those that were claimed too often, run nothing.
async fn run_step(engine: &Engine, job: &Job, lease: &Lease, watch: Arc<Watch>) -> Done {
    let unwanted = job.status.is_terminal() || job.run != lease.task.id.run;
    if unwanted {
        return Done { happening: Happening::TaskUnwanted, publication: None };
    }
    if lease.task.attempts > job.retry.attempts {
        let last = lease.task.last_error.clone();
        let lost = || TaskError::permanent("worker_lost", "every worker that took this task stopped without a word");
        let error = TaskError { permanent: true, ..last.unwrap_or_else(lost) };
        return Done { happening: Happening::TaskFailed(error), publication: None };
    }
    let chunk_limits = engine.inner.config.chunk_limits;
    let step = Step { ports: &engine.inner.ports, job, task: &lease.task, chunk_limits, watch };
    step.run().await.unwrap_or_else(|e| Done { happening: Happening::TaskFailed(e), publication: None })
}

/// Renews the lease while the step moves and the job is wanted; returns when one of these ends.
async fn keep_alive(engine: &Engine, job: &Job, lease: &Lease, watch: &Watch) -> Ended {
    let config = &engine.inner.config;
    let clock = &engine.inner.ports.clock;
    let duration = config.lease_of(&job.queue);
    let renew_every = duration.min(config.lease) / limits::LEASE_RENEWALS;
    let tick = renew_every.min(limits::PROGRESS_INTERVAL);
    let (mut since_renewal, mut still, mut total) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut seen = 0;
    loop {
        clock.sleep(tick).await;
        total += tick;
        since_renewal += tick;
        still += tick;
        let read = watch.bytes_read();
        if read != seen {
            seen = read;
            still = Duration::ZERO;
            engine.inner.progress.moved(&engine.inner.feed, job, lease.task.id.index, read, engine.now());
        }
        if still >= config.no_progress_timeout {
            let message = format!("no byte was read for {}", format_duration(config.no_progress_timeout));
            return Ended::Stuck(TaskError::transient("no_progress", message));
        }
        if total >= config.task_timeout {
            let message = format!("not done after {}", format_duration(config.task_timeout));
            return Ended::Stuck(TaskError::transient("timeout", message));
        }
        if since_renewal < renew_every {
            continue;
        }
        since_renewal = Duration::ZERO;
        match engine.inner.ports.queue.extend(lease, duration).await {
            Ok(_) => {}
            Err(LeaseError::LeaseLost) => return Ended::LeaseLost,
            // the lease may still hold; the fence decides at the commit
            Err(e) => tracing::warn!(task = %lease.task.id, error = %e, "lease was not renewed"),
        }
        if is_unwanted_now(engine, job).await {
            return Ended::Unwanted;
        }
    }
}

/// Was the job cancelled, superseded or retried meanwhile?
async fn is_unwanted_now(engine: &Engine, job: &Job) -> bool {
    match engine.inner.ports.state.job(&job.id).await {
        Ok(Some(now)) => now.status.is_terminal() || now.run != job.run,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Decides and commits; whoever lost a race loads again and decides again.
async fn settle(engine: &Engine, lease: Lease, mut job: Job, done: Done) {
    let ports = &engine.inner.ports;
    let Done { mut happening, mut publication } = done;
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
        let completes = changed.status == JobStatus::Completed && job.status != JobStatus::Completed;
        let result = publication.take().filter(|_| completes);
        match commit(engine, changes, result, durability, completes).await {
            Ok(()) => return settled(engine, &lease, &job, &changed).await,
            Err(Setback::Conflict) if completes => return release(engine, &lease).await,
            Err(Setback::Conflict) => {
                if is_over(engine, &lease).await {
                    return;
                }
            }
            Err(Setback::Result(error)) => happening = Happening::TaskFailed(error),
            Err(Setback::Unavailable(e)) => {
                tracing::warn!(task = %lease.task.id, error = %e, "a step's outcome cannot be stored yet");
                if completes {
                    return release(engine, &lease).await;
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
    Unavailable(StateError),
    /// The result could not be made visible.
    Result(TaskError),
}

async fn commit(
    engine: &Engine,
    changes: ChangeSet,
    publication: Option<Publication>,
    durability: Durability,
    completes: bool,
) -> Result<(), Setback> {
    let committed = match publication {
        Some(publication) => engine.commit_with_result(changes, publication, durability).await,
        None if completes => return Err(Setback::Conflict),
        None => engine.commit(changes, durability).await.map_err(CommitError::State),
    };
    match committed {
        Ok(_) => Ok(()),
        Err(CommitError::State(StateError::Conflict(_))) => Err(Setback::Conflict),
        Err(CommitError::State(e)) => Err(Setback::Unavailable(e)),
        Err(CommitError::Blob(e)) => Err(Setback::Result(task_error_of_blob(e))),
    }
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
    metrics::counter!("filemill_jobs_total", "status" => after.status.as_str()).increment(1);
    match (after.status, &after.failure) {
        (JobStatus::Completed, _) => {
            tracing::info!(job = %after.id, rule = %after.rule, bytes_in = after.bytes_in, "job completed");
            // a result without bytes left its multipart upload behind
            abandon_multipart(&inner.ports, before).await;
            retire_source(engine, after).await;
        }
        (_, failure) => {
            let (code, message) = failure.as_ref().map_or(("", ""), |f| (f.code.as_str(), f.message.as_str()));
            tracing::warn!(job = %after.id, rule = %after.rule, code, message, "job ended without a result");
            abandon_multipart(&inner.ports, before).await;
        }
    }
}

/// `delete_source = true`: the input goes once the result was read back whole (every read checks its checksum).
async fn retire_source(engine: &Engine, job: &Job) {
    let Some(output) = job.output.as_ref().filter(|_| job.delete_source) else { return };
    let blobs = engine.inner.ports.blobs.clone();
    let open = match blobs.open(&output.bucket, &output.key, Some(&output.etag), None).await {
        Ok(open) => open,
        Err(e) => return tracing::warn!(job = %job.id, error = %e, "source is kept: the result cannot be opened"),
    };
    let read_back = move || std::io::copy(&mut open.body.into_reader(), &mut std::io::sink());
    match engine.inner.ports.compute.run(read_back).await {
        Ok(Ok(size)) if size == output.size => {
            let condition = Precondition::IfMatch(job.input.etag.clone());
            if let Err(e) = blobs.delete(&job.input.bucket, &job.input.key, condition).await {
                tracing::warn!(job = %job.id, error = %e, "source was not deleted");
            }
        }
        _ => tracing::warn!(job = %job.id, "source is kept: the result does not read back whole"),
    }
}

/// The job of a task is gone; so is the task.
async fn drop_task(engine: &Engine, lease: &Lease) {
    let changes = ChangeSet::new().with(Change::EndTask(lease.task.id.clone(), lease.token));
    if let Err(e) = engine.commit(changes, Durability::Lazy).await {
        tracing::debug!(task = %lease.task.id, error = %e, "a task without a job was not removed yet");
    }
}

async fn release(engine: &Engine, lease: &Lease) {
    if let Err(e) = engine.inner.ports.queue.release(lease).await {
        tracing::debug!(task = %lease.task.id, error = %e, "a lease runs out by itself");
    }
}
