//! Looking for stored bytes that are no longer what was stored, before somebody needs them.

use super::MultipartRef;
use crate::object::{BucketName, ObjectKey};
use crate::time::Timestamp;

/// A round through everything that was stored when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubRound {
    pub began_at: Timestamp,
    /// `None` while it is under way.
    pub ended_at: Option<Timestamp>,
}

/// What one call of [`BlobStore::scrub`](super::BlobStore::scrub) did.
#[derive(Clone, Copy, Debug)]
pub struct Scrubbed {
    pub bytes: u64,
    /// Found by this call.
    pub damaged: u64,
    pub round: ScrubRound,
}

/// Stored bytes that fail their checksum or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The store's name for these bytes.
    pub blob: String,
    pub size: u64,
    pub found_at: Timestamp,
    /// For people.
    pub what: String,
    /// At most [`DAMAGE_HOLDERS_MAX`](crate::limits::DAMAGE_HOLDERS_MAX).
    pub held_by: Vec<Holder>,
}

/// Who cannot be read whole because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    Object {
        bucket: BucketName,
        key: ObjectKey,
    },
    /// Of an upload that is still open; those of running jobs too.
    Part {
        upload: MultipartRef,
        number: u32,
    },
}
