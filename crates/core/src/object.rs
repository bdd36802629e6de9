//! Buckets, keys and objects, as in S3.
//!
//! A key is opaque: bytes that round-trip. Nothing in a key ever becomes a path, and no key is rewritten.

use crate::checksum::{ChecksumChoice, Checksums};
use crate::etag::Etag;
use crate::ids::{JobId, KeyId, OriginalId};
use crate::limits;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                $name::parse(&text).map_err(|e| D::Error::custom(e.to_string()))
            }
        }
    };
}

name!(
    /// A bucket's name by S3's rules: 3 to 63 of `a-z 0-9 . -`, a letter or digit at both ends, no `..`, no IPv4 look.
    BucketName
);
name!(
    /// 1 to 1,024 bytes of UTF-8 without NUL. Compared and listed in byte order.
    ObjectKey
);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{0:?} is not a bucket name: use 3 to 63 lower-case letters, digits, dots and hyphens")]
    Bucket(String),
    #[error("a key must not be empty")]
    KeyEmpty,
    #[error("a key has at most 1024 bytes of UTF-8; this one has {0}")]
    KeyTooLong(usize),
    #[error("a key must not contain a NUL character")]
    KeyHasNul,
}

impl BucketName {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = text.as_bytes();
        let length_fits = (limits::BUCKET_NAME_BYTES_MIN..=limits::BUCKET_NAME_BYTES_MAX).contains(&bytes.len());
        let well_formed = length_fits
            && bytes.iter().all(|b| allowed(*b))
            && edge(bytes.first())
            && edge(bytes.last())
            && !text.contains("..")
            && text.parse::<std::net::Ipv4Addr>().is_err();
        if well_formed { Ok(BucketName(text.into())) } else { Err(NameError::Bucket(text.chars().take(80).collect())) }
    }
}

impl ObjectKey {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::KeyEmpty);
        }
        if text.len() > limits::KEY_BYTES_MAX {
            return Err(NameError::KeyTooLong(text.len()));
        }
        if text.contains('\0') {
            return Err(NameError::KeyHasNul);
        }
        Ok(ObjectKey(text.into()))
    }
}

/// Orders the events of one key: compared as text after padding the shorter with zeros on the left, as S3 says.
/// The same event has the same sequencer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequencer(Arc<str>);

impl Sequencer {
    pub fn new(text: &str) -> Self {
        Sequencer(text.into())
    }

    pub fn from_number(n: u64) -> Self {
        Sequencer(format!("{n:016X}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialOrd for Sequencer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sequencer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let width = self.0.len().max(other.0.len());
        format!("{:0>width$}", self.0).cmp(&format!("{:0>width$}", other.0)).then_with(|| self.0.cmp(&other.0))
    }
}

/// The object that a job wrote knows its job, how many jobs deep it is (an upload is generation 0), and the upload that all
/// of it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub job: JobId,
    pub generation: u32,
    /// Unknown for what was written before there was a cap: that counts as an original itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<OriginalId>,
}

/// What travels with an object besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attributes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// User metadata, names without `x-amz-meta-`, in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The key that brought it, or whose upload a job made it from; none: the service's own credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<KeyId>,
    /// Chosen when a multipart upload began; decides how its completion is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum_choice: Option<ChecksumChoice>,
}

/// An object that exists, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub size: u64,
    pub etag: Etag,
    pub sequencer: Sequencer,
    pub modified_at: Timestamp,
    pub attributes: Attributes,
    pub checksums: Checksums,
    /// Sizes of the parts in order, if the object was uploaded in parts (`partNumber` reads need them).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_sizes: Vec<u64>,
}

impl ObjectInfo {
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { bucket: self.bucket.clone(), key: self.key.clone(), size: self.size, etag: self.etag.clone() }
    }
}

/// One version of one object: what a job reads or wrote. Reads are pinned to the ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub size: u64,
    pub etag: Etag,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_s3() {
        for good in ["abc", "my-bucket.v2", "123", &"a".repeat(63)] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "Abc", "a_b", "-ab", "ab-", "a..b", "127.0.0.1", "..", "a/b", &"a".repeat(64)] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_opaque() {
        for good in ["a", "/", "../x", "a//b", ".", "a/", "é", "\r\n", &"k".repeat(1024)] {
            assert_eq!(ObjectKey::parse(good).expect(good).as_str(), good);
        }
        assert_eq!(ObjectKey::parse(&"k".repeat(1025)), Err(NameError::KeyTooLong(1025)));
        assert_eq!(ObjectKey::parse("a\0b"), Err(NameError::KeyHasNul));
    }

    #[test]
    fn sequencers_compare_padded() {
        assert!(Sequencer::new("9") < Sequencer::new("10"));
        assert!(Sequencer::from_number(255) < Sequencer::from_number(256));
    }
}
