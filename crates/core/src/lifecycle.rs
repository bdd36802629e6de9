//! What happens to a job next: snapshot + happening + now -> decision. Pure; adapters guard and store, never decide.
//!
//! Invariants, checked exhaustively for small cases in `lifecycle/tests.rs`:
//! * a finished job never reopens by itself (only a person's act does it: [`Happening::Retried`], [`Happening::Resumed`]);
//! * a job that failed because a task gave up has a dead letter, no other has;
//! * a chunk counts once, whatever is delivered twice or late;
//! * every open job has a task, so it can make progress;
//! * a cancelled job starts nothing.
//!
//! Every decision to commit is guarded: the job by its `rev`, the task by its fencing token, the chunk by not being
//! there. Whoever loses the race loads again and decides again.

use crate::chunks::{ChunkPlan, Survey};
use crate::event::{EventKind, NewEvent};
use crate::finding::{Finding, FindingRecord};
use crate::ids::JobId;
use crate::job::{Failure, Job, JobStatus};
use crate::limits;
use crate::object::ObjectRef;
use crate::ports::{Change, ChangeSet, Durability};
use crate::report::ChunkReport;
use crate::rule::Process;
use crate::task::{ChunkRecord, FencingToken, THROTTLED, Task, TaskError, TaskId, TaskKind};
use crate::time::Timestamp;
use serde_json::json;

mod failing;
mod reopening;
#[cfg(test)]
mod tests;

use failing::{exhausted, kept_long_enough, task_failed};
use reopening::{resumed, retried};

/// The failure of a job that was born without a place for its result: running it could only do harm.
pub const NO_TARGET: &str = "output_key";
/// The failure of a job that was born when its upload had become as many objects as it may.
pub const TOO_MANY_DERIVED: &str = "too_many_derived";

/// What is known when deciding. `held` is the task under which the work was done, and its token.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    pub job: &'a Job,
    pub held: Option<(&'a Task, FencingToken)>,
    /// Chunk tasks: is this chunk recorded already?
    pub chunk_recorded: bool,
}

/// What happened to a job.
#[derive(Clone, Debug)]
pub enum Happening {
    /// The plan task cut the input.
    Planned(Planned),
    /// The plan task did the whole work, or the assemble task made the result. The caller adds the publication.
    Finished(Finished),
    ChunkDone(ChunkRecord),
    TaskFailed(TaskError),
    /// A task was claimed once more than it may be; nothing was done.
    Exhausted,
    /// A worker holds a task that the job no longer wants.
    TaskUnwanted,
    /// A person's act.
    Cancelled,
    /// A person's act: from the start, with other options if some are given.
    Retried(Option<Process>),
    /// A person's act: where it stopped. With the planned chunks that are not recorded.
    Resumed(Vec<u32>),
    /// The sweeper found chunks of a failed job that were kept long enough.
    KeptLongEnough,
    /// A newer version of the input arrived.
    Superseded,
    /// The input was removed.
    InputRemoved,
    /// The sweeper found an open job without a task. `chunks`: the first of those that were begun and have no record.
    Stranded {
        chunks: Vec<u32>,
    },
}

