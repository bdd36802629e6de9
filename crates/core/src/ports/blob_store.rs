//! Bytes, and the announcements of them. Words and rules as in S3.
//!
//! Clauses:
//! * B1 an object is visible whole or not at all: bytes, attributes and announcement in one step.
//! * B2 `put`, `complete_multipart` and `delete` with `Synced` are on disk when they return.
//! * B3 a reader sees one version to its end, also while the object is replaced or deleted.
//! * B4 every read is checked against the stored content checksum; a flipped bit is `Corrupt`, never a wrong byte.
//! * B5 conditions are decided in the step that writes: of N concurrent `IfAbsent` puts one wins.
//! * B6 keys are opaque; listing is in byte order of the keys; what was put is listed at once.
//! * B7 completing a multipart upload copies no bytes where the backend allows.
//! * B8 each visible change of an object is announced at least once, with a sequencer that rises per key, until
//!   acknowledged.
//! * B9 staged bytes that are dropped leave nothing behind.
//! * B10 a store with a limit keeps a reserve. New content that would not leave it is `Unavailable` because of
//!   [want of room](super::is_full), before its first byte where its length is known; all else goes on, and takes new content again
//!   as soon as there is room.
//! * B11 a round of `scrub` reads every byte that was stored when it began, of objects and of parts; what it finds damaged
//!   is told by `damage` until it is gone or reads well again.

use super::{BoxError, Damage, Durability, Room, ScrubRound, Scrubbed};
use crate::checksum::Checksums;
use crate::etag::Etag;
use crate::ids::KeyId;
use crate::object::{Attributes, BucketName, NameError, ObjectInfo, ObjectKey, Origin, Sequencer};
use crate::time::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::time::Duration;

#[async_trait]
pub trait BlobStore: Send + Sync {
    fn traits(&self) -> StoreTraits;
    /// How much new content it takes now (B10). Quick: asked with each upload.
    fn room(&self) -> Room;

    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), BlobError>;
    async fn bucket(&self, bucket: &BucketName) -> Result<Option<BucketInfo>, BlobError>;
    async fn buckets(&self) -> Result<Vec<BucketInfo>, BlobError>;
    /// Refused with `BucketNotEmpty` while it holds an object or an open multipart upload.
    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), BlobError>;

    /// A place for bytes that are not an object yet. Blocking: use it off the async threads.
    /// `expected_bytes`, if known, lets the store choose between memory and disk and reserve space.
    fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn StageWriter>, BlobError>;

    /// Staged bytes become an object.
    async fn put(&self, put: PutObject, staged: Staged, durability: Durability) -> Result<ObjectInfo, BlobError>;

    /// A second object with the same bytes; shares them where the store can. `source_etag` pins the version.
    async fn copy(
        &self,
        put: PutObject,
        source: (&BucketName, &ObjectKey),
        source_etag: &Etag,
    ) -> Result<ObjectInfo, BlobError>;

    async fn head(&self, bucket: &BucketName, key: &ObjectKey) -> Result<ObjectInfo, BlobError>;

    /// Opens the object, pinned to `etag` if given (`Conflict(Precondition)` if it has another). `range` beyond the
    /// end is cut to it; one that starts beyond it is `Invalid(Range)`, except that `0..0` of an empty object is fine.
    async fn open(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        etag: Option<&Etag>,
        range: Option<Range<u64>>,
    ) -> Result<OpenObject, BlobError>;

    /// Objects and, with a delimiter, common prefixes, in byte order.
    async fn list(&self, query: &ListObjects) -> Result<ObjectList, BlobError>;

    /// `Ok(None)` if there was none.
    async fn delete(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        condition: Precondition,
    ) -> Result<Option<ObjectInfo>, BlobError>;

    async fn set_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        tags: BTreeMap<String, String>,
    ) -> Result<(), BlobError>;

    async fn begin_multipart(&self, begin: BeginMultipart) -> Result<String, BlobError>;
    /// Replaces a part of the same number, as in S3. `etag`: the part's MD5 if the caller computed it, otherwise
    /// the staged bytes' own tag.
    async fn put_part(
        &self,
        upload: &MultipartRef,
        number: u32,
        staged: Staged,
        etag: Option<Etag>,
        checksums: Checksums,
    ) -> Result<PartInfo, BlobError>;
    async fn complete_multipart(
        &self,
        upload: &MultipartRef,
        complete: CompleteMultipart,
    ) -> Result<ObjectInfo, BlobError>;
    async fn abort_multipart(&self, upload: &MultipartRef) -> Result<(), BlobError>;
    async fn multipart(&self, upload: &MultipartRef) -> Result<MultipartInfo, BlobError>;
    /// Parts with a number above `after`, in order.
    async fn parts(&self, upload: &MultipartRef, after: u32, limit: u32) -> Result<Vec<PartInfo>, BlobError>;
    /// Open multipart uploads by key, then id.
    async fn multiparts(&self, query: &ListMultiparts) -> Result<Vec<MultipartInfo>, BlobError>;

    /// Unacknowledged announcements, oldest first; the same ones again until acknowledged.
    async fn announcements(&self, limit: u32) -> Result<Vec<Announcement>, BlobError>;
    /// Lazy: an acknowledgement lost in a crash means that the announcement comes again.
    async fn acknowledge(&self, ids: &[u64]) -> Result<(), BlobError>;
    /// Returns when an announcement may be waiting. Wakes may be spurious.
    async fn announced(&self);

    /// A link that lets its holder do one thing for a while. `now` dates it.
    fn presign(&self, request: &PresignRequest, now: Timestamp) -> Result<PresignedRequest, BlobError>;

    /// Removes staged files, parts and bytes that nothing refers to. Answers how many.
    async fn sweep(&self) -> Result<u64, BlobError>;
    /// Reads about `bytes` of what is stored again, on from where the call before stopped, over restarts too; a new round
    /// begins where none is under way (B11).
    async fn scrub(&self, bytes: u64) -> Result<Scrubbed, BlobError>;
    /// The round under way, or the last one.
    async fn scrub_round(&self) -> Result<Option<ScrubRound>, BlobError>;
    /// What scrubbing found, in an order of the store's, behind the blob that `after` names.
    async fn damage(&self, after: Option<&str>, limit: u32) -> Result<Vec<Damage>, BlobError>;
    /// For health and metrics.
    async fn usage(&self) -> Result<StoreUsage, BlobError>;
}

