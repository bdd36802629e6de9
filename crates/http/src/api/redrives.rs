//! Redriving many letters: ordered, followed, stopped.

use super::ApiState;
use super::auth::Caller;
use super::cursor::to_cursor;
use super::dead_letters::DeadLetterFilters;
use super::extract::{IdInPath, NoBody, NoParams, PageParams, PagedQuery, StrictJson, StrictQuery, read_id};
use super::problem::Problem;
use super::views::{CountView, ListView, ProblemView, RedriveView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use filemill_core::access::Principal;
use filemill_core::ids::RedriveId;
use filemill_core::named;
use filemill_core::ports::Page;
use filemill_core::redrive::RedriveManner;
use filemill_core::rule::QueueName;
use filemill_engine::NewRedrive;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Which letters, how and how fast. Either `ids` or a `filter`; an empty filter means all that are dead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRedrive, example = json!({"filter": {"fingerprint": "1f0c2a7b9d3e"}, "rate": 50, "dry_run": true}))]
pub struct RedriveBody {
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default, deserialize_with = "named::option")]
    filter: Option<DeadLetterFilters>,
    /// Letters a second; 50 unless given.
    #[schema(minimum = 1, maximum = 1000)]
    rate: Option<u32>,
    /// Laid over the jobs' own options; they then run from their start.
    #[serde(default)]
    options: Map<String, Value>,
    /// Do again also chunks that were done and are still there.
    #[serde(default)]
    from_start: bool,
    /// Only count the letters.
    #[serde(default)]
    dry_run: bool,
}

impl RedriveBody {
    fn wish(self, queue: Option<QueueName>) -> Result<(NewRedrive, bool), Problem> {
        if self.ids.is_empty() && self.filter.is_none() {
            let message = "name letters by ids, or give a filter; an empty filter means all that are dead";
            return Err(Problem::invalid_field("filter", message));
        }
        let filter = self.filter.map(DeadLetterFilters::filter).transpose();
        let mut filter =
            filter.map_err(|problem| Problem::invalid_field("filter", problem.detail()))?.unwrap_or_default();
        if let (Some(queue), Some(other)) = (&queue, &filter.queue)
            && queue != other
        {
            return Err(Problem::invalid_field("filter.queue", format!("the path names {queue}, this {other}")));
        }
        filter.queue = queue.or(filter.queue);
        let ids = self.ids.iter().map(|id| read_id(id));
        filter.ids = ids.collect::<Result<_, _>>().map_err(|message| Problem::invalid_field("ids", message))?;
        let manner = RedriveManner { options: self.options, from_start: self.from_start };
        Ok((NewRedrive { filter, manner, rate: self.rate }, self.dry_run))
    }
}

/// Redrive dead letters, or count them first
///
/// The order is worked off in the background at its rate and survives restarts; each letter runs once more, whatever
/// else is ordered meanwhile. Letters that die again are not redriven by the same order.
#[utoipa::path(
    post, path = "/v1/redrives", tag = "dead letters", security(("token" = ["operate"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    request_body = RedriveBody,
    responses(
        (status = 200, description = "With `dry_run`: how many letters it would find", body = CountView),
        (status = 202, description = "The order", body = RedriveView),
        (status = 404, description = "A letter that was named is not there", body = ProblemView),
        (status = 422, description = "A field is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn create_redrive(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<RedriveBody>,
) -> Result<Response, Problem> {
    order(&state, &who, body, None).await
}

/// Counts or orders; of one queue or of all.
pub async fn order(
    state: &ApiState,
    who: &Principal,
    body: RedriveBody,
    queue: Option<QueueName>,
) -> Result<Response, Problem> {
    let (wish, is_dry_run) = body.wish(queue)?;
    if is_dry_run {
        let count = state.engine.count_redrive(who, &wish.filter, &wish.manner).await.map_err(Problem::in_body)?;
        return Ok(Json(CountView { count }).into_response());
    }
    let ordered = state.engine.create_redrive(who, wish).await.map_err(Problem::in_body)?;
    Ok((StatusCode::ACCEPTED, Json(RedriveView::from(ordered))).into_response())
}

/// List orders to redrive, newest first
#[utoipa::path(
    get, path = "/v1/redrives", tag = "dead letters", security(("token" = ["inspect"])),
    params(PageParams),
    responses(
        (status = 200, description = "A page of orders", body = ListView<RedriveView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_redrives(
    State(state): State<ApiState>,
    Caller(who): Caller,
    PagedQuery { filters: NoParams {}, page }: PagedQuery<NoParams>,
) -> Result<Json<ListView<RedriveView>>, Problem> {
    let after = page.after()?;
    let Page { items, more } = state.engine.redrives(&who, after.as_ref(), page.limit()?).await?;
    let next_cursor = items.last().filter(|_| more).map(|progress| to_cursor(&progress.order.id));
    Ok(Json(ListView { items: items.into_iter().map(RedriveView::from).collect(), next_cursor }))
}

/// See how far an order came
#[utoipa::path(
    get, path = "/v1/redrives/{id}", tag = "dead letters", security(("token" = ["inspect"])),
    params(("id" = String, Path, description = "The order's id")),
    responses(
        (status = 200, description = "The order", body = RedriveView),
        (status = 404, description = "No such order", body = ProblemView),
    ),
)]
pub async fn get_redrive(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<RedriveId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<RedriveView>, Problem> {
    Ok(Json(state.engine.redrive(&who, &id).await?.into()))
}

/// Stop an order
///
/// What it has not reached stays dead.
#[utoipa::path(
    post, path = "/v1/redrives/{id}/cancel", tag = "dead letters", security(("token" = ["operate"])),
    params(
        ("id" = String, Path, description = "The order's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    responses(
        (status = 200, description = "The order, cancelled", body = RedriveView),
        (status = 404, description = "No such order", body = ProblemView),
        (status = 409, description = "It is done or cancelled already", body = ProblemView),
    ),
)]
pub async fn cancel_redrive(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<RedriveId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<Json<RedriveView>, Problem> {
    Ok(Json(state.engine.cancel_redrive(&who, &id).await?.into()))
}
