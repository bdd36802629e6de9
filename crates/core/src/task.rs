//! Units of work with a lease. `(job, run, kind, index)` is a task's identity.

use crate::ids::JobId;
use crate::ports::PartRef;
use crate::report::ChunkReport;
use crate::rule::QueueName;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Cuts the input; one chunk of up to [`crate::limits::ONE_LEASE_BYTES_MAX`] is finished in the same lease.
    Plan,
    Chunk,
    Assemble,
}

impl TaskKind {
    pub fn as_str(self) -> &'static str {
        match self {
            TaskKind::Plan => "plan",
            TaskKind::Chunk => "chunk",
            TaskKind::Assemble => "assemble",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [TaskKind::Plan, TaskKind::Chunk, TaskKind::Assemble].into_iter().find(|k| k.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    pub job: JobId,
    pub run: u32,
    pub kind: TaskKind,
    /// The chunk; 0 for plan and assemble.
    pub index: u32,
}

impl TaskId {
    pub fn plan(job: &JobId, run: u32) -> Self {
        TaskId { job: job.clone(), run, kind: TaskKind::Plan, index: 0 }
    }

    pub fn chunk(job: &JobId, run: u32, index: u32) -> Self {
        TaskId { job: job.clone(), run, kind: TaskKind::Chunk, index }
    }

    pub fn assemble(job: &JobId, run: u32) -> Self {
        TaskId { job: job.clone(), run, kind: TaskKind::Assemble, index: 0 }
    }

    /// Fairness: tasks with a lower rank are leased first. A job's n-th chunk waits behind every other job's earlier
    /// ones, so a small file that arrives behind a huge one is finished at once (least attained service).
    pub fn rank(&self) -> u32 {
        self.index
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.job, self.run, self.kind.as_str(), self.index)
    }
}

/// Rises with each lease of a task; a commit that carries an old one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

/// A task as stored. While leased, `ready_at` is when its lease ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub queue: QueueName,
    /// Leases so far: counted at claim, so a worker that dies counts.
    pub attempts: u32,
    pub ready_at: Timestamp,
    pub last_error: Option<TaskError>,
    /// Who took it last, unless they gave it back.
    #[serde(default)]
    pub claim: Option<Claim>,
    /// The attempts before this claim, oldest first.
    #[serde(default)]
    pub history: Vec<Attempt>,
}

/// Who took a task, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub worker: String,
    pub at: Timestamp,
}

/// What a try at a task may fail of; `docs/api.md` explains each. Not `worker_lost`, which no try lives to tell.
pub const ERROR_CODES: &[&str] = &[
    "bomb",
    "chunks_missing",
    "command_failed",
    "command_killed",
    "command_left_processes",
    "command_not_started",
    "command_output_too_large",
    "command_timed_out",
    "http_incomplete",
    "http_output_too_large",
    "http_refused",
    "http_throttled",
    "http_unavailable",
    "input_changed",
    "input_corrupt",
    "input_encoding",
    "input_gone",
    "input_invalid",
    "input_too_large",
    "io",
    "no_link",
    "no_processor",
    "no_progress",
    "nothing_to_archive",
    "options",
    "part_without_tag",
    "processor_panicked",
    "rejects_unannounced",
    "result_refused",
    "result_taken",
    "source_changed",
    "source_missing",
    "state_unavailable",
    "stopped",
    "store_changed",
    "store_refused",
    "store_unavailable",
    "survey",
    "timeout",
    "too_many_rejects",
];

/// The code of an error that says: too much, come back later.
pub const THROTTLED: &str = "http_throttled";

/// One try at a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(flatten)]
    pub claim: Claim,
    /// Why it failed; `None`: the worker stopped without a word and its lease ran out.
    pub error: Option<TaskError>,
}

/// How many of them were throttled.
pub fn throttles_of(attempts: &[Attempt]) -> u32 {
    let throttled = |attempt: &&Attempt| attempt.error.as_ref().is_some_and(|error| error.code == THROTTLED);
    u32::try_from(attempts.iter().filter(throttled).count()).unwrap_or(u32::MAX)
}

impl Task {
    pub fn new(id: TaskId, queue: QueueName, ready_at: Timestamp) -> Self {
        Task { id, queue, attempts: 0, ready_at, last_error: None, claim: None, history: Vec::new() }
    }

    /// A worker takes it. A claim that was neither given back nor ended was lost with its worker.
    pub fn claimed(&mut self, claim: Claim) {
        self.attempts += 1;
        if let Some(lost) = self.claim.replace(claim) {
            self.history.push(Attempt { claim: lost, error: None });
        }
    }

    /// Attempts before the present one that were throttled.
    pub fn throttles(&self) -> u32 {
        throttles_of(&self.history)
    }

    /// All attempts, if the present one ended with this error.
    pub fn history_with(&self, error: &TaskError) -> Vec<Attempt> {
        let present = self.claim.clone().map(|claim| Attempt { claim, error: Some(error.for_history()) });
        self.history.iter().cloned().chain(present).collect()
    }
}

/// Why an attempt failed. `permanent` ones are not tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub detail: Option<String>,
    pub permanent: bool,
}

impl TaskError {
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        TaskError { code: code.into(), message: message.into(), detail: None, permanent: true }
    }

    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        TaskError { code: code.into(), message: message.into(), detail: None, permanent: false }
    }

    /// Up to a hundred of these stand in one dead letter.
    fn for_history(&self) -> TaskError {
        let short = |text: &String| text.chars().take(crate::limits::ATTEMPT_TEXT_CHARS_MAX).collect();
        TaskError { message: short(&self.message), detail: self.detail.as_ref().map(short), ..self.clone() }
    }

    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        let text = detail.to_string();
        self.detail = Some(text.chars().take(crate::limits::FAILURE_DETAIL_CHARS_MAX).collect());
        self
    }
}

/// What a finished chunk left behind: a part of the result, and what its transform wants to tell the assembly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChunkRecord {
    pub job: JobId,
    pub run: u32,
    pub index: u32,
    /// The part of the result, given back at assembly. `None`: this chunk's output is empty.
    pub part: Option<PartRef>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub rejects: u64,
    /// The chunk's part of the reject file, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject_part: Option<PartRef>,
    /// Of the reject file's bytes.
    #[serde(default)]
    pub reject_bytes: u64,
    #[serde(default)]
    pub report: ChunkReport,
}
