//! Conditional requests: on reads by RFC 9110 section 13.2.2, on copies by S3's `x-amz-copy-source-if-*`.
//!
//! Conditions on writes are not decided here: they travel to the store, which decides them in the step that writes.

use super::errors::precondition_failed;
use filemill_core::etag::Etag;
use filemill_core::object::ObjectInfo;
use filemill_core::ports::Precondition;
use http::{HeaderMap, HeaderName, header};
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};
use std::time::{Duration, SystemTime};

/// What a read asks of the object.
#[derive(Default)]
pub struct ReadConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Proceed,
    NotModified,
    Failed,
}

impl ReadConditions {
    pub fn decide(&self, info: &ObjectInfo) -> Decision {
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition, &info.etag) => return Decision::Failed,
            (None, Some(since)) if modified_after(info, since) => return Decision::Failed,
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if matches(condition, &info.etag) => Decision::NotModified,
            (None, Some(since)) if !modified_after(info, since) => Decision::NotModified,
            _ => Decision::Proceed,
        }
    }

    /// For copies, where there is no 304.
    pub fn require(&self, info: &ObjectInfo) -> S3Result<()> {
        match self.decide(info) {
            Decision::Proceed => Ok(()),
            Decision::NotModified | Decision::Failed => Err(precondition_failed()),
        }
    }
}

pub fn matches(condition: &ETagCondition, etag: &Etag) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(given) => given.value() == etag.as_str(),
    }
}

/// HTTP dates have whole seconds.
fn modified_after(info: &ObjectInfo, since: &Timestamp) -> bool {
    timestamp(filemill_core::time::Timestamp::from_millis(info.modified_at.as_secs() * 1000)) > *since
}

/// The conditions of PUT and CompleteMultipartUpload.
pub fn write_condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Precondition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Precondition::None),
        (None, Some(ETagCondition::Any)) => Ok(Precondition::IfAbsent),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Precondition::IfMatch(Etag::new(etag.value()))),
        _ => Err(s3_error!(NotImplemented, "A write takes one condition: If-Match with an ETag, or If-None-Match: *.")),
    }
}

/// The same on a copy, where `s3s` does not read them.
pub fn copy_condition(headers: &HeaderMap) -> S3Result<Precondition> {
    let given = |name: HeaderName| {
        let condition = headers.get(&name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
        condition.transpose().map_err(|_| s3_error!(InvalidArgument, "{name} is not an ETag."))
    };
    write_condition(given(header::IF_MATCH)?.as_ref(), given(header::IF_NONE_MATCH)?.as_ref())
}

pub fn timestamp(at: filemill_core::time::Timestamp) -> Timestamp {
    let millis = Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0));
    Timestamp::from(SystemTime::UNIX_EPOCH + millis)
}

pub fn strong(etag: &Etag) -> ETag {
    ETag::Strong(etag.as_str().to_owned())
}
