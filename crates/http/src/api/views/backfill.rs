//! A backfill as clients see it, and what one would start.

use filemill_core::backfill::{Backfill, BackfillStatus};
use filemill_core::ids::BackfillId;
use filemill_core::object::ObjectKey;
use filemill_core::rule::RuleId;
use filemill_core::time::Timestamp;
use filemill_engine::BackfillCount;
use serde::Serialize;
use utoipa::ToSchema;

/// An order to run a rule over objects that are there already.
#[derive(Serialize, ToSchema)]
#[schema(as = Backfill)]
pub struct BackfillView {
    #[schema(value_type = String, example = "bkf_01h455vb4pex5vsknk084sn02q")]
    pub id: BackfillId,
    /// `running`, `done`, `cancelled`, or `failed` where its rule is gone.
    #[schema(value_type = String)]
    pub status: BackfillStatus,
    #[schema(value_type = String)]
    pub rule: RuleId,
    pub prefix: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Jobs a second.
    pub rate: u32,
    /// Looked at so far.
    pub files_seen: u64,
    pub jobs_started: u64,
    /// The name of who ordered it.
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

impl From<Backfill> for BackfillView {
    fn from(order: Backfill) -> Self {
        let Backfill { id, status, rule, filter, rate, files_seen, jobs_started, by, created_at, finished_at, .. } =
            order;
        BackfillView {
            id,
            status,
            rule,
            prefix: filter.prefix,
            since: filter.since,
            until: filter.until,
            rate,
            files_seen,
            jobs_started,
            by,
            created_at,
            finished_at,
        }
    }
}

/// What a backfill would start.
#[derive(Serialize, ToSchema)]
#[schema(as = BackfillCount)]
pub struct BackfillCountView {
    pub files: u64,
    pub bytes: u64,
    /// The first few.
    #[schema(value_type = Vec<String>)]
    pub keys: Vec<ObjectKey>,
    /// False: only the first 100,000 files were looked at.
    pub is_complete: bool,
}

impl From<BackfillCount> for BackfillCountView {
    fn from(count: BackfillCount) -> Self {
        let BackfillCount { files, bytes, keys, is_complete } = count;
        BackfillCountView { files, bytes, keys, is_complete }
    }
}
