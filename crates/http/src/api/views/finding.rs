//! Findings as clients see them: rows and their sums.

use filemill_core::access::TenantName;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::JobId;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::FindingSummary;
use filemill_core::time::Timestamp;
use filemill_engine::Engine;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a processor found in the newest version of a file.
#[derive(Serialize, ToSchema)]
#[schema(as = Finding, example = json!({
    "processor": "text.sentiment", "tenant": "default", "bucket": "uploads", "key": "notes/a.md", "job": "job_01h455vb4pex5vsknk084sn02q",
    "at": "2026-11-20T12:00:00.012Z", "label": "POSITIVE",
    "values": {"positive": 0.61, "negative": 0.03, "neutral": 0.31, "mixed": 0.05},
}))]
pub struct FindingView {
    pub processor: String,
    /// Whose it is: its file's bucket says.
    #[schema(value_type = String, example = "default")]
    pub tenant: TenantName,
    #[schema(value_type = String)]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
    #[schema(value_type = String)]
    pub job: JobId,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub label: String,
    pub values: BTreeMap<String, f64>,
}

impl FindingView {
    pub fn of(record: FindingRecord, engine: &Engine) -> Self {
        let FindingRecord { processor, bucket, key, job, at, finding, .. } = record;
        let tenant = engine.tenant_of(&bucket);
        FindingView { processor, tenant, bucket, key, job, at, label: finding.label, values: finding.values }
    }
}

/// All findings that the filters leave, counted and averaged.
#[derive(Serialize, ToSchema)]
#[schema(as = FindingSummary, example = json!({
    "count": 3, "labels": {"POSITIVE": 2, "NEGATIVE": 1}, "averages": {"positive": 0.52, "negative": 0.2},
}))]
pub struct FindingSummaryView {
    pub count: u64,
    pub labels: BTreeMap<String, u64>,
    /// The mean of each value.
    pub averages: BTreeMap<String, f64>,
}

impl From<FindingSummary> for FindingSummaryView {
    fn from(summary: FindingSummary) -> Self {
        FindingSummaryView { count: summary.count, labels: summary.labels, averages: summary.means }
    }
}
