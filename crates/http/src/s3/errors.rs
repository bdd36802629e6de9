//! Errors as S3 names them. The only place where the store's errors become S3's.
//!
//! A refusal may carry further elements for its XML (`Region`, `ServerTime`); it never carries an expected signature,
//! a secret or a path of this machine.

use super::incoming::BodyError;
use crate::pace::TooOften;
use filemill_core::object::NameError;
use filemill_core::ports::{BlobConflict, BlobError, InvalidBlob, Missing, Room, is_full};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use std::io;

/// An S3 error and what its XML says besides code and message.
#[derive(Debug)]
pub struct Refusal {
    pub error: S3Error,
    pub details: Vec<(&'static str, String)>,
}

impl From<S3Error> for Refusal {
    fn from(error: S3Error) -> Self {
        Refusal { error, details: Vec::new() }
    }
}

impl Refusal {
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }
}

/// The store's answer in S3's words.
pub fn of_store(e: BlobError) -> S3Error {
    match e {
        BlobError::NotFound(Missing::Bucket) => s3_error!(NoSuchBucket, "The specified bucket does not exist."),
        BlobError::NotFound(Missing::Object) => s3_error!(NoSuchKey, "The specified key does not exist."),
        BlobError::NotFound(Missing::Upload) => no_such_upload(),
        BlobError::Conflict(conflict) => of_conflict(conflict),
        BlobError::Invalid(invalid) => of_invalid(invalid),
        BlobError::Unavailable(source) => unavailable(&source),
        BlobError::Corrupt(what) => {
            tracing::error!(%what, "stored bytes are corrupt");
            s3_error!(InternalError, "The stored bytes of this object are damaged.")
        }
    }
}

fn of_conflict(conflict: BlobConflict) -> S3Error {
    match conflict {
        BlobConflict::Precondition => precondition_failed(),
        BlobConflict::BucketExists => {
            s3_error!(BucketAlreadyOwnedByYou, "The bucket exists and is yours.")
        }
        BlobConflict::BucketNotEmpty => s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty."),
    }
}

fn of_invalid(invalid: InvalidBlob) -> S3Error {
    match invalid {
        InvalidBlob::Part(_) => s3_error!(InvalidPart, "{invalid}"),
        InvalidBlob::PartOrder => s3_error!(InvalidPartOrder, "{invalid}"),
        InvalidBlob::PartTooSmall { .. } => s3_error!(EntityTooSmall, "{invalid}"),
        InvalidBlob::TooLarge(_) => s3_error!(EntityTooLarge, "{invalid}"),
        InvalidBlob::Range { size } => range_beyond(size),
        InvalidBlob::TooManyBuckets => s3_error!(TooManyBuckets, "{invalid}"),
        InvalidBlob::Name(name) => of_name(&name),
        InvalidBlob::Other(message) => S3Error::with_message(S3ErrorCode::InvalidRequest, message),
    }
}

pub fn of_name(e: &NameError) -> S3Error {
    match e {
        NameError::Bucket(_) => s3_error!(InvalidBucketName, "{e}"),
        NameError::KeyTooLong(_) => s3_error!(KeyTooLongError, "Your key is too long: {e}"),
        NameError::KeyEmpty | NameError::KeyHasNul => s3_error!(InvalidArgument, "{e}"),
    }
}

/// What a client's body did wrong on its way in.
pub fn of_body(e: &BodyError) -> S3Error {
    match e {
        BodyError::Idle | BodyError::TooSlow => s3_error!(RequestTimeout, "{e}"),
        BodyError::Cut => incomplete_body(),
        BodyError::TooLong => s3_error!(MaxMessageLengthExceeded, "Your request was too big."),
    }
}

/// SDKs back off on 503 and try again by themselves, so a full disk is told in the message, not by another status.
fn unavailable(source: &filemill_core::ports::BoxError) -> S3Error {
    if is_full(source.as_ref()) {
        tracing::warn!(error = %source, "a request found no room");
        return storage_full();
    }
    tracing::error!(error = %source, cause = source.source().map(tracing::field::display), "object store is unavailable");
    come_again(s3_error!(ServiceUnavailable, "The object store is unavailable. Try again later."))
}

fn storage_full() -> S3Error {
    come_again(s3_error!(SlowDown, "The storage is full; nothing was stored. Try again later."))
}

/// Before the first byte of new content is asked for.
pub fn check_room(room: Room, bytes: u64) -> S3Result<()> {
    if room.takes(bytes) {
        return Ok(());
    }
    tracing::debug!(?room, bytes, "an upload was refused for want of room");
    Err(storage_full())
}

/// Somebody asks more often than they may.
pub fn too_often(over: &TooOften) -> S3Error {
    let TooOften { who, retry_after_secs } = over;
    let mut error = s3_error!(SlowDown, "Please reduce your request rate: {} (wait {} s).", who, retry_after_secs);
    error.set_status_code(StatusCode::SERVICE_UNAVAILABLE);
    error.set_headers(retry_after(HeaderValue::from(*retry_after_secs)));
    error
}

/// Every place for such a request is taken.
pub fn slow_down() -> S3Error {
    come_again(s3_error!(SlowDown, "Please reduce your request rate."))
}

fn come_again(mut error: S3Error) -> S3Error {
    error.set_status_code(StatusCode::SERVICE_UNAVAILABLE);
    error.set_headers(retry_after(HeaderValue::from_static("2")));
    error
}

fn retry_after(secs: HeaderValue) -> HeaderMap {
    let xml = (header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    HeaderMap::from_iter([xml, (header::RETRY_AFTER, secs)])
}

/// An error of staging: the disk, not the client.
pub fn of_stage(e: io::Error) -> S3Error {
    of_store(BlobError::unavailable(e))
}

/// A worker of ours broke; its panic is in the log.
pub fn of_join(e: tokio::task::JoinError) -> S3Error {
    tracing::error!(error = %e, "a blocking task of the s3 door failed");
    s3_error!(InternalError, "We encountered an internal error. Please try again.")
}

pub fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold.")
}

pub fn incomplete_body() -> S3Error {
    s3_error!(IncompleteBody, "The body does not have the number of bytes that the headers declare.")
}

pub fn no_such_upload() -> S3Error {
    s3_error!(NoSuchUpload, "The specified upload does not exist. It may have been aborted or completed.")
}

pub fn entity_too_large(max: u64) -> S3Error {
    s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed object size of {max} bytes.")
}

pub fn range_beyond(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable; the object has {size} bytes.");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}
