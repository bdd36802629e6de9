//! The table of states x happenings, and an exhaustive walk over small jobs: every order of steps, duplicates, lost
//! leases and commands, to a bounded depth.

use super::*;
use crate::etag::Etag;
use crate::job::Target;
use crate::object::{BucketName, ObjectKey, Sequencer};
use crate::ports::PartRef;
use crate::reject::RejectTolerance;
use crate::retry::RetryPolicy;
use crate::rule::{Name, Process};
use std::collections::{BTreeMap, BTreeSet};

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

fn object(name: &str, size: u64) -> ObjectRef {
    ObjectRef { bucket: bucket(name), key: ObjectKey::parse("k").expect("k"), size, etag: Etag::new("e") }
}

fn job(chunks: Option<u32>) -> Job {
    let retry = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
    Job {
        id: JobId::of("uploads", "k", "1", "r", NOW),
        rev: 1,
        status: if chunks.is_some() { JobStatus::Running } else { JobStatus::Queued },
        rule: Name::parse("r").expect("r"),
        process: Process { kind: "lines.prefix".into(), options: serde_json::Map::new() },
        input: object("uploads", 8),
        sequencer: Sequencer::new("1"),
        target: Target { bucket: bucket("results"), key: ObjectKey::parse("k").expect("k") },
        output: None,
        queue: Name::parse("default").expect("default"),
        retry,
        delete_source: false,
        run: 1,
        plan: chunks.map(plan),
        multipart: chunks.map(|_| "m".into()),
        reject_multipart: None,
        chunks_planned: chunks.unwrap_or(0),
        chunks_done: 0,
        bytes_in: 0,
        bytes_out: 0,
        rejects: 0,
        records: 0,
        tolerance: RejectTolerance::default(),
        reject_file: None,
        summary: serde_json::Map::new(),
        result_name: None,
        sources: None,
        attempts: 0,
        failure: None,
        upload: None,
        metadata: serde_json::Map::new(),
        generation: 0,
        created_at: NOW,
        started_at: None,
        finished_at: None,
    }
}

fn plan(count: u32) -> ChunkPlan {
    ChunkPlan { input_bytes: u64::from(count), chunk_bytes: 1, count, surveyed: false }
}

fn finished(count: u32) -> Happening {
    let outcome = Ok(object("results", 8));
    let report = ChunkReport::default();
    Happening::Finished(Finished { outcome, plan: plan(count), rejects: 0, reject_file: None, report })
}

/// Too many records were rejected.
fn refused(count: u32) -> Happening {
    let outcome = Err(Failure { code: "too_many_rejects".into(), message: "2 of 2".into(), detail: None });
    let (report, reject_file) = (ChunkReport::default(), Some(object("results", 9)));
    Happening::Finished(Finished { outcome, plan: plan(count), rejects: 2, reject_file, report })
}

fn cut(count: u32) -> Happening {
    Happening::Planned(Planned { plan: plan(count), survey: None, multipart: "m".into(), reject_multipart: None })
}

fn record(job: &Job, index: u32) -> ChunkRecord {
    let part = Some(PartRef { number: index + 1, handle: None, etag: None });
    let (job, run, report) = (job.id.clone(), job.run, ChunkReport::default());
    let (reject_part, reject_bytes) = (None, 0);
    ChunkRecord { job, run, index, part, bytes_in: 1, bytes_out: 1, rejects: 0, reject_part, reject_bytes, report }
}

fn task(id: TaskId, attempts: u32) -> Task {
    let mut task = Task::new(id, Name::parse("default").expect("default"), NOW);
    task.attempts = attempts;
    task
}

/// Status after the decision, or the status before and why nothing is done.
fn outcome(decision: &Decision) -> String {
    match decision {
        Decision::Commit { job, changes, .. } => {
            let drops_only = changes.changes.iter().all(|c| matches!(c, Change::EndTask(..)));
            if drops_only { "drop".into() } else { job.status.to_string() }
        }
        Decision::Stale(_) => "stale".into(),
    }
}