/// What a backend can do.
#[derive(Clone, Copy, Debug)]
pub struct StoreTraits {
    /// Every part but the last.
    pub min_part_bytes: u64,
    pub max_parts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    pub name: BucketName,
    pub created_at: Timestamp,
}

/// Takes bytes, then makes them durable.
pub trait StageWriter: Write + Send {
    /// Everything written is on disk (or will be with the `put`, for small content) and has its checksum.
    fn finish(self: Box<Self>) -> Result<Staged, BlobError>;
}

/// Bytes that are not an object yet. Dropped, they are gone (B9).
pub struct Staged {
    pub size: u64,
    /// The tag of the object or part if the caller brings none: the MD5 of small content, otherwise the store's own,
    /// made from its content checksum (the same bytes have the same tag).
    pub etag: Etag,
    pub bytes: StagedBytes,
}

pub enum StagedBytes {
    /// Small content.
    Inline(Bytes),
    /// The adapter's own handle.
    Held(Box<dyn Any + Send>),
}

impl Staged {
    /// For content at most [`INLINE_BYTES_MAX`](crate::limits::INLINE_BYTES_MAX) long.
    pub fn inline(bytes: Bytes) -> Self {
        Staged { size: bytes.len() as u64, etag: Etag::md5_of(&bytes), bytes: StagedBytes::Inline(bytes) }
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Staged({} bytes)", self.size)
    }
}

#[derive(Clone, Debug)]
pub struct PutObject {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub attributes: Attributes,
    pub checksums: Checksums,
    /// The content's MD5 if the caller computed it; otherwise the staged bytes' own tag.
    pub etag: Option<Etag>,
    pub condition: Precondition,
}

/// Decided in the step that writes (B5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    #[default]
    None,
    /// `If-None-Match: *`
    IfAbsent,
    /// `If-Match: etag`; none there is `NotFound(Object)`.
    IfMatch(Etag),
    /// This very version, however equal another's bytes are; none there is `NotFound(Object)`. A store that cannot tell
    /// compares what it can, and says so.
    IfSequencer(Sequencer),
}

pub struct OpenObject {
    pub info: ObjectInfo,
    /// The bytes that `body` gives.
    pub range: Range<u64>,
    pub body: BlobBody,
}

pub enum BlobBody {
    Inline(Bytes),
    /// Blocking: read it off the async threads. An error of kind `InvalidData` is a failed checksum (B4).
    Reader(Box<dyn Read + Send>),
}

impl BlobBody {
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            BlobBody::Inline(bytes) => Box::new(io::Cursor::new(bytes)),
            BlobBody::Reader(reader) => reader,
        }
    }
}

#[derive(Clone, Debug)]
pub struct ListObjects {
    pub bucket: BucketName,
    pub prefix: String,
    pub delimiter: Option<String>,
    /// Only objects of this owner.
    pub owner: Option<KeyId>,
    /// Entries (keys or common prefixes) strictly behind this; a common prefix given here is not listed again.
    pub after: Option<String>,
    pub limit: u32,
}

#[derive(Clone, Debug, Default)]
pub struct ObjectList {
    pub objects: Vec<ObjectInfo>,
    pub common_prefixes: Vec<String>,
    /// The last entry, if there are more behind it: the next call's `after`.
    pub next: Option<String>,
}

