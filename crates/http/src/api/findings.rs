//! What processors found in files: rows with filters, and their counts and averages.

use super::ApiState;
use super::auth::Caller;
use super::cursor::to_cursor;
use super::extract::{PageParams, PagedQuery, StrictQuery, read_parameter, read_time};
use super::problem::Problem;
use super::views::{FindingSummaryView, FindingView, ListView, ProblemView};
use axum::Json;
use axum::extract::State;
use filemill_core::object::BucketName;
use filemill_core::ports::{FindingQuery, Page};
use serde::Deserialize;
use utoipa::IntoParams;

/// Filters are ANDed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindingFilters {
    /// The processor's kind, such as `text.sentiment`.
    processor: Option<String>,
    /// Such as `NEGATIVE`.
    label: Option<String>,
    /// The files' bucket.
    bucket: Option<String>,
    /// The files' key; with a trailing `*` a prefix.
    key: Option<String>,
    /// Found at this time or later (RFC 3339).
    since: Option<String>,
    /// Found before this time (RFC 3339).
    until: Option<String>,
}

impl FindingFilters {
    fn query(self) -> Result<FindingQuery, Problem> {
        Ok(FindingQuery {
            processor: self.processor,
            label: self.label,
            bucket: read_parameter("bucket", self.bucket, |text| BucketName::parse(text).map_err(|e| e.to_string()))?,
            key: self.key,
            since: read_parameter("since", self.since, read_time)?,
            until: read_parameter("until", self.until, read_time)?,
            ..FindingQuery::default()
        })
    }
}

/// List findings, by bucket and key
#[utoipa::path(
    get, path = "/v1/findings", tag = "findings", security(("token" = ["read"])),
    params(FindingFilters, PageParams),
    responses(
        (status = 200, description = "A page of findings", body = ListView<FindingView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_findings(
    State(state): State<ApiState>,
    Caller(who): Caller,
    PagedQuery { filters, page }: PagedQuery<FindingFilters>,
) -> Result<Json<ListView<FindingView>>, Problem> {
    let query = FindingQuery { after: page.after()?, limit: page.limit()?, ..filters.query()? };
    let Page { items, more } = state.engine.findings(&who, query).await?;
    let place = items.last().filter(|_| more).map(|f| (f.bucket.clone(), f.key.clone(), f.processor.clone()));
    let next_cursor = place.map(|place| to_cursor(&place));
    let items = items.into_iter().map(|finding| FindingView::of(finding, &state.engine)).collect();
    Ok(Json(ListView { items, next_cursor }))
}

/// Count and average findings
#[utoipa::path(
    get, path = "/v1/findings/summary", tag = "findings", security(("token" = ["read"])),
    params(FindingFilters),
    responses(
        (status = 200, description = "Counts by label, and the average of each value", body = FindingSummaryView),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn summarise_findings(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(filters): StrictQuery<FindingFilters>,
) -> Result<Json<FindingSummaryView>, Problem> {
    Ok(Json(state.engine.finding_summary(&who, filters.query()?).await?.into()))
}