#[test]
fn the_table_of_states_and_happenings() {
    use JobStatus::{Cancelled, Completed, Failed, Queued, Running};
    let transient = || Happening::TaskFailed(TaskError::transient("x", "x"));
    let permanent = || Happening::TaskFailed(TaskError::permanent("x", "x"));
    let planned = || cut(2);
    // happening, the task held with its attempts, then the outcome for queued, running, completed, failed, cancelled
    type Row = (&'static str, Box<dyn Fn() -> Happening>, Option<(TaskKind, u32)>, [&'static str; 5]);
    let ended = ["drop", "drop", "drop"];
    let row = |name, happening: fn() -> Happening, held, queued, running, ended: [&'static str; 3]| -> Row {
        (name, Box::new(happening), held, [queued, running, ended[0], ended[1], ended[2]])
    };
    let rows: Vec<Row> = vec![
        ("planned", Box::new(planned), Some((TaskKind::Plan, 1)), ["running", "drop", "drop", "drop", "drop"]),
        row("finished whole", || finished(1), Some((TaskKind::Plan, 1)), "completed", "drop", ended),
        row("finished early", || finished(2), Some((TaskKind::Assemble, 1)), "completed", "drop", ended),
        row("refused whole", || refused(1), Some((TaskKind::Plan, 1)), "failed", "drop", ended),
        ("try again", Box::new(transient), Some((TaskKind::Plan, 1)), ["queued", "running", "drop", "drop", "drop"]),
        ("tries used", Box::new(transient), Some((TaskKind::Plan, 2)), ["failed", "failed", "drop", "drop", "drop"]),
        ("permanent", Box::new(permanent), Some((TaskKind::Plan, 1)), ["failed", "failed", "drop", "drop", "drop"]),
        row("unwanted", || Happening::TaskUnwanted, Some((TaskKind::Chunk, 1)), "drop", "drop", ended),
        row("cancelled", || Happening::Cancelled, None, "cancelled", "cancelled", ["stale"; 3]),
        row("superseded", || Happening::Superseded, None, "cancelled", "cancelled", ["stale"; 3]),
        row("input removed", || Happening::InputRemoved, None, "failed", "failed", ["stale"; 3]),
        row("retried", || Happening::Retried, None, "stale", "stale", ["stale", "queued", "queued"]),
        row("stranded", || Happening::Stranded, None, "queued", "stale", ["stale"; 3]),
    ];
    for (name, happening, held, expected) in rows {
        for (status, expected) in [Queued, Running, Completed, Failed, Cancelled].into_iter().zip(expected) {
            let mut job = job((status != Queued).then_some(2));
            job.status = status;
            let held =
                held.map(|(kind, attempts)| task(TaskId { job: job.id.clone(), run: 1, kind, index: 0 }, attempts));
            let held = held.as_ref().map(|t| (t, FencingToken(1)));
            let snapshot = Snapshot { job: &job, held, chunk_recorded: false };
            // an assemble task cannot exist while the job is queued; the row shows that nothing of it is trusted
            if name == "finished early" && status == Queued {
                continue;
            }
            let decision = decide(snapshot, happening(), NOW, 0);
            assert_eq!(outcome(&decision), expected, "{name} on {status}");
        }
    }
}

#[test]
fn a_task_of_an_earlier_run_is_dropped() {
    let mut job = job(Some(1));
    job.run = 2;
    let old = task(TaskId::chunk(&job.id, 1, 0), 1);
    let snapshot = Snapshot { job: &job, held: Some((&old, FencingToken(1))), chunk_recorded: false };
    assert_eq!(outcome(&decide(snapshot, Happening::ChunkDone(record(&job, 0)), NOW, 0)), "drop");
}

