//! The table of states x happenings, and an exhaustive walk over small jobs: every order of steps, duplicates, lost
//! leases and commands, to a bounded depth.

use super::*;
use crate::dead_letter::{DeadLetter, DeadLetterStatus};
use crate::etag::Etag;
use crate::job::Target;
use crate::object::{BucketName, ObjectKey, Sequencer};
use crate::ports::PartRef;
use crate::reject::RejectTolerance;
use crate::retry::RetryPolicy;
use crate::rule::{Name, Process};
use crate::task::Claim;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
        reader: Default::default(),
        owner: None,
        attempts: 0,
        failure: None,
        dead_letter: None,
        resumable_until: None,
        upload: None,
        metadata: serde_json::Map::new(),
        throttles: 0,
        redriven: false,
        notify: Vec::new(),
        generation: 0,
        original: None,
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
        row("exhausted", || Happening::Exhausted, Some((TaskKind::Plan, 3)), "failed", "failed", ended),
        row("resumed", || Happening::Resumed(vec![0]), None, "stale", "stale", ["stale"; 3]),
        row("kept long enough", || Happening::KeptLongEnough, None, "stale", "stale", ["stale"; 3]),
        row("retried", || Happening::Retried(None), None, "stale", "stale", ["stale", "queued", "queued"]),
        row("stranded", || Happening::Stranded { chunks: vec![0] }, None, "queued", "running", ["stale"; 3]),
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

/// The letter that a decision writes.
fn letter_of(decision: Decision) -> Option<(Job, DeadLetter)> {
    let Decision::Commit { changes, job, .. } = decision else { panic!("nothing was decided") };
    let record = changes.changes.into_iter().find_map(|c| if let Change::PutRecord(r) = c { Some(*r) } else { None });
    record.map(|record| (*job, record.read().expect("a letter").value))
}

fn claimed(id: TaskId, times: u32) -> Task {
    let mut task = task(id, 0);
    for n in 1..=times {
        task.claimed(Claim { worker: format!("worker-{n}"), at: NOW.plus(Duration::from_secs(u64::from(n))) });
    }
    task
}

#[test]
fn a_task_that_gives_up_leaves_a_letter_with_each_attempt() {
    let job = job(Some(2));
    let held = claimed(TaskId::chunk(&job.id, 1, 1), 2);
    let snapshot = Snapshot { job: &job, held: Some((&held, FencingToken(7))), chunk_recorded: false };
    let error = TaskError::transient("busy", "the store was busy");
    let (failed, letter) = letter_of(decide(snapshot, Happening::TaskFailed(error.clone()), NOW, 0)).expect("a letter");
    let failure = failed.failure.as_ref().expect("a failure");
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("busy", "the store was busy (tried 2 times)"));
    assert_eq!((failed.dead_letter.as_ref(), letter.status), (Some(&letter.id), DeadLetterStatus::Dead));
    let told: Vec<_> = letter.attempts.iter().map(|a| (a.claim.worker.as_str(), a.error.as_ref())).collect();
    assert_eq!(told, [("worker-1", None), ("worker-2", Some(&error))], "the first worker was lost");
    assert_eq!(failed.resumable_until, Some(NOW.plus(limits::RESUMABLE_FOR)));
    assert_eq!(letter.resumable_until, failed.resumable_until);
}

/// Alarms of a service that is never reached count them, though no job ever succeeds.
#[test]
fn a_task_that_gives_up_counts_each_attempt_that_was_throttled() {
    let job = job(None);
    let busy = TaskError::transient(THROTTLED, "busy");
    let mut held = claimed(TaskId::plan(&job.id, 1), 1);
    held.history = held.history_with(&busy);
    held.claim = None;
    held.claimed(Claim { worker: "worker-2".into(), at: NOW });
    let snapshot = Snapshot { job: &job, held: Some((&held, FencingToken(7))), chunk_recorded: false };
    let (failed, _) = letter_of(decide(snapshot, Happening::TaskFailed(busy), NOW, 0)).expect("a letter");
    assert_eq!((failed.attempts, failed.throttles), (2, 2));
}

