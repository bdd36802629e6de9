//! The body of a PUT as its head describes it: how it is framed, how long its content is, what it must hash to.
//!
//! It travels beside `s3s`, which verifies the head's signature; the body itself is read by [`intake`](super::intake)
//! alone, so that no byte of it is hashed on an async thread or buffered as a whole.

use super::expectations::Expectations;
use super::incoming::IncomingBody;
use crate::signature::ChunkChain;
use http::{HeaderMap, header};
use s3s::{S3Result, s3_error};
use std::sync::{Arc, Mutex};

pub struct Upload {
    pub body: IncomingBody,
    pub framing: Framing,
    /// Bytes of content, without framing.
    pub length: u64,
    pub expectations: Expectations,
}

pub enum Framing {
    Plain,
    /// `aws-chunked`
    UnsignedChunks,
    SignedChunks(ChunkChain),
}

/// Waits in the request's extensions for the one operation that takes it.
#[derive(Clone)]
pub struct UploadSlot(Arc<Mutex<Option<Upload>>>);

impl UploadSlot {
    pub fn new(upload: Upload) -> Self {
        UploadSlot(Arc::new(Mutex::new(Some(upload))))
    }

    pub fn take(extensions: &mut http::Extensions) -> S3Result<Upload> {
        let upload = extensions.remove::<UploadSlot>().and_then(|slot| slot.0.lock().ok()?.take());
        upload.ok_or_else(|| s3_error!(InvalidRequest, "The request has no body where one is expected."))
    }
}

/// `x-amz-content-sha256`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentSha256 {
    Unsigned,
    Is([u8; 32]),
    SignedChunks,
    UnsignedChunks,
}

impl ContentSha256 {
    /// Absent on presigned requests, which then are unsigned.
    pub fn of(headers: &HeaderMap) -> S3Result<Self> {
        let Some(value) = headers.get("x-amz-content-sha256") else { return Ok(ContentSha256::Unsigned) };
        match value.as_bytes() {
            b"UNSIGNED-PAYLOAD" => Ok(ContentSha256::Unsigned),
            b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(ContentSha256::UnsignedChunks),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Ok(ContentSha256::SignedChunks)
            }
            text => {
                let mut digest = [0; 32];
                let decoded = hex::decode_to_slice(text, &mut digest);
                decoded.map(|()| ContentSha256::Is(digest)).map_err(|_| {
                    s3_error!(
                        InvalidArgument,
                        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-... or a SHA-256 in hex."
                    )
                })
            }
        }
    }

    pub fn is_chunked(self) -> bool {
        matches!(self, ContentSha256::SignedChunks | ContentSha256::UnsignedChunks)
    }
}

/// Bytes of content that the head declares; S3 takes no body of unknown length.
pub fn declared_length(headers: &HeaderMap, content: ContentSha256) -> S3Result<u64> {
    let name = if content.is_chunked() { "x-amz-decoded-content-length" } else { header::CONTENT_LENGTH.as_str() };
    let value = headers.get(name).ok_or_else(|| {
        s3_error!(
            MissingContentLength,
            "You must provide the Content-Length HTTP header (and x-amz-decoded-content-length for aws-chunked bodies)."
        )
    })?;
    let digits = value.to_str().unwrap_or_default();
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let length = is_number.then(|| digits.parse().ok()).flatten();
    length.ok_or_else(|| s3_error!(InvalidArgument, "{name} is not a number."))
}