#[test]
fn no_decision_outgrows_a_commit() {
    let job = job(None);
    let held = task(TaskId::plan(&job.id, 1), 1);
    let snapshot = Snapshot { job: &job, held: Some((&held, FencingToken(1))), chunk_recorded: false };
    let planned = cut(limits::PARTS_MAX);
    match decide(snapshot, planned, NOW, 0) {
        Decision::Commit { changes, .. } => assert!(changes.changes.len() <= limits::CHANGES_MAX),
        Decision::Stale(why) => panic!("{why}"),
    }
}

#[test]
fn what_a_person_waits_for_is_synced() {
    let job = job(None);
    let held = task(TaskId::plan(&job.id, 1), 1);
    for (happening, held, expected) in [
        (finished(1), Some(&held), Durability::Synced),
        (Happening::TaskFailed(TaskError::permanent("x", "x")), Some(&held), Durability::Synced),
        (Happening::Cancelled, None, Durability::Synced),
        (cut(2), Some(&held), Durability::Lazy),
    ] {
        let snapshot = Snapshot { job: &job, held: held.map(|t| (t, FencingToken(1))), chunk_recorded: false };
        match decide(snapshot, happening, NOW, 0) {
            Decision::Commit { durability, .. } => assert_eq!(durability, expected),
            Decision::Stale(why) => panic!("{why}"),
        }
    }
}

/// A model store: job, tasks with tokens, chunk set. Applies change sets by the ports' clauses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Model {
    job: String,
    /// Task, its token, leased or not.
    tasks: BTreeMap<TaskId, (u64, bool, u32)>,
    chunks: BTreeSet<u32>,
    /// Steps begun under a lease and not yet ended: the task, the token and the snapshot's rev. A zombie is one whose
    /// lease was taken away.
    working: BTreeSet<(TaskId, u64)>,
    completions: u32,
}

impl Model {
    fn new(job: &Job) -> Self {
        let tasks = [(TaskId::plan(&job.id, 1), (0, false, 0))].into();
        let (chunks, working) = Default::default();
        Model { job: text(job), tasks, chunks, working, completions: 0 }
    }

    fn job(&self) -> Job {
        serde_json::from_str(&self.job).expect("a job reads back")
    }

    fn apply(&mut self, changes: &ChangeSet) -> bool {
        let job = self.job();
        let holds = |id: &TaskId, token: FencingToken| {
            self.tasks.get(id).is_some_and(|(t, leased, _)| *t == token.0 && *leased)
        };
        let holds_all = changes.changes.iter().all(|c| match c {
            Change::EndTask(id, token) | Change::HoldTask(id, token) => holds(id, *token),
            Change::ReturnTask(task, token) => holds(&task.id, *token),
            Change::UpdateJob(new) => new.rev == job.rev + 1,
            Change::InsertTask(task) => !self.tasks.contains_key(&task.id),
            Change::InsertChunk(record) => !self.chunks.contains(&record.index),
            _ => true,
        });
        if !holds_all {
            return false;
        }
        for change in &changes.changes {
            match change {
                Change::EndTask(id, _) => drop(self.tasks.remove(id)),
                Change::ReturnTask(task, _) => {
                    let entry = self.tasks.get_mut(&task.id).expect("held");
                    entry.1 = false;
                }
                Change::UpdateJob(new) => {
                    assert!(
                        !job.status.is_terminal() || new.run > job.run,
                        "a finished job reopened: {} -> {}",
                        job.status,
                        new.status
                    );
                    if new.run > job.run {
                        self.chunks.clear();
                    }
                    self.completions += u32::from(new.status == JobStatus::Completed);
                    self.job = text(new);
                }
                Change::InsertTask(task) => {
                    let ended = self.job().status.is_terminal() && self.job().run == task.id.run;
                    assert!(!ended, "an ended job got a task");
                    self.tasks.insert(task.id.clone(), (0, false, 0));
                }
                Change::InsertChunk(record) => drop(self.chunks.insert(record.index)),
                _ => {}
            }
        }
        true
    }

