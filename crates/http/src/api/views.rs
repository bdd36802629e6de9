//! What clients see, as JSON: the public shapes of jobs, uploads, files, rules and processors.
//!
//! Each view is made from the engine's own type here and nowhere else. Field order is the order of the document.

use filemill_core::event::EventKind;
use filemill_core::file::File;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::job::{Failure, Job, JobStatus};
use filemill_core::object::{BucketName, ObjectKey, ObjectRef};
use filemill_core::ports::{PresignedRequest, ProcessorSpec};
use filemill_core::rule::{Rule, RuleId};
use filemill_core::time::Timestamp;
use filemill_core::upload::{Upload, UploadMode, UploadStatus};
use filemill_engine::{Link, UploadTicket};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of a list. `next_cursor` is null on the last page; otherwise give it back as `cursor`.
#[derive(Serialize, ToSchema)]
pub struct ListView<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> ListView<T> {
    /// A list that is always answered whole.
    pub fn whole(items: Vec<T>) -> Self {
        ListView { items, next_cursor: None }
    }
}

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView {
    /// Names the kind of problem; the same for the same `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:filemill:problem:job_not_found")]
    pub kind: String,
    #[schema(example = "Not Found")]
    pub title: String,
    #[schema(example = 404)]
    pub status: u16,
    /// For people.
    #[schema(example = "there is no job \"job_01h455vb4pex5vsknk084sn02q\"")]
    pub detail: String,
    /// For programs; stable.
    #[schema(example = "job_not_found")]
    pub code: String,
    /// The fields or parameters that are wrong, where that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, for example `metadata.order` or `parts[2]`; empty for the whole.
    pub field: String,
    pub message: String,
}