#[test]
fn a_permanent_error_leaves_no_letter() {
    let job = job(Some(2));
    let held = claimed(TaskId::chunk(&job.id, 1, 1), 2);
    let snapshot = Snapshot { job: &job, held: Some((&held, FencingToken(7))), chunk_recorded: false };
    assert!(letter_of(decide(snapshot, Happening::TaskFailed(TaskError::permanent("bad", "bad")), NOW, 0)).is_none());
    let mut strict = job.clone();
    strict.retry.permanent = vec!["busy".into()];
    let snapshot = Snapshot { job: &strict, ..snapshot };
    assert!(letter_of(decide(snapshot, Happening::TaskFailed(TaskError::transient("busy", "")), NOW, 0)).is_none());
}

#[test]
fn a_task_that_killed_all_its_workers_says_so() {
    let job = job(None);
    let held = claimed(TaskId::plan(&job.id, 1), 3);
    let snapshot = Snapshot { job: &job, held: Some((&held, FencingToken(7))), chunk_recorded: false };
    let (failed, letter) = letter_of(decide(snapshot, Happening::Exhausted, NOW, 0)).expect("a letter");
    assert_eq!(
        (letter.error.code.as_str(), letter.attempts.len()),
        ("worker_lost", 2),
        "the third claim tried nothing"
    );
    assert_eq!((failed.attempts, failed.resumable_until), (2, None), "there is nothing to resume");
}

#[test]
fn a_resumed_job_does_only_what_is_not_done() {
    let mut job = job(Some(3));
    (job.chunks_done, job.status) = (1, JobStatus::Failed);
    job.resumable_until = Some(NOW);
    let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
    let Decision::Commit { changes, job: open, .. } = decide(snapshot, Happening::Resumed(vec![0, 2]), NOW, 0) else {
        panic!("stale");
    };
    let tasks: Vec<_> = changes
        .changes
        .iter()
        .filter_map(|c| if let Change::PutTask(t) = c { Some((t.id.kind, t.id.index)) } else { None })
        .collect();
    assert_eq!(tasks, [(TaskKind::Chunk, 0), (TaskKind::Chunk, 2)]);
    assert_eq!((open.status, open.run, open.chunks_done, open.resumable_until), (JobStatus::Running, 1, 1, None));
    let Decision::Commit { job: cleaned, .. } = decide(snapshot, Happening::KeptLongEnough, NOW, 0) else {
        panic!("stale");
    };
    assert!(cleaned.is_over() && cleaned.multipart.is_none());
    let snapshot = Snapshot { job: &cleaned, ..snapshot };
    assert_eq!(outcome(&decide(snapshot, Happening::Resumed(vec![0, 2]), NOW, 0)), "stale");
}

#[test]
fn a_stranded_job_gets_the_tasks_that_it_must_have() {
    let tasks_of = |job: &Job, chunks: Vec<u32>| {
        let snapshot = Snapshot { job, held: None, chunk_recorded: false };
        match decide(snapshot, Happening::Stranded { chunks }, NOW, 0) {
            Decision::Commit { changes, .. } => changes.tasks_made_ready(),
            Decision::Stale(_) => Vec::new(),
        }
    };
    let queued = job(None);
    assert_eq!(tasks_of(&queued, Vec::new()), [TaskId::plan(&queued.id, 1)]);
    let mut running = job(Some(3));
    (running.chunks_planned, running.chunks_done) = (3, 1);
    let chunk = |index| TaskId::chunk(&running.id, 1, index);
    assert_eq!(tasks_of(&running, vec![0, 2, 7]), [chunk(0), chunk(2)], "never more than were begun");
    running.chunks_planned = 1;
    assert_eq!(tasks_of(&running, Vec::new()), [TaskId::chunk(&running.id, 1, 1)], "the next one");
    (running.chunks_planned, running.chunks_done) = (3, 3);
    assert_eq!(tasks_of(&running, Vec::new()), [TaskId::assemble(&running.id, 1)]);
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
    /// The last token of each task that was: they rise for ever.
    tokens: BTreeMap<TaskId, u64>,
    letters: u32,
    resumes: u32,
}