    fn check(&self) {
        let job = self.job();
        assert!(self.completions <= 1, "completed twice");
        if job.run == 1 {
            assert_eq!(
                job.chunks_done as usize,
                if job.status == JobStatus::Completed && self.chunks.is_empty() { 1 } else { self.chunks.len() },
                "the counter is the set's size"
            );
        }
        if !job.status.is_terminal() {
            let alive = self.tasks.keys().any(|t| t.run == job.run);
            assert!(alive, "an open job without a task: {job:?}");
        }
        if job.status == JobStatus::Completed {
            assert_eq!(job.chunks_done, job.chunks_total());
        }
    }
}

/// Normalised: times and counters of attempts do not multiply states.
fn text(job: &Job) -> String {
    let mut job = job.clone();
    job.attempts = 0;
    serde_json::to_string(&job).expect("a job is JSON")
}

/// Everything that can happen next in a model.
fn successors(model: &Model, chunks: u32) -> Vec<Model> {
    let mut next = Vec::new();
    for (id, (token, leased, attempts)) in &model.tasks {
        // a claim of a waiting task, or of one whose lease ran out while its holder goes on as a zombie
        if *attempts < 3 {
            let mut claimed = model.clone();
            claimed.tasks.insert(id.clone(), (token + 1, true, attempts + 1));
            claimed.working.insert((id.clone(), token + 1));
            next.push(claimed);
        }
        let _ = leased;
    }
    for (id, token) in &model.working {
        for happening in outcomes_of(&model.job(), id, chunks) {
            let mut after = model.clone();
            after.working.remove(&(id.clone(), *token));
            let job = after.job();
            let attempts = after.tasks.get(id).map_or(1, |t| t.2);
            let held = task(id.clone(), attempts);
            let chunk_recorded = id.kind == TaskKind::Chunk && after.chunks.contains(&id.index);
            let snapshot = Snapshot { job: &job, held: Some((&held, FencingToken(*token))), chunk_recorded };
            if let Decision::Commit { changes, .. } = decide(snapshot, happening, NOW, 0) {
                after.apply(&changes);
            }
            next.push(after);
        }
    }
    for command in [Happening::Cancelled, Happening::Stranded] {
        let mut after = model.clone();
        let job = after.job();
        let stranded = matches!(command, Happening::Stranded);
        let has_task = after.tasks.keys().any(|t| t.run == job.run);
        if stranded && has_task {
            continue;
        }
        let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
        if let Decision::Commit { changes, .. } = decide(snapshot, command, NOW, 0) {
            after.apply(&changes);
            next.push(after);
        }
    }
    next
}

fn outcomes_of(job: &Job, id: &TaskId, chunks: u32) -> Vec<Happening> {
    let fails = Happening::TaskFailed(TaskError::transient("x", "x"));
    match id.kind {
        TaskKind::Plan if chunks == 0 => vec![finished(1), fails],
        TaskKind::Plan => vec![cut(chunks), fails],
        TaskKind::Chunk => vec![Happening::ChunkDone(record(job, id.index)), fails],
        TaskKind::Assemble => vec![finished(chunks), fails],
    }
}

/// Breadth first over every reachable model; each one is checked.
fn explore(chunks: u32, states_max: usize) -> usize {
    let start = Model::new(&job(None));
    let mut seen: BTreeSet<Model> = [start.clone()].into();
    let mut frontier = vec![start];
    let mut completed = 0;
    while let Some(model) = frontier.pop() {
        model.check();
        completed += usize::from(model.completions == 1);
        for next in successors(&model, chunks) {
            if seen.len() < states_max && seen.insert(next.clone()) {
                frontier.push(next);
            }
        }
    }
    assert!(completed > 0, "no order of steps completes the job");
    seen.len()
}

#[test]
fn every_order_of_a_one_lease_job_keeps_the_invariants() {
    assert!(explore(0, 100_000) > 10);
}

#[test]
fn every_order_of_one_chunk_keeps_the_invariants() {
    assert!(explore(1, 100_000) > 100);
}

#[test]
fn every_order_of_two_chunks_keeps_the_invariants() {
    assert!(explore(2, 30_000) > 1_000);
}
