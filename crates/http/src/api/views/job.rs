//! A job as clients see it. The order of the fields is the order of the document, and part of the contract.

use filemill_core::access::TenantName;
use filemill_core::ids::{DeadLetterId, JobId, UploadId};
use filemill_core::job::{Failure, Job, JobStatus};
use filemill_core::object::{BucketName, ObjectKey, ObjectRef};
use filemill_core::rule::RuleId;
use filemill_core::time::Timestamp;
use filemill_engine::Engine;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A job: one file x one rule.
#[derive(Serialize, ToSchema)]
#[schema(as = Job, example = json!({
    "id": "job_01kagnzcyzxbyq8m2n7s5r0f4d", "status": "completed", "tenant": "default", "rule": "hello-lines", "processor": "lines.prefix",
    "input": {"bucket": "uploads", "key": "hello/a.txt", "size": 8, "etag": "8b7b4b0a4a4cd9b9ee64ba6a08f2a3d2"}, "generation": 0,
    "output": {"bucket": "results", "key": "hello/a.txt", "size": 22, "etag": "27b6f11c1c8b6f0a4f2bd0bfc0a3a7c1"},
    "chunks": {"total": 1, "done": 1}, "bytes": {"in": 8, "out": 22}, "records": 0, "rejects": 0, "reject_file": null, "summary": {}, "attempts": 1, "failure": null, "dead_letter": null,
    "upload": "upl_01kagnz8sv1g2k3h4j5m6n7p8q", "metadata": {"order": 17},
    "created_at": "2026-11-20T12:00:00.000Z", "started_at": "2026-11-20T12:00:00.004Z",
    "finished_at": "2026-11-20T12:00:00.012Z",
}))]
pub struct JobView {
    #[schema(value_type = String, example = "job_01h455vb4pex5vsknk084sn02q")]
    pub id: JobId,
    #[schema(value_type = JobStatusView)]
    pub status: JobStatus,
    /// Whose it is: the input's bucket says.
    #[schema(value_type = String, example = "default")]
    pub tenant: TenantName,
    #[schema(value_type = String, example = "hello-lines")]
    pub rule: RuleId,
    #[schema(example = "lines.prefix")]
    pub processor: String,
    pub input: ObjectView,
    /// Of the input: 0 for what was uploaded; a result is one deeper than what it was made of.
    pub generation: u32,
    /// The result, once it exists.
    pub output: Option<ObjectView>,
    pub chunks: ChunksView,
    pub bytes: BytesView,
    /// Records that the processor read, once the job has ended; 0 where it knows no records.
    pub records: u64,
    /// Records that were set aside.
    pub rejects: u64,
    /// The records that were set aside, once the job has ended.
    pub reject_file: Option<ObjectView>,
    /// What the processor tells of the file.
    #[schema(value_type = Object)]
    pub summary: Map<String, Value>,
    /// Attempts of all tasks of the job's current run.
    pub attempts: u32,
    pub failure: Option<FailureView>,
    /// The letter that waits for an operator, where the job failed because trying again did not help.
    #[schema(value_type = Option<String>, example = "dead_01h455vb4pex5vsknk084sn02q")]
    pub dead_letter: Option<DeadLetterId>,
    #[schema(value_type = Option<String>, example = "upl_01h455vb4pex5vsknk084sn02q")]
    pub upload: Option<UploadId>,
    /// What the uploader gave along.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// Only `failed` and `cancelled` jobs can be retried; only `queued` and `running` ones can be cancelled.
#[derive(ToSchema)]
#[schema(as = JobStatus, rename_all = "snake_case")]
#[allow(dead_code, reason = "names the values in the OpenAPI document")]
pub enum JobStatusView {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// One version of one object.
#[derive(Serialize, ToSchema)]
#[schema(as = Object)]
pub struct ObjectView {
    #[schema(value_type = String, example = "uploads")]
    pub bucket: BucketName,
    #[schema(value_type = String, example = "hello/a.txt")]
    pub key: ObjectKey,
    pub size: u64,
    pub etag: String,
}

/// `total` is 0 until the job is planned.
#[derive(Serialize, ToSchema)]
#[schema(as = Chunks)]
pub struct ChunksView {
    pub total: u32,
    pub done: u32,
}

/// Bytes read and written so far.
#[derive(Serialize, ToSchema)]
#[schema(as = Bytes)]
pub struct BytesView {
    #[serde(rename = "in")]
    pub read: u64,
    #[serde(rename = "out")]
    pub written: u64,
}

/// Why a job did not end well.
#[derive(Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    /// Stable, for programs.
    pub code: String,
    /// For the person who uploaded the file.
    pub message: String,
    pub detail: Option<String>,
}

impl From<ObjectRef> for ObjectView {
    fn from(o: ObjectRef) -> Self {
        ObjectView { bucket: o.bucket, key: o.key, size: o.size, etag: o.etag.as_str().to_owned() }
    }
}

impl From<Failure> for FailureView {
    fn from(f: Failure) -> Self {
        FailureView { code: f.code, message: f.message, detail: f.detail }
    }
}

impl JobView {
    pub fn of(job: Job, engine: &Engine) -> Self {
        JobView {
            tenant: engine.tenant_of(&job.input.bucket),
            chunks: ChunksView { total: job.chunks_total(), done: job.chunks_done },
            bytes: BytesView { read: job.bytes_in, written: job.bytes_out },
            id: job.id,
            status: job.status,
            rule: job.rule,
            processor: job.process.kind,
            generation: job.generation,
            input: job.input.into(),
            output: job.output.map(ObjectView::from),
            records: job.records,
            rejects: job.rejects,
            reject_file: job.reject_file.map(ObjectView::from),
            summary: job.summary,
            attempts: job.attempts,
            failure: job.failure.map(FailureView::from),
            dead_letter: job.dead_letter,
            upload: job.upload,
            metadata: job.metadata,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}
