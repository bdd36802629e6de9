//! The audit log: who ordered what, and when.

use super::ApiState;
use super::auth::Caller;
use super::cursor::to_cursor;
use super::extract::{PageParams, PagedQuery, read_parameter, read_time};
use super::problem::Problem;
use super::views::{AuditEntryView, ListView, ProblemView};
use axum::Json;
use axum::extract::State;
use filemill_core::ports::Page;
use filemill_engine::AuditQuery;
use serde::Deserialize;
use utoipa::IntoParams;

/// Filters are ANDed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditFilters {
    /// The name of the key that was used.
    actor: Option<String>,
    /// Such as `job.cancel`; with a trailing `*` a prefix.
    action: Option<String>,
    /// The id or name of what it was done to.
    target: Option<String>,
    /// At this time or later (RFC 3339).
    since: Option<String>,
    /// Before this time (RFC 3339).
    until: Option<String>,
}

impl AuditFilters {
    fn query(self, page: &PageParams) -> Result<AuditQuery, Problem> {
        Ok(AuditQuery {
            actor: self.actor,
            action: self.action,
            target: self.target,
            since: read_parameter("since", self.since, read_time)?,
            until: read_parameter("until", self.until, read_time)?,
            after: page.after()?,
            limit: page.limit()?,
        })
    }
}

/// List what people ordered, newest first
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", security(("token" = ["audit"])),
    params(AuditFilters, PageParams),
    responses(
        (status = 200, description = "A page of the audit log", body = ListView<AuditEntryView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_audit_log(
    State(state): State<ApiState>,
    Caller(who): Caller,
    PagedQuery { filters, page }: PagedQuery<AuditFilters>,
) -> Result<Json<ListView<AuditEntryView>>, Problem> {
    let Page { items, more } = state.engine.audit_log(&who, &filters.query(&page)?).await?;
    let next_cursor = items.last().filter(|_| more).map(|entry| to_cursor(&entry.id));
    Ok(Json(ListView { items: items.into_iter().map(AuditEntryView::from).collect(), next_cursor }))
}
