//! The live feed as clients see it: its messages, and the tickets that open it.

use filemill_core::event::EventKind;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One message of the live feed.
#[derive(ToSchema)]
#[schema(as = LiveEvent)]
#[allow(dead_code, reason = "describes filemill_core's LiveEvent in the OpenAPI document")]
pub struct LiveEventView {
    /// Rises from event to event; resume behind it. Null for `job.progress`, which is not stored.
    pub seq: Option<u64>,
    #[schema(value_type = String, example = "job.completed")]
    pub kind: EventKind,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(value_type = Option<String>)]
    pub job: Option<JobId>,
    #[schema(value_type = Option<String>)]
    pub file: Option<FileId>,
    #[schema(value_type = Option<String>)]
    pub upload: Option<UploadId>,
    /// `status`, `rule`, `bucket`, `key`, `chunks`, `bytes`, `failure` as far as they apply.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// Opens one live feed, once.
#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
pub struct TicketView {
    pub ticket: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}
