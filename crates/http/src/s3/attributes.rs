//! Attributes of an object, from request headers and into response headers.
//!
//! In: limits as S3's, no control characters. Out: nothing that is not a header value becomes one (objects may have come
//! through other doors), so no CR or LF of a stored value ever reaches a header.

use filemill_core::ids::KeyId;
use filemill_core::limits;
use filemill_core::object::Attributes;
use http::{HeaderName, HeaderValue};
use s3s::dto::{Metadata, Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};
use std::collections::BTreeMap;

/// What S3 says about objects whose uploader said nothing.
pub const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The attribute headers that PUT, CopyObject and CreateMultipartUpload share.
#[derive(Default)]
pub struct Described {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires: Option<Timestamp>,
    pub metadata: Option<Metadata>,
    pub tagging: Option<String>,
}

impl Described {
    pub fn into_attributes(self, owner: Option<KeyId>) -> S3Result<Attributes> {
        let metadata: BTreeMap<String, String> = self.metadata.unwrap_or_default().into_iter().collect();
        check_metadata(&metadata)?;
        Ok(Attributes {
            content_type: self.content_type,
            cache_control: self.cache_control,
            content_disposition: self.content_disposition,
            content_encoding: self.content_encoding.and_then(|text| without_aws_chunked(&text)),
            content_language: self.content_language,
            expires: self.expires.and_then(|at| http_date(&at)),
            metadata,
            tags: self.tagging.map(|text| super::tagging::parse_header(&text)).transpose()?.unwrap_or_default(),
            owner,
            ..Attributes::default()
        })
    }
}

/// S3: names and values together, in UTF-8.
pub fn check_metadata(metadata: &BTreeMap<String, String>) -> S3Result<()> {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::METADATA_BYTES_MAX {
        return Err(metadata_too_large());
    }
    Ok(())
}

fn metadata_too_large() -> S3Error {
    let max = limits::METADATA_BYTES_MAX;
    s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size of {max} bytes.")
}

/// `aws-chunked` is about the transfer, not about the object.
fn without_aws_chunked(text: &str) -> Option<String> {
    let kept: Vec<&str> =
        text.split(',').map(str::trim).filter(|coding| !coding.is_empty() && *coding != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

pub fn http_date(at: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    at.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// A stored value as a header, if it can be one.
pub fn sendable(value: &Option<String>) -> Option<String> {
    value.clone().filter(|text| HeaderValue::from_str(text).is_ok())
}

pub fn sendable_expires(value: &Option<String>) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, value.as_deref()?).ok()
}

/// User metadata that can be sent, and how many entries cannot (S3 has `x-amz-missing-meta` for them).
pub fn sendable_metadata(metadata: &BTreeMap<String, String>) -> (Option<Metadata>, Option<i32>) {
    let sendable: Metadata = metadata
        .iter()
        .filter(|(name, _)| HeaderName::from_bytes(format!("x-amz-meta-{name}").as_bytes()).is_ok())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let missing = metadata.len() - sendable.len();
    let missing = (missing > 0).then(|| i32::try_from(missing).unwrap_or(i32::MAX));
    ((!sendable.is_empty()).then_some(sendable), missing)
}

/// Whether a browser would run it.
pub fn is_active_content(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let scripts =
        ["text/html", "text/xml", "application/xml", "application/xhtml+xml", "image/svg+xml", "text/javascript"];
    scripts.contains(&essence.as_str()) || essence.ends_with("+xml") || essence.ends_with("javascript")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transfer_coding_is_not_stored() {
        assert_eq!(without_aws_chunked("aws-chunked"), None);
        assert_eq!(without_aws_chunked("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(without_aws_chunked("gzip").as_deref(), Some("gzip"));
    }

    #[test]
    fn what_is_no_header_value_is_not_sent() {
        assert_eq!(sendable(&Some("a\r\nSet-Cookie: x".to_owned())), None);
        let metadata = BTreeMap::from([("ok".to_owned(), "1".to_owned()), ("not ok".to_owned(), "2".to_owned())]);
        let (sent, missing) = sendable_metadata(&metadata);
        assert_eq!((sent.map(|m| m.len()), missing), (Some(1), Some(1)));
    }

    #[test]
    fn scripts_are_active_content() {
        for active in ["text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "application/atom+xml"] {
            assert!(is_active_content(active), "{active}");
        }
        for passive in ["text/plain", "image/png", "application/json", "application/octet-stream"] {
            assert!(!is_active_content(passive), "{passive}");
        }
    }
}
