//! What the live feed tells: stored, numbered, resumable.

use crate::access::Reach;
use crate::ids::{FileId, JobId, KeyId, UploadId};
use crate::job::JobStatus;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    #[serde(rename = "file.created")]
    FileCreated,
    #[serde(rename = "file.removed")]
    FileRemoved,
    #[serde(rename = "job.created")]
    JobCreated,
    #[serde(rename = "job.started")]
    JobStarted,
    #[serde(rename = "job.progress")]
    JobProgress,
    #[serde(rename = "job.completed")]
    JobCompleted,
    #[serde(rename = "job.failed")]
    JobFailed,
    #[serde(rename = "job.cancelled")]
    JobCancelled,
    #[serde(rename = "upload.expired")]
    UploadExpired,
}

impl EventKind {
    pub const ALL: [EventKind; 9] = [
        EventKind::FileCreated,
        EventKind::FileRemoved,
        EventKind::JobCreated,
        EventKind::JobStarted,
        EventKind::JobProgress,
        EventKind::JobCompleted,
        EventKind::JobFailed,
        EventKind::JobCancelled,
        EventKind::UploadExpired,
    ];

    /// What the job is from then on, where it ends.
    pub fn end_of_job(self) -> Option<JobStatus> {
        match self {
            EventKind::JobCompleted => Some(JobStatus::Completed),
            EventKind::JobFailed => Some(JobStatus::Failed),
            EventKind::JobCancelled => Some(JobStatus::Cancelled),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::FileCreated => "file.created",
            EventKind::FileRemoved => "file.removed",
            EventKind::JobCreated => "job.created",
            EventKind::JobStarted => "job.started",
            EventKind::JobProgress => "job.progress",
            EventKind::JobCompleted => "job.completed",
            EventKind::JobFailed => "job.failed",
            EventKind::JobCancelled => "job.cancelled",
            EventKind::UploadExpired => "upload.expired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        EventKind::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// An event before the store numbered it. Carries no secret and no signed link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    pub kind: EventKind,
    pub at: Timestamp,
    pub job: Option<JobId>,
    pub file: Option<FileId>,
    pub upload: Option<UploadId>,
    /// Of what it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<KeyId>,
    /// `status`, `rule`, `bucket`, `key`, `chunks`, `bytes`, `failure` as far as they apply.
    pub data: serde_json::Value,
}

impl NewEvent {
    /// May somebody with this reach hear of it? What lies nowhere is for those who see everything.
    pub fn is_within(&self, reach: &Reach) -> bool {
        let place = self.data["bucket"].as_str().zip(self.data["key"].as_str());
        reach.is_everything() || place.is_some_and(|(bucket, key)| reach.takes(bucket, key, self.owner.as_ref()))
    }
}

/// `seq` rises by at least one from event to event. Progress is not stored and has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveEvent {
    pub seq: Option<u64>,
    #[serde(flatten)]
    pub event: NewEvent,
}
