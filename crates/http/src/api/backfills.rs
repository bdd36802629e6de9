//! Rules run over objects that are there already: counted, ordered, followed, stopped.

use super::ApiState;
use super::auth::Caller;
use super::cursor::to_cursor;
use super::extract::{IdInPath, NoBody, NoParams, PageParams, PagedQuery, StrictJson, StrictQuery, read_time};
use super::problem::Problem;
use super::views::{BackfillCountView, BackfillView, ListView, ProblemView};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use filemill_core::backfill::BackfillFilter;
use filemill_core::ids::BackfillId;
use filemill_core::ports::Page;
use filemill_core::rule::Name;
use serde::Deserialize;
use utoipa::ToSchema;

/// Which files of the rule's bucket, and how fast.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBackfill, example = json!({"prefix": "2026/", "dry_run": true}))]
pub struct BackfillBody {
    prefix: Option<String>,
    /// Created at this time or later (RFC 3339).
    since: Option<String>,
    /// Created before this time (RFC 3339).
    until: Option<String>,
    /// Jobs a second; 50 unless given.
    #[schema(minimum = 1, maximum = 1000)]
    rate: Option<u32>,
    /// Only count the files.
    #[serde(default)]
    dry_run: bool,
}

impl BackfillBody {
    fn filter(&self) -> Result<BackfillFilter, Problem> {
        let time = |name: &'static str, text: &Option<String>| {
            let read = text.as_deref().map(read_time).transpose();
            read.map_err(|message| Problem::invalid_field(name, message))
        };
        let (since, until) = (time("since", &self.since)?, time("until", &self.until)?);
        Ok(BackfillFilter { prefix: self.prefix.clone(), since, until })
    }
}

/// Run a rule over objects that are there already, or count them first
///
/// Files that the rule takes and that have no job of it for their version. The order is worked off in the background at its
/// rate and survives restarts; each file gets one job, whatever else is ordered meanwhile.
#[utoipa::path(
    post, path = "/v1/rules/{rule}/backfill", tag = "rules", security(("token" = ["maintain"])),
    params(
        ("rule" = String, Path, description = "The rule's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    request_body = BackfillBody,
    responses(
        (status = 200, description = "With `dry_run`: what it would start", body = BackfillCountView),
        (status = 202, description = "The order", body = BackfillView),
        (status = 400, description = "Malformed JSON", body = ProblemView),
        (status = 404, description = "No such rule", body = ProblemView),
        (status = 413, description = "The body is too large", body = ProblemView),
        (status = 415, description = "The body is not JSON", body = ProblemView),
        (status = 422, description = "A field is wrong", body = ProblemView),
    ),
)]
pub async fn create_backfill(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(rule): Path<String>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<BackfillBody>,
) -> Result<Response, Problem> {
    let id = Name::parse(&rule).map_err(|_| Problem::not_found("rule", &rule))?;
    let filter = body.filter()?;
    if body.dry_run {
        let count = state.engine.count_backfill(&id, &filter).await?;
        return Ok(Json(BackfillCountView::from(count)).into_response());
    }
    let order = state.engine.create_backfill(&actor, &id, filter, body.rate).await?;
    Ok((StatusCode::ACCEPTED, Json(BackfillView::from(order))).into_response())
}

/// List backfills, newest first
#[utoipa::path(
    get, path = "/v1/backfills", tag = "rules", security(("token" = ["monitor"])),
    params(PageParams),
    responses(
        (status = 200, description = "A page of orders", body = ListView<BackfillView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_backfills(
    State(state): State<ApiState>,
    PagedQuery { filters: NoParams {}, page }: PagedQuery<NoParams>,
) -> Result<Json<ListView<BackfillView>>, Problem> {
    let after = page.after()?;
    let Page { items, more } = state.engine.backfills(after.as_ref(), page.limit()?).await?;
    let next_cursor = items.last().filter(|_| more).map(|order| to_cursor(&order.id));
    Ok(Json(ListView { items: items.into_iter().map(BackfillView::from).collect(), next_cursor }))
}

/// See how far a backfill came
#[utoipa::path(
    get, path = "/v1/backfills/{id}", tag = "rules", security(("token" = ["monitor"])),
    params(("id" = String, Path, description = "The order's id")),
    responses(
        (status = 200, description = "The order", body = BackfillView),
        (status = 404, description = "No such order", body = ProblemView),
    ),
)]
pub async fn get_backfill(
    State(state): State<ApiState>,
    IdInPath(id): IdInPath<BackfillId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<BackfillView>, Problem> {
    Ok(Json(state.engine.backfill(&id).await?.into()))
}

/// Stop a backfill
///
/// Jobs that it has started go on.
#[utoipa::path(
    post, path = "/v1/backfills/{id}/cancel", tag = "rules", security(("token" = ["maintain"])),
    params(
        ("id" = String, Path, description = "The order's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    responses(
        (status = 200, description = "The order, cancelled", body = BackfillView),
        (status = 404, description = "No such order", body = ProblemView),
        (status = 409, description = "`not_cancellable`: it has ended", body = ProblemView),
    ),
)]
pub async fn cancel_backfill(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    IdInPath(id): IdInPath<BackfillId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<Json<BackfillView>, Problem> {
    Ok(Json(state.engine.cancel_backfill(&actor, &id).await?.into()))
}