#[derive(Clone, Debug)]
pub struct BeginMultipart {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartRef {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub id: String,
}

#[derive(Clone, Debug)]
pub struct MultipartInfo {
    pub upload: MultipartRef,
    pub attributes: Attributes,
    pub begun_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    pub number: u32,
    pub size: u64,
    pub etag: Etag,
    pub checksums: Checksums,
    pub modified_at: Timestamp,
    /// The store's name for exactly these bytes; a later part of the same number has another.
    pub handle: String,
}

/// A part as a completion names it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartRef {
    pub number: u32,
    /// `None` takes whichever part has the number and `etag`.
    pub handle: Option<String>,
    pub etag: Option<Etag>,
}

#[derive(Clone, Debug)]
pub struct CompleteMultipart {
    /// Rising numbers, not empty.
    pub parts: Vec<PartRef>,
    /// Of the whole object, verified by the caller against the parts' ones.
    pub checksums: Checksums,
    pub condition: Precondition,
    /// Refuse parts (but the last) below this many bytes; S3 says 5 MiB.
    pub min_part_bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct ListMultiparts {
    /// `None`: all buckets.
    pub bucket: Option<BucketName>,
    pub prefix: String,
    /// Strictly behind this key, or with an id behind this id within it.
    pub after: Option<(String, Option<String>)>,
    pub begun_before: Option<Timestamp>,
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnouncementKind {
    Created,
    Removed,
}

/// An object was created or removed. `(bucket, key, sequencer)` is its identity; `id` only serves to acknowledge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    pub id: u64,
    pub kind: AnnouncementKind,
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub size: u64,
    pub etag: Etag,
    pub sequencer: Sequencer,
    pub content_type: Option<String>,
    pub origin: Option<Origin>,
    pub owner: Option<KeyId>,
    pub at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct PresignRequest {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub action: PresignAction,
    /// Whose link it is: it dies with this key, and what is sent by it is this key's. None: the service's own.
    pub by: Option<KeyId>,
    /// At most seven days.
    pub ttl: Duration,
}

#[derive(Clone, Debug)]
pub enum PresignAction {
    /// `file_name` becomes an attachment's name.
    Get {
        file_name: Option<String>,
    },
    /// Signs what was agreed; the client must send the headers of the answer. `once`: refuse if the key exists.
    Put {
        content_type: Option<String>,
        content_length: Option<u64>,
        once: bool,
    },
    /// A browser form, with `content-length-range` up to `size_max`, or exactly `size` if agreed.
    Post {
        content_type: Option<String>,
        size: Option<u64>,
        size_max: u64,
    },
    /// Signs the length of the part.
    Part {
        upload: String,
        number: u32,
        content_length: u64,
    },
    /// Signs the size of the object; parts that add up to another are refused.
    Complete {
        upload: String,
        size: u64,
    },
    Abort {
        upload: String,
    },
}

/// Never logged and never stored.
#[derive(Clone)]
pub struct PresignedRequest {
    pub method: &'static str,
    pub url: String,
    /// Headers to send, for PUT.
    pub headers: BTreeMap<String, String>,
    /// Form fields to send before the file, for POST.
    pub fields: BTreeMap<String, String>,
    pub expires_at: Timestamp,
}

impl fmt::Debug for PresignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresignedRequest({}, until {})", self.method, self.expires_at)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct StoreUsage {
    pub objects: u64,
    pub bytes: u64,
    pub announcements_waiting: u64,
    pub room: Room,
    /// Blobs that scrubbing found damaged.
    pub damaged: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("there is no such {0}")]
    NotFound(Missing),
    #[error("{0}")]
    Conflict(BlobConflict),
    #[error("{0}")]
    Invalid(InvalidBlob),
    /// Try again later.
    #[error("the object store is unavailable")]
    Unavailable(#[source] BoxError),
    /// Stored bytes are not what was stored.
    #[error("stored bytes are corrupt: {0}")]
    Corrupt(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("bucket")]
    Bucket,
    #[error("object")]
    Object,
    #[error("multipart upload")]
    Upload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobConflict {
    #[error("a precondition does not hold")]
    Precondition,
    #[error("the bucket exists")]
    BucketExists,
    #[error("the bucket is not empty")]
    BucketNotEmpty,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlob {
    #[error("part {0} is missing or is not the part that was named")]
    Part(u32),
    #[error("parts must be named in rising order, without repeats")]
    PartOrder,
    #[error("part {number} has {size} bytes; all but the last need at least {min}")]
    PartTooSmall { number: u32, size: u64, min: u64 },
    #[error("the object would have {0} bytes, more than an object may have")]
    TooLarge(u64),
    #[error("the range starts beyond the object's end ({size} bytes)")]
    Range { size: u64 },
    #[error("too many buckets")]
    TooManyBuckets,
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("{0}")]
    Other(String),
}

impl BlobError {
    pub fn unavailable(e: impl Into<BoxError>) -> Self {
        BlobError::Unavailable(e.into())
    }
}