/// A job: one file x one rule.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    #[schema(value_type = String, example = "job_01h455vb4pex5vsknk084sn02q")]
    pub id: JobId,
    #[schema(value_type = JobStatusView)]
    pub status: JobStatus,
    #[schema(value_type = String, example = "hello-lines")]
    pub rule: RuleId,
    #[schema(example = "lines.prefix")]
    pub processor: String,
    pub input: ObjectView,
    /// The result, once it exists.
    pub output: Option<ObjectView>,
    pub chunks: ChunksView,
    pub bytes: BytesView,
    /// Records that the processor refused.
    pub rejects: u64,
    /// Attempts of all tasks of the job's current run.
    pub attempts: u32,
    pub failure: Option<FailureView>,
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

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        JobView {
            chunks: ChunksView { total: job.chunks_total(), done: job.chunks_done },
            bytes: BytesView { read: job.bytes_in, written: job.bytes_out },
            id: job.id,
            status: job.status,
            rule: job.rule,
            processor: job.process.kind,
            input: job.input.into(),
            output: job.output.map(ObjectView::from),
            rejects: job.rejects,
            attempts: job.attempts,
            failure: job.failure.map(FailureView::from),
            upload: job.upload,
            metadata: job.metadata,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

/// The record of an object that exists.
#[derive(Serialize, ToSchema)]
#[schema(as = File)]
pub struct FileView {
    #[schema(value_type = String, example = "fil_7zzzzzzzzzzzzzzzzzzzzzzzzz")]
    pub id: FileId,
    #[schema(value_type = String, example = "uploads")]
    pub bucket: BucketName,
    #[schema(value_type = String, example = "hello/a.txt")]
    pub key: ObjectKey,
    pub size: u64,
    pub etag: String,
    pub content_type: Option<String>,
    #[schema(value_type = Option<String>)]
    pub upload: Option<UploadId>,
    /// The job that wrote it, for a result.
    #[schema(value_type = Option<String>)]
    pub job: Option<JobId>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl From<File> for FileView {
    fn from(f: File) -> Self {
        FileView {
            id: f.id,
            bucket: f.bucket,
            key: f.key,
            size: f.size,
            etag: f.etag.as_str().to_owned(),
            content_type: f.content_type,
            upload: f.upload,
            job: f.origin.map(|o| o.job),
            created_at: f.created_at,
        }
    }
}

/// A promise to upload, with the links to keep it. Signed links work until `expires_at`; keep them secret.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadLinks)]
pub struct UploadLinksView {
    #[schema(value_type = String, example = "upl_01h455vb4pex5vsknk084sn02q")]
    pub id: UploadId,
    #[schema(value_type = UploadStatusView)]
    pub status: UploadStatus,
    #[schema(value_type = String, example = "uploads")]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
    /// How to send to `url`. In mode `multipart`: how to complete, after every part was sent by PUT.
    #[schema(example = "PUT")]
    pub method: &'static str,
    pub url: String,
    /// Send these headers with the PUT; they are signed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Send these form fields before the field `file` (mode `post`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// One PUT link per part, in order (mode `multipart`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_urls: Option<Vec<String>>,
    /// Bytes of each part but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// POST the CompleteMultipartUpload document here, with the ETags that the parts answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_url: Option<String>,
    /// DELETE this to give the upload up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_url: Option<String>,
    /// S3's id of the multipart upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<UploadTicket> for UploadLinksView {
    fn from(ticket: UploadTicket) -> Self {
        let UploadTicket { upload, request, multipart } = ticket;
        let mut view = UploadLinksView {
            id: upload.id,
            status: upload.status,
            bucket: upload.bucket,
            key: upload.key,
            method: request.method,
            url: request.url,
            headers: request.headers,
            fields: request.fields,
            part_urls: None,
            part_size: None,
            complete_url: None,
            abort_url: None,
            upload_id: None,
            expires_at: upload.expires_at,
        };
        if let Some(multipart) = multipart {
            let url = |request: PresignedRequest| request.url;
            view.part_urls = Some(multipart.parts.into_iter().map(url).collect());
            view.part_size = Some(multipart.part_bytes);
            view.complete_url = Some(view.url.clone());
            view.abort_url = Some(multipart.abort.url);
            view.upload_id = Some(multipart.upload_id);
        }
        view
    }
}

/// A promise to upload, without links: those are made once and never stored.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub struct UploadView {
    #[schema(value_type = String, example = "upl_01h455vb4pex5vsknk084sn02q")]
    pub id: UploadId,
    #[schema(value_type = UploadStatusView)]
    pub status: UploadStatus,
    #[schema(value_type = String, example = "uploads")]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
    #[schema(value_type = UploadModeView)]
    pub mode: UploadMode,
    #[schema(value_type = Option<String>)]
    pub rule: Option<RuleId>,
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<Upload> for UploadView {
    fn from(u: Upload) -> Self {
        UploadView {
            id: u.id,
            status: u.status,
            bucket: u.bucket,
            key: u.key,
            mode: u.mode,
            rule: u.rule,
            options: u.options,
            metadata: u.metadata,
            created_at: u.created_at,
            expires_at: u.expires_at,
        }
    }
}

/// `pending` until the object arrives; `expired` if it did not.
#[derive(ToSchema)]
#[schema(as = UploadStatus, rename_all = "snake_case")]
#[allow(dead_code, reason = "names the values in the OpenAPI document")]
pub enum UploadStatusView {
    Pending,
    Received,
    Expired,
}

#[derive(ToSchema)]
#[schema(as = UploadMode, rename_all = "snake_case")]
#[allow(dead_code, reason = "names the values in the OpenAPI document")]
pub enum UploadModeView {
    Put,
    Post,
    Multipart,
}

/// A signed link that was made for this answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkView {
    pub url: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<Link> for LinkView {
    fn from(link: Link) -> Self {
        LinkView { url: link.url, expires_at: link.expires_at }
    }
}

/// Opens one live feed, once.
#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
pub struct TicketView {
    pub ticket: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// A rule as configured.
#[derive(Serialize, ToSchema)]
#[schema(as = Rule)]
pub struct RuleView {
    #[schema(value_type = String, example = "hello-lines")]
    pub id: RuleId,
    #[schema(example = "uploads")]
    pub from: String,
    /// Which objects of `from` start it.
    #[serde(rename = "match")]
    #[schema(value_type = Object)]
    pub pattern: Value,
    /// The processor's `kind` and its options.
    #[schema(value_type = Object, example = json!({"kind": "lines.prefix", "text": "Hello! "}))]
    pub process: Value,
    #[schema(value_type = Object, example = json!({"bucket": "results", "key": "{key}"}))]
    pub output: Value,
    #[schema(example = "default")]
    pub queue: String,
    #[schema(value_type = Object, example = json!({"attempts": 5, "backoff": "1s..1m"}))]
    pub retry: Value,
    pub max_generation: u32,
    pub delete_source: bool,
    pub enabled: bool,
}

impl From<&Rule> for RuleView {
    fn from(rule: &Rule) -> Self {
        RuleView {
            id: rule.id.clone(),
            from: rule.from.to_string(),
            pattern: json(&rule.pattern),
            process: json(&rule.process),
            output: json(&rule.output),
            queue: rule.queue.to_string(),
            retry: json(&rule.retry),
            max_generation: rule.max_generation,
            delete_source: rule.delete_source,
            enabled: rule.enabled,
        }
    }
}

fn json(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("a rule was read from text and writes back to it")
}

/// What can be done to a file.
#[derive(Serialize, ToSchema)]
#[schema(as = Processor)]
pub struct ProcessorView {
    #[schema(example = "lines.prefix")]
    pub kind: &'static str,
    pub summary: &'static str,
    pub options: Vec<OptionView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProcessorOption)]
pub struct OptionView {
    pub name: &'static str,
    /// A JSON type.
    pub kind: &'static str,
    pub required: bool,
    pub summary: &'static str,
    pub example: &'static str,
}

impl From<&'static ProcessorSpec> for ProcessorView {
    fn from(spec: &'static ProcessorSpec) -> Self {
        let option = |o: &'static filemill_core::ports::OptionSpec| OptionView {
            name: o.name,
            kind: o.kind,
            required: o.required,
            summary: o.summary,
            example: o.example,
        };
        ProcessorView { kind: spec.kind, summary: spec.summary, options: spec.options.iter().map(option).collect() }
    }
}

/// One message of the live feed.
#[derive(ToSchema)]
#[schema(as = LiveEvent)]
#[allow(dead_code, reason = "describes filemill_core's LiveEvent in the OpenAPI document")]
pub struct LiveEventView {
    /// Rises from event to event; resume behind it. Null for `job.progress`, which is not stored.
    pub seq: Option<u64>,
    #[schema(value_type = String, example = "job.completed")]
    pub kind: EventKind,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(value_type = Option<String>)]
    pub job: Option<JobId>,
    #[schema(value_type = Option<String>)]
    pub file: Option<FileId>,
    #[schema(value_type = Option<String>)]
    pub upload: Option<UploadId>,
    /// `status`, `rule`, `bucket`, `key`, `chunks`, `bytes`, `failure` as far as they apply.
    #[schema(value_type = Object)]
    pub data: Value,
}
