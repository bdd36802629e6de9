//! What a processor found in a file, as a row that can be queried: a label and some numbers.

use crate::ids::{JobId, KeyId};
use crate::object::{BucketName, ObjectKey};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// As the processor says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// A short upper-case word, such as `POSITIVE`.
    pub label: String,
    /// Numbers by name, finite.
    pub values: BTreeMap<String, f64>,
}

/// As stored: the finding of the newest version of an object, by processor. A newer job's replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// The processor's kind.
    pub processor: String,
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub job: JobId,
    pub at: Timestamp,
    /// As the job's.
    #[serde(default)]
    pub owner: Option<KeyId>,
    #[serde(flatten)]
    pub finding: Finding,
}