#[derive(Clone, Debug)]
pub struct Planned {
    pub plan: ChunkPlan,
    /// Where the chunks begin, if the plan says that the input was surveyed.
    pub survey: Option<Survey>,
    /// Gathers the outputs.
    pub multipart: String,
    /// Gathers the rejects, where there may be any.
    pub reject_multipart: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Finished {
    /// The result, or why the rejects leave none.
    pub outcome: Result<ObjectRef, Failure>,
    /// A one-lease job has no plan before.
    pub plan: ChunkPlan,
    pub rejects: u64,
    pub reject_file: Option<ObjectRef>,
    pub report: ChunkReport,
}

#[derive(Debug)]
pub enum Decision {
    Commit {
        changes: ChangeSet,
        durability: Durability,
        /// The job as it will be.
        job: Box<Job>,
    },
    /// Nothing to do, for this reason.
    Stale(&'static str),
}

/// A job is born: the job, its plan task and its event.
pub fn create(job: Job, now: Timestamp) -> ChangeSet {
    debug_assert!(job.status == JobStatus::Queued && job.rev == 1);
    let task = Task::new(TaskId::plan(&job.id, job.run), job.queue.clone(), now);
    let event = event(EventKind::JobCreated, &job, now);
    ChangeSet::new().with(Change::InsertJob(Box::new(job))).with(Change::InsertTask(task)).with(Change::Emit(event))
}

/// A job that cannot be begun is born failed, so that its file has an outcome and its uploader a reason.
pub fn create_failed(mut job: Job, failure: Failure, now: Timestamp) -> ChangeSet {
    job.status = JobStatus::Failed;
    job.failure = Some(failure);
    job.finished_at = Some(now);
    let event = event(EventKind::JobFailed, &job, now);
    ChangeSet::new().with(Change::InsertJob(Box::new(job))).with(Change::Emit(event))
}

/// `chance` is uniform over u64 and spreads retries.
pub fn decide(snapshot: Snapshot<'_>, happening: Happening, now: Timestamp, chance: u64) -> Decision {
    let job = snapshot.job;
    match happening {
        Happening::Retried(process) => return retried(job, process, now),
        Happening::Resumed(unrecorded) => return resumed(job, &unrecorded, now),
        Happening::KeptLongEnough => return kept_long_enough(job),
        Happening::TaskUnwanted => return unwanted(snapshot),
        _ => {}
    }
    if job.status.is_terminal() {
        return if snapshot.held.is_some() { unwanted(snapshot) } else { Decision::Stale("it has ended") };
    }
    if snapshot.held.is_some_and(|(task, _)| task.id.run != job.run) {
        return unwanted(snapshot);
    }
    match happening {
        Happening::Planned(made) => planned(snapshot, made, now),
        Happening::Finished(finished) => complete(snapshot, finished, now),
        Happening::ChunkDone(record) => chunk_done(snapshot, record, now),
        Happening::TaskFailed(error) => task_failed(snapshot, error, now, chance),
        Happening::Exhausted => exhausted(snapshot, now),
        Happening::Cancelled => stop(snapshot, JobStatus::Cancelled, None, now),
        Happening::Superseded => stop(snapshot, JobStatus::Cancelled, Some(superseded()), now),
        Happening::InputRemoved => stop(snapshot, JobStatus::Failed, Some(input_removed()), now),
        Happening::Stranded { chunks } => stranded(job, chunks, now),
        Happening::Retried(_) | Happening::Resumed(_) | Happening::KeptLongEnough | Happening::TaskUnwanted => {
            unreachable!("decided above")
        }
    }
}

/// The plan is recorded and the first chunks become tasks; each finished chunk brings the next one.
fn planned(snapshot: Snapshot<'_>, made: Planned, now: Timestamp) -> Decision {
    let Some((task, token)) = snapshot.held.filter(|_| snapshot.job.plan.is_none()) else {
        return unwanted(snapshot);
    };
    let mut job = next_rev(snapshot.job);
    start(&mut job, task, now);
    let Planned { plan, survey, multipart, reject_multipart } = made;
    job.plan = Some(plan);
    job.multipart = Some(multipart);
    job.reject_multipart = reject_multipart;
    let mut changes = ChangeSet::new().with(Change::EndTask(task.id.clone(), token));
    if let Some(survey) = survey {
        changes.push(Change::InsertSurvey { job: job.id.clone(), run: job.run, survey });
    }
    for _ in 0..plan.count.min(limits::CHUNK_WINDOW) {
        add_next_chunk(&mut job, &mut changes, now);
    }
    changes.push(Change::Emit(event(EventKind::JobStarted, &job, now)));
    store(job, changes, Durability::Lazy)
}

/// The chunk joins the set of done ones; the one that completes the set adds the assemble task in the same commit.
fn chunk_done(snapshot: Snapshot<'_>, record: ChunkRecord, now: Timestamp) -> Decision {
    let Some((task, token)) = snapshot.held.filter(|_| !snapshot.chunk_recorded) else {
        return unwanted(snapshot);
    };
    let mut job = next_rev(snapshot.job);
    job.chunks_done += 1;
    job.bytes_in += record.bytes_in;
    job.bytes_out += record.bytes_out;
    job.rejects += record.rejects;
    job.attempts += task.attempts;
    job.throttles += task.throttles();
    let mut changes = ChangeSet::new().with(Change::EndTask(task.id.clone(), token)).with(Change::InsertChunk(record));
    if job.chunks_planned < job.chunks_total() {
        add_next_chunk(&mut job, &mut changes, now);
    } else if job.chunks_done == job.chunks_total() {
        let assemble = Task::new(TaskId::assemble(&job.id, job.run), job.queue.clone(), now);
        changes.push(Change::InsertTask(assemble));
    }
    store(job, changes, Durability::Lazy)
}

fn complete(snapshot: Snapshot<'_>, finished: Finished, now: Timestamp) -> Decision {
    let Some((task, token)) = snapshot.held else { return Decision::Stale("no task is held") };
    let whole = task.id.kind == TaskKind::Plan && snapshot.job.plan.is_none();
    let gathered = task.id.kind == TaskKind::Assemble && snapshot.job.chunks_done == snapshot.job.chunks_total();
    if !whole && !gathered {
        return unwanted(snapshot);
    }
    let mut job = next_rev(snapshot.job);
    start(&mut job, task, now);
    let Finished { outcome, plan, rejects, reject_file, report } = finished;
    let ChunkReport { records, summary, metadata, finding, filename } = report.bounded();
    job.finished_at = Some(now);
    job.bytes_in = plan.input_bytes;
    job.plan = Some(plan);
    job.chunks_planned = plan.count;
    job.chunks_done = plan.count;
    job.rejects = rejects;
    job.records = records;
    job.reject_file = reject_file;
    job.summary = summary;
    job.metadata.extend(metadata);
    job.result_name = filename;
    job.multipart = None;
    job.reject_multipart = None;
    let mut changes = ChangeSet::new().with(Change::EndTask(task.id.clone(), token));
    let kind = match outcome {
        Ok(output) => {
            job.status = JobStatus::Completed;
            job.bytes_out = output.size;
            job.output = Some(output);
            changes.changes.extend(finding.map(|finding| Change::PutFinding(record_of(&job, finding, now))));
            EventKind::JobCompleted
        }
        Err(failure) => {
            job.status = JobStatus::Failed;
            job.bytes_out = 0;
            job.failure = Some(failure);
            EventKind::JobFailed
        }
    };
    changes.push(Change::Emit(event(kind, &job, now)));
    store(job, changes, Durability::Synced)
}

fn record_of(job: &Job, finding: Finding, now: Timestamp) -> FindingRecord {
    let (processor, job_id) = (job.process.kind.clone(), job.id.clone());
    let (bucket, key) = (job.input.bucket.clone(), job.input.key.clone());
    FindingRecord { processor, bucket, key, job: job_id, at: now, owner: job.owner.clone(), finding }
}

fn superseded() -> Failure {
    let message = "a newer version of the file was uploaded before this one was done".to_owned();
    Failure { code: "superseded".into(), message, detail: None }
}

fn input_removed() -> Failure {
    let message = "the file was removed before it was processed".to_owned();
    Failure { code: "input_gone".into(), message, detail: None }
}

/// The job ends without a result. Tasks of it that others hold or that wait find it ended and are dropped.
fn stop(snapshot: Snapshot<'_>, status: JobStatus, failure: Option<Failure>, now: Timestamp) -> Decision {
    let mut job = next_rev(snapshot.job);
    job.status = status;
    job.failure = failure;
    job.finished_at = Some(now);
    let mut changes = ChangeSet::new();
    if let Some((task, token)) = snapshot.held {
        job.attempts += task.attempts;
        let throttled = job.failure.as_ref().is_some_and(|failure| failure.code == THROTTLED);
        job.throttles += task.throttles() + u32::from(throttled);
        changes.push(Change::EndTask(task.id.clone(), token));
    }
    let kind = if status == JobStatus::Failed { EventKind::JobFailed } else { EventKind::JobCancelled };
    changes.push(Change::Emit(event(kind, &job, now)));
    store(job, changes, Durability::Synced)
}

/// The tasks that a job in this state must have.
fn stranded(job: &Job, chunks: Vec<u32>, now: Timestamp) -> Decision {
    let mut job = next_rev(job);
    let ids = match job.plan {
        None => vec![TaskId::plan(&job.id, job.run)],
        Some(plan) if job.chunks_done == plan.count => vec![TaskId::assemble(&job.id, job.run)],
        Some(_) => {
            let begun = chunks.into_iter().filter(|index| *index < job.chunks_planned);
            begun.take(limits::CHUNK_WINDOW as usize).map(|index| TaskId::chunk(&job.id, job.run, index)).collect()
        }
    };
    let mut changes = ChangeSet::new();
    changes.changes.extend(ids.into_iter().map(|id| Change::InsertTask(Task::new(id, job.queue.clone(), now))));
    if changes.is_empty() && job.chunks_planned >= job.chunks_total() {
        return Decision::Stale("its chunks do not add up");
    }
    if changes.is_empty() {
        // all that were begun are recorded, and the next was never made
        add_next_chunk(&mut job, &mut changes, now);
    }
    store(job, changes, Durability::Lazy)
}

/// The task is dropped; the job does not change.
fn unwanted(snapshot: Snapshot<'_>) -> Decision {
    let Some((task, token)) = snapshot.held else { return Decision::Stale("no task is held") };
    let changes = ChangeSet::new().with(Change::EndTask(task.id.clone(), token));
    Decision::Commit { changes, durability: Durability::Lazy, job: Box::new(snapshot.job.clone()) }
}

fn add_next_chunk(job: &mut Job, changes: &mut ChangeSet, now: Timestamp) {
    let id = TaskId::chunk(&job.id, job.run, job.chunks_planned);
    changes.push(Change::InsertTask(Task::new(id, job.queue.clone(), now)));
    job.chunks_planned += 1;
}

fn start(job: &mut Job, task: &Task, now: Timestamp) {
    job.status = JobStatus::Running;
    job.started_at.get_or_insert(now);
    job.attempts += task.attempts;
    job.throttles += task.throttles();
}

fn next_rev(job: &Job) -> Job {
    let mut next = job.clone();
    next.rev += 1;
    next
}

fn store(job: Job, mut changes: ChangeSet, durability: Durability) -> Decision {
    let job = Box::new(job);
    changes.push(Change::UpdateJob(job.clone()));
    Decision::Commit { changes, durability, job }
}

/// What the live feed tells of a job: enough to draw a row without asking again.
pub fn event(kind: EventKind, job: &Job, now: Timestamp) -> NewEvent {
    let mut data = json!({
        "status": job.status,
        "rule": job.rule,
        "bucket": job.input.bucket,
        "key": job.input.key,
        "chunks": { "total": job.chunks_total(), "done": job.chunks_done },
        "bytes": { "in": job.bytes_in, "out": job.bytes_out, "total": job.input.size },
        "rejects": job.rejects,
        "failure": job.failure,
        "dead_letter": job.dead_letter,
    });
    if job.status.is_terminal() {
        data["metadata"] = job.metadata.clone().into();
    }
    let id: JobId = job.id.clone();
    NewEvent { kind, at: now, job: Some(id), file: None, upload: job.upload.clone(), owner: job.owner.clone(), data }
}
