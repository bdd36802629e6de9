//! A promise to upload. It expires; it is never listed as a file.

use crate::ids::{KeyId, UploadId};
use crate::notify::UploadNotify;
use crate::object::{BucketName, ObjectKey};
use crate::rule::RuleId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadStatus {
    Pending,
    Received,
    Expired,
}

impl UploadStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            UploadStatus::Pending => "pending",
            UploadStatus::Received => "received",
            UploadStatus::Expired => "expired",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadMode {
    #[default]
    Put,
    Post,
    Multipart,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    pub id: UploadId,
    pub status: UploadStatus,
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub mode: UploadMode,
    /// Start this rule (and no other) when the object arrives.
    pub rule: Option<RuleId>,
    /// Laid over the rule's own options.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Whom to tell of its jobs, besides those that the config names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<UploadNotify>,
    /// The multipart upload begun for it, aborted if it expires.
    pub multipart: Option<String>,
    /// Made by the service for somebody who may read every bucket: an order for an archive.
    #[serde(default)]
    pub is_order: bool,
    /// The key that made it; none: the service's own credentials.
    #[serde(default)]
    pub by: Option<KeyId>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}
