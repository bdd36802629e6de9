//! A comparison of buckets with the records of their files, as clients see it.

use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::time::Timestamp;
use filemill_engine::{Difference, ReconcileRun, ReconcileStatus};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Reconcile, example = json!({
    "status": "done", "failure": null, "bucket": null, "dry_run": false, "asked_at": "2026-11-20T12:00:00.000Z",
    "ended_at": "2026-11-20T12:00:31.012Z", "objects": 1200, "files": 1199, "unknown_objects": 1, "lost_objects": 0,
    "repaired": 1, "examples": [{"difference": "unknown_object", "bucket": "uploads", "key": "a.csv"}],
}))]
pub struct ReconcileView {
    /// `waiting`, `running`, `done` or `failed`.
    pub status: &'static str,
    /// Why it failed.
    pub failure: Option<String>,
    /// All if not given.
    #[schema(value_type = Option<String>)]
    pub bucket: Option<BucketName>,
    pub dry_run: bool,
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Looked at so far.
    pub objects: u64,
    pub files: u64,
    /// Objects without a record of this version.
    pub unknown_objects: u64,
    /// Records without an object.
    pub lost_objects: u64,
    /// Of both; others may have been faster.
    pub repaired: u64,
    /// The first few.
    pub examples: Vec<DifferenceView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Difference)]
pub struct DifferenceView {
    /// `unknown_object` or `lost_object`.
    pub difference: &'static str,
    #[schema(value_type = String)]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
}

impl From<ReconcileRun> for ReconcileView {
    fn from(run: ReconcileRun) -> Self {
        let ReconcileRun { status, scope, asked_at, ended_at, report } = run;
        let (status, failure) = match status {
            ReconcileStatus::Waiting => ("waiting", None),
            ReconcileStatus::Running => ("running", None),
            ReconcileStatus::Done => ("done", None),
            ReconcileStatus::Failed(why) => ("failed", Some(why)),
        };
        let examples = report.examples.into_iter().map(|(difference, bucket, key)| DifferenceView {
            difference: name_of(difference),
            bucket,
            key,
        });
        ReconcileView {
            status,
            failure,
            bucket: scope.bucket,
            dry_run: scope.is_dry_run,
            asked_at,
            ended_at,
            objects: report.objects,
            files: report.files,
            unknown_objects: report.unknown_objects,
            lost_objects: report.lost_objects,
            repaired: report.repaired,
            examples: examples.collect(),
        }
    }
}

fn name_of(difference: Difference) -> &'static str {
    match difference {
        Difference::UnknownObject => "unknown_object",
        Difference::LostObject => "lost_object",
    }
}
