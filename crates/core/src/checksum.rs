//! The content checksums that S3 names, as values. Who computes them is the door's or the store's affair.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `x-amz-checksum-*` algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

/// Whether a checksum covers the object's bytes or is a checksum of its parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumScope {
    #[default]
    FullObject,
    Composite,
}

/// What a multipart upload promised when it began: the checksum that each part brings and the object will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumChoice {
    pub algorithm: ChecksumAlgorithm,
    #[serde(default)]
    pub scope: ChecksumScope,
}

/// Checksums that a client gave and that were verified, in base64 as S3 sends them.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checksums {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<ChecksumAlgorithm, String>,
    #[serde(default)]
    pub scope: ChecksumScope,
}

impl Checksums {
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
