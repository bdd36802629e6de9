//! The record of an object that exists; written from its event, never from a promise to upload.

use crate::etag::Etag;
use crate::ids::{FileId, KeyId, UploadId};
use crate::object::{BucketName, ObjectKey, Origin, Sequencer};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub id: FileId,
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub size: u64,
    pub etag: Etag,
    pub content_type: Option<String>,
    /// The newest event seen for this key; older ones are ignored.
    pub sequencer: Sequencer,
    pub upload: Option<UploadId>,
    pub origin: Option<Origin>,
    /// As the object's.
    #[serde(default)]
    pub owner: Option<KeyId>,
    pub created_at: Timestamp,
    /// Set when the object was removed. The record stays, so that a late event does not bring the file back.
    pub removed_at: Option<Timestamp>,
    /// The listing told of it, because no announcement came.
    #[serde(default)]
    pub repaired: bool,
}
