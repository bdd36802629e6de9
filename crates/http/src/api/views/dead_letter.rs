//! Dead letters, and orders to redrive them, as clients see them.

use filemill_core::access::TenantName;
use filemill_core::dead_letter::{DeadLetter, DeadLetterStatus, LetterEnd};
use filemill_core::ids::{DeadLetterId, JobId, RedriveId, UploadId};
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::redrive::RedriveStatus;
use filemill_core::rule::{QueueName, RuleId};
use filemill_core::task::{Attempt, TaskError, TaskKind};
use filemill_core::time::Timestamp;
use filemill_engine::{DeadLetterGroup, Engine, RedriveProgress};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A task that gave up, with all that is known of why.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterView {
    #[schema(value_type = String, example = "dead_01h455vb4pex5vsknk084sn02q")]
    pub id: DeadLetterId,
    #[schema(value_type = DeadLetterStatusView)]
    pub status: DeadLetterStatus,
    /// Whose it is: the bucket of its job's input says.
    #[schema(value_type = String, example = "default")]
    pub tenant: TenantName,
    #[schema(value_type = String)]
    pub job: JobId,
    /// The job's run in which it gave up.
    pub run: u32,
    /// `plan`, `chunk` or `assemble`.
    #[schema(value_type = String)]
    pub task: TaskKind,
    /// The chunk, from 0.
    pub chunk: Option<u32>,
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub rule: RuleId,
    pub processor: String,
    /// The options that were in force, those of an upload or a redrive among them.
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
    /// The job's input.
    #[schema(value_type = String)]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
    /// Bytes of the input.
    pub size: u64,
    #[schema(value_type = Option<String>)]
    pub upload: Option<UploadId>,
    pub error: ErrorView,
    /// The same for errors that probably have one cause.
    #[schema(example = "1f0c2a7b9d3e")]
    pub fingerprint: String,
    /// Oldest first.
    pub attempts: Vec<AttemptView>,
    #[schema(value_type = String, format = DateTime)]
    pub died_at: Timestamp,
    /// Until then a redrive does only the chunks that are not done.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resumable_until: Option<Timestamp>,
    /// How it ended, once it is no longer dead.
    pub ended: Option<LetterEndView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeadLetterStatus)]
#[allow(dead_code, reason = "the schema of core's DeadLetterStatus")]
pub enum DeadLetterStatusView {
    Dead,
    Redriven,
    Discarded,
}

/// Why an attempt failed.
#[derive(Serialize, ToSchema)]
#[schema(as = TaskError)]
pub struct ErrorView {
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// When the worker took the task.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub worker: String,
    /// Null: the worker stopped without a word.
    pub error: Option<ErrorView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterEnd)]
pub struct LetterEndView {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The name of who ordered it.
    pub by: String,
    /// The order that it was a part of.
    #[schema(value_type = Option<String>)]
    pub redrive: Option<RedriveId>,
    /// The run that it started or resumed.
    pub run: Option<u32>,
}

/// Letters whose errors probably have one cause.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterGroup)]
pub struct DeadLetterGroupView {
    pub fingerprint: String,
    pub count: u64,
    /// Of the newest.
    pub error: ErrorView,
    /// Of the newest; letters of other rules may be in the group.
    #[schema(value_type = String)]
    pub rule: RuleId,
    #[schema(value_type = String, format = DateTime)]
    pub first_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Timestamp,
    /// The newest.
    #[schema(value_type = String)]
    pub example: DeadLetterId,
}

/// An order to redrive many letters.
#[derive(Serialize, ToSchema)]
#[schema(as = Redrive)]
pub struct RedriveView {
    #[schema(value_type = String, example = "red_01h455vb4pex5vsknk084sn02q")]
    pub id: RedriveId,
    /// `running`, `done` or `cancelled`.
    #[schema(value_type = String)]
    pub status: RedriveStatus,
    /// As ordered; times and `status` filled in.
    #[schema(value_type = Object)]
    pub filter: Value,
    #[schema(value_type = Object)]
    pub manner: Value,
    /// Letters a second.
    pub rate: u32,
    /// Letters found when it was ordered.
    pub matched: u64,
    /// Letters put back to work by it.
    pub redriven: u64,
    /// Letters that could not be; they stay dead.
    pub skipped: u64,
    /// Why, of the last one.
    pub skipped_because: Option<String>,
    /// The name of who ordered it.
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// How many there are.
#[derive(Serialize, ToSchema)]
#[schema(as = Count)]
pub struct CountView {
    pub count: u64,
}

impl From<TaskError> for ErrorView {
    fn from(e: TaskError) -> Self {
        ErrorView { code: e.code, message: e.message, detail: e.detail }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let Attempt { claim, error } = attempt;
        AttemptView { at: claim.at, worker: claim.worker, error: error.map(ErrorView::from) }
    }
}

impl From<LetterEnd> for LetterEndView {
    fn from(end: LetterEnd) -> Self {
        let LetterEnd { at, by, redrive, run } = end;
        LetterEndView { at, by, redrive, run }
    }
}

impl DeadLetterView {
    pub fn of(letter: DeadLetter, engine: &Engine) -> Self {
        DeadLetterView {
            id: letter.id,
            status: letter.status,
            tenant: engine.tenant_of(&letter.bucket),
            run: letter.task.run,
            task: letter.task.kind,
            chunk: (letter.task.kind == TaskKind::Chunk).then_some(letter.task.index),
            job: letter.task.job,
            queue: letter.queue,
            rule: letter.rule,
            processor: letter.processor,
            options: letter.options,
            bucket: letter.bucket,
            key: letter.key,
            size: letter.size,
            upload: letter.upload,
            error: letter.error.into(),
            fingerprint: letter.fingerprint,
            attempts: letter.attempts.into_iter().map(AttemptView::from).collect(),
            died_at: letter.died_at,
            resumable_until: letter.resumable_until,
            ended: letter.ended.map(LetterEndView::from),
        }
    }
}

impl From<DeadLetterGroup> for DeadLetterGroupView {
    fn from(group: DeadLetterGroup) -> Self {
        let DeadLetterGroup { fingerprint, count, oldest, newest } = group;
        DeadLetterGroupView {
            fingerprint,
            count,
            error: newest.error.into(),
            rule: newest.rule,
            first_at: oldest.died_at,
            last_at: newest.died_at,
            example: newest.id,
        }
    }
}

impl From<RedriveProgress> for RedriveView {
    fn from(progress: RedriveProgress) -> Self {
        let RedriveProgress { order, redriven } = progress;
        RedriveView {
            id: order.id,
            status: order.status,
            filter: json!(order.filter),
            manner: json!(order.manner),
            rate: order.rate,
            matched: order.matched,
            redriven,
            skipped: order.skipped,
            skipped_because: order.skipped_because,
            by: order.by,
            created_at: order.created_at,
            finished_at: order.finished_at,
        }
    }
}