impl Model {
    fn new(job: &Job) -> Self {
        let tasks = [(TaskId::plan(&job.id, 1), (0, false, 0))].into();
        let (chunks, working, tokens) = Default::default();
        Model { job: text(job), tasks, chunks, working, completions: 0, tokens, letters: 0, resumes: 0 }
    }

    fn job(&self) -> Job {
        serde_json::from_str(&self.job).expect("a job reads back")
    }

    fn begun_without_record(&self) -> Vec<u32> {
        (0..self.job().chunks_planned).filter(|index| !self.chunks.contains(index)).collect()
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
                Change::EndTask(id, token) => {
                    self.tokens.insert(id.clone(), token.0);
                    self.tasks.remove(id);
                }
                Change::ReturnTask(task, _) => {
                    let entry = self.tasks.get_mut(&task.id).expect("held");
                    entry.1 = false;
                }
                Change::UpdateJob(new) => {
                    assert!(
                        !job.status.is_terminal() || new.run > job.run || job.resumable_until.is_some(),
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
                Change::PutRecord(_) => self.letters += 1,
                Change::InsertTask(task) | Change::PutTask(task) => {
                    let ended = self.job().status.is_terminal() && self.job().run == task.id.run;
                    assert!(!ended || job.resumable_until.is_some(), "an ended job got a task");
                    let before = self.tasks.get(&task.id).map(|t| t.0);
                    let token = before.or(self.tokens.get(&task.id).copied()).unwrap_or(0);
                    self.tasks.insert(task.id.clone(), (token, false, 0));
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
        assert_eq!(self.letters - self.resumes, u32::from(job.dead_letter.is_some()), "a letter that is nobody's");
        assert!(job.dead_letter.is_none() || job.status == JobStatus::Failed, "a letter of a job that goes on");
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
        let claims = model.tasks.get(id).map_or(1, |t| t.2);
        for happening in outcomes_of(&model.job(), id, claims, chunks) {
            let mut after = model.clone();
            after.working.remove(&(id.clone(), *token));
            let job = after.job();
            let held = task(id.clone(), claims);
            let chunk_recorded = id.kind == TaskKind::Chunk && after.chunks.contains(&id.index);
            let snapshot = Snapshot { job: &job, held: Some((&held, FencingToken(*token))), chunk_recorded };
            if let Decision::Commit { changes, .. } = decide(snapshot, happening, NOW, 0) {
                after.apply(&changes);
            }
            next.push(after);
        }
    }
    // one resumption is enough to bring everything old among the new
    let unrecorded = model.begun_without_record();
    let resumed = (model.resumes == 0).then_some(Happening::Resumed(unrecorded.clone()));
    for command in [Happening::Cancelled, Happening::Stranded { chunks: unrecorded }].into_iter().chain(resumed) {
        let mut after = model.clone();
        let job = after.job();
        let stranded = matches!(command, Happening::Stranded { .. });
        after.resumes += u32::from(matches!(command, Happening::Resumed(_)));
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

/// More claims than the rule allows end the task without a try.
fn outcomes_of(job: &Job, id: &TaskId, claims: u32, chunks: u32) -> Vec<Happening> {
    let fails = Happening::TaskFailed(TaskError::transient("x", "x"));
    match id.kind {
        _ if claims > 2 => vec![Happening::Exhausted],
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
    let (mut completed, mut resumed) = (0, 0);
    while let Some(model) = frontier.pop() {
        model.check();
        completed += usize::from(model.completions == 1);
        resumed += usize::from(model.completions == 1 && model.resumes == 1);
        for next in successors(&model, chunks) {
            if seen.len() < states_max && seen.insert(next.clone()) {
                frontier.push(next);
            }
        }
    }
    assert!(completed > 0, "no order of steps completes the job");
    assert!(resumed > 0 || chunks == 0, "no order of steps completes a resumed job");
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
    assert!(explore(2, 12_000) > 1_000);
}
