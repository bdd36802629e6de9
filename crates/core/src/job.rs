//! A job: one file x one rule.

use crate::access::Reach;
use crate::chunks::ChunkPlan;
use crate::ids::{DeadLetterId, JobId, KeyId, OriginalId, UploadId};
use crate::limits;
use crate::notify::UploadNotify;
use crate::object::{BucketName, ObjectKey, ObjectRef, Sequencer};
use crate::ports::MultipartRef;
use crate::reject::RejectTolerance;
use crate::retry::RetryPolicy;
use crate::rule::{Process, QueueName, RuleId};
use crate::task::TaskError;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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

/// What a reject file's key has behind the result's.
pub const REJECT_ENDING: &str = ".rejects.jsonl";

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
    /// The rejected records, once a run has ended that set some aside.
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
    /// What of them it may read: what its owner may, within the input's tenant.
    #[serde(default)]
    pub reader: Reach,
    /// As the input's; the result's too.
    #[serde(default)]
    pub owner: Option<KeyId>,
    /// Attempts of all tasks of this run, counted when they are claimed.
    pub attempts: u32,
    pub failure: Option<Failure>,
    /// The letter that waits for a person, where the job failed because a task gave up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetterId>,
    /// A letter of it was ended to open it again: whatever it fails of now is a letter too, or it would be in no list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redriven: bool,
    /// A failed job keeps the chunks that were done until then, for a redrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumable_until: Option<Timestamp>,
    pub upload: Option<UploadId>,
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Tries of this run that a service asked to put off ([`THROTTLED`](crate::task::THROTTLED)).
    #[serde(default)]
    pub throttles: u32,
    /// Whom its upload wants told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<UploadNotify>,
    /// 0 for an uploaded input; the result is one deeper.
    pub generation: u32,
    /// The upload that its input is, or was made of; the result's too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<OriginalId>,
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
    /// Where the rejects go: beside the result. A key that has no room for the suffix gives up its own end for a hash.
    pub fn reject_key(&self) -> ObjectKey {
        const SUFFIX: &str = REJECT_ENDING;
        let text = if self.key.len() + SUFFIX.len() <= limits::KEY_BYTES_MAX {
            format!("{}{SUFFIX}", self.key)
        } else {
            let hash = hex::encode(&Sha256::digest(self.key.as_bytes())[..8]);
            let mut end = limits::KEY_BYTES_MAX - SUFFIX.len() - hash.len() - 1;
            while !self.key.is_char_boundary(end) {
                end -= 1;
            }
            format!("{}~{hash}{SUFFIX}", &self.key[..end])
        };
        ObjectKey::parse(&text).expect("a key, or its beginning, with a suffix that fits")
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

    /// Whose objects its results may replace; anybody's if none. An uploader's only its own, as by hand; of others it is the
    /// rules that say where results go.
    pub fn replaces_only(&self) -> Option<KeyId> {
        let is_confined = self.reader.owner.is_some() || self.reader.only.as_ref().is_some_and(Vec::is_empty);
        self.owner.clone().filter(|_| is_confined)
    }

    /// Nothing of it goes on or may go on: what it left can be removed.
    pub fn is_over(&self) -> bool {
        self.status.is_terminal() && self.resumable_until.is_none()
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
        let long = ["é".repeat(512), format!("x{}", "é".repeat(511)), format!("{}.rejects.jsonl", "k".repeat(1010))];
        for key in &long {
            assert!((1022..=1024).contains(&reject_key(key).len()), "{}", reject_key(key).len());
            assert_ne!(reject_key(key).as_str(), key);
        }
        let twin = format!("{}!", &long[1][..long[1].len() - 2]);
        assert_ne!(reject_key(&twin), reject_key(&long[1]), "keys that differ at their end have files of their own");
    }

    /// As the first version stored it: fields that came later have their defaults.
    #[test]
    fn a_job_of_the_first_version_is_read() {
        let stored = r#"{"id":"job_01hf7yat00f1q2r3s4t5v6w7x8","rev":3,"status":"running","rule":"hello-lines",
            "process":{"kind":"lines.prefix","text":"> "},
            "input":{"bucket":"uploads","key":"a","size":9000000,"etag":"e"},"sequencer":"0000000000000001",
            "target":{"bucket":"results","key":"a"},"output":null,"queue":"default",
            "retry":{"attempts":5,"backoff":"1s..1m"},"delete_source":false,"run":1,
            "plan":{"input_bytes":9000000,"chunk_bytes":8388608,"count":2},"multipart":"m","chunks_planned":2,
            "chunks_done":1,"bytes_in":8388608,"bytes_out":9,"rejects":0,"attempts":1,"failure":null,"upload":null,
            "metadata":{},"generation":0,"created_at":"2026-11-20T12:00:00.000Z","started_at":null,"finished_at":null}"#;
        let job: Job = serde_json::from_str(stored).expect("a job of the first version");
        assert_eq!((job.chunks_total(), job.tolerance, job.reject_multipart), (2, RejectTolerance::default(), None));
        assert!(!job.plan.expect("a plan").surveyed);
    }
}
