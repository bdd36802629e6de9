//! An alarm and its changes as clients see them.

use filemill_core::alarm::{AlarmChange, AlarmStatus};
use filemill_core::duration::format_duration;
use filemill_core::ids::AlarmChangeId;
use filemill_core::rule::Name;
use filemill_core::time::Timestamp;
use filemill_engine::AlarmNow;
use serde::Serialize;
use utoipa::ToSchema;

/// An alarm of one thing, now.
#[derive(Serialize, ToSchema)]
#[schema(as = Alarm, example = json!({
    "alarm": "dead-letters", "of": "default", "status": "raised", "since": "2026-11-20T12:00:00.000Z",
    "metric": "dead.depth", "value": 3.0, "bound": "above", "limit": 0.0, "for": "1m",
}))]
pub struct AlarmView {
    #[schema(value_type = String)]
    pub alarm: Name,
    /// The queue or rule; null where it is of the whole service.
    pub of: Option<String>,
    /// `ok`, `pending` (bad, but not for long enough) or `raised`.
    #[schema(value_type = String)]
    pub status: AlarmStatus,
    /// In this status.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    pub metric: &'static str,
    /// Measured for this answer.
    pub value: f64,
    /// On which side of the limit it is bad: `above`, `at_least`, `below` or `at_most`.
    pub bound: &'static str,
    pub limit: f64,
    /// How long it must be bad before it is raised.
    #[serde(rename = "for")]
    pub lasts: String,
}

impl From<AlarmNow> for AlarmView {
    fn from(now: AlarmNow) -> Self {
        let AlarmNow { rule, state, value } = now;
        AlarmView {
            alarm: state.alarm,
            of: state.of,
            status: state.status,
            since: state.since,
            metric: rule.metric.as_str(),
            value,
            bound: rule.bound.word(),
            limit: rule.bound.limit(),
            lasts: format_duration(rule.lasts),
        }
    }
}

/// An alarm was raised or resolved.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmChange)]
pub struct AlarmChangeView {
    #[schema(value_type = String)]
    pub id: AlarmChangeId,
    #[schema(value_type = String)]
    pub alarm: Name,
    pub of: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub from: AlarmStatus,
    #[schema(value_type = String)]
    pub to: AlarmStatus,
    pub metric: Option<String>,
    /// Null if it is unwatched.
    pub value: Option<f64>,
    pub limit: f64,
    /// It ended because nobody watches it any more: the alarm, or the rule or queue that it was of, is gone.
    pub unwatched: bool,
}

impl From<AlarmChange> for AlarmChangeView {
    fn from(change: AlarmChange) -> Self {
        let unwatched = change.is_unwatched();
        let AlarmChange { id, alarm, of, at, from, to, metric, value, limit } = change;
        AlarmChangeView { id, alarm, of, at, from, to, metric, value, limit, unwatched }
    }
}
