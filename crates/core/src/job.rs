//! A job: one file x one rule.

use crate::chunks::ChunkPlan;
use crate::ids::{JobId, UploadId};
use crate::limits;
use crate::object::{BucketName, ObjectKey, ObjectRef, Sequencer};
use crate::ports::MultipartRef;
use crate::reject::RejectTolerance;
use crate::retry::RetryPolicy;
use crate::rule::{Process, QueueName, RuleId};
use crate::task::TaskError;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl JobStatus {
    pub const ALL: [JobStatus; 5] =
        [JobStatus::Queued, JobStatus::Running, JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];

    pub fn is_terminal(self) -> bool {
        matches!(self, JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Running => "running",
            JobStatus::Completed => "completed",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        JobStatus::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a job did not end well, in words for the person who uploaded the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable; `docs/api.md` explains each.
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub detail: Option<String>,
}

impl From<TaskError> for Failure {
    fn from(e: TaskError) -> Self {
        Failure { code: e.code, message: e.message, detail: e.detail }
    }
}

/// Stored whole; `rev` guards every update (compare and set).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    /// Rises by one with each stored change.
    pub rev: u64,
    pub status: JobStatus,
    pub rule: RuleId,
    pub process: Process,
    pub input: ObjectRef,
    pub sequencer: Sequencer,
    /// Where the result will be.
    pub target: Target,
    /// The result, once it exists.
    pub output: Option<ObjectRef>,
    pub queue: QueueName,
    pub retry: RetryPolicy,
    pub delete_source: bool,
    /// Rises when a person retries the job; tasks and chunks of earlier runs count for nothing.
    pub run: u32,
    /// `None` until planned. One chunk of up to [`crate::limits::ONE_LEASE_BYTES_MAX`] is finished by its plan task.
    pub plan: Option<ChunkPlan>,
    /// The multipart upload that gathers the chunks' outputs.
    pub multipart: Option<String>,
    /// The multipart upload that gathers the chunks' rejects, where there may be any.
    #[serde(default)]
    pub reject_multipart: Option<String>,
    /// Chunks whose task was made; the next one made is this.
    pub chunks_planned: u32,
    /// Chunks recorded as done; moves in the commit that records the chunk.
    pub chunks_done: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub rejects: u64,
    /// Records seen, rejected ones included, once the job has ended.
    #[serde(default)]
    pub records: u64,
    /// How many rejects the job may have and still complete.
    #[serde(default)]
    pub tolerance: RejectTolerance,
    /// The rejected records, once the job has ended.
    #[serde(default)]
    pub reject_file: Option<ObjectRef>,
    /// What the processor tells of the file.
    #[serde(default)]
    pub summary: serde_json::Map<String, serde_json::Value>,
    /// What a browser should call the result, where the processor says so.
    #[serde(default)]
    pub result_name: Option<String>,
    /// Buckets that the job may read besides its input; all if not given.
    #[serde(default)]
    pub sources: Option<Vec<BucketName>>,
    /// Attempts of all tasks of this run, counted when they are claimed.
    pub attempts: u32,
    pub failure: Option<Failure>,
    pub upload: Option<UploadId>,
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// 0 for an uploaded input; the result is one deeper.
    pub generation: u32,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub bucket: BucketName,
    pub key: ObjectKey,
}

impl Target {
    /// Where the rejects go: beside the result. A key that has no room for the suffix gives up its own end.
    pub fn reject_key(&self) -> ObjectKey {
        const SUFFIX: &str = ".rejects.jsonl";
        let mut end = self.key.len().min(limits::KEY_BYTES_MAX - SUFFIX.len());
        while !self.key.is_char_boundary(end) {
            end -= 1;
        }
        ObjectKey::parse(&format!("{}{SUFFIX}", &self.key[..end])).expect("a key's beginning with a suffix that fits")
    }
}

impl Job {
    /// The multipart upload of the result.
    pub fn gathering(&self) -> Option<MultipartRef> {
        let Target { bucket, key } = self.target.clone();
        Some(MultipartRef { bucket, key, id: self.multipart.clone()? })
    }

    /// The multipart upload of the reject file.
    pub fn gathering_rejects(&self) -> Option<MultipartRef> {
        let (bucket, key) = (self.target.bucket.clone(), self.target.reject_key());
        Some(MultipartRef { bucket, key, id: self.reject_multipart.clone()? })
    }

    pub fn chunks_total(&self) -> u32 {
        self.plan.map_or(0, |p| p.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_lie_beside_the_result_whatever_its_key() {
        let reject_key = |key: &str| {
            let bucket = BucketName::parse("results").expect("a name");
            Target { bucket, key: ObjectKey::parse(key).expect("a key") }.reject_key()
        };
        assert_eq!(reject_key("a/b.csv").as_str(), "a/b.csv.rejects.jsonl");
        assert_eq!(reject_key(&"é".repeat(512)).len(), 1024);
        assert_eq!(reject_key(&format!("x{}", "é".repeat(511))).len(), 1023);
    }
}
