//! Queues: what waits and runs in each, and its dead letters.

use super::ApiState;
use super::auth::Caller;
use super::dead_letters::{self, DeadLetterFilters};
use super::extract::{NoParams, PageParams, PagedQuery, StrictJson, StrictQuery};
use super::problem::Problem;
use super::redrives::{self, RedriveBody};
use super::views::{CountView, DeadLetterView, ListView, ProblemView, QueueView, RedriveView};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use filemill_core::access::Principal;
use filemill_core::rule::QueueName;

/// List queues with what waits and runs in them
#[utoipa::path(
    get, path = "/v1/queues", tag = "queues", security(("token" = ["monitor"])),
    responses((status = 200, description = "All queues", body = ListView<QueueView>)),
)]
pub async fn list_queues(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<ListView<QueueView>>, Problem> {
    let now = state.engine.now();
    let queues = state.engine.queues().await?;
    Ok(Json(ListView::whole(queues.into_iter().map(|queue| QueueView::of(queue, now)).collect())))
}

/// List the dead letters of a queue, newest first
#[utoipa::path(
    get, path = "/v1/queues/{queue}/dead", tag = "queues", security(("token" = ["inspect"])),
    params(("queue" = String, Path, description = "The queue's name"), DeadLetterFilters, PageParams),
    responses(
        (status = 200, description = "A page of dead letters", body = ListView<DeadLetterView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
        (status = 404, description = "No such queue", body = ProblemView),
    ),
)]
pub async fn list_dead_letters_of_queue(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Path(queue): Path<String>,
    PagedQuery { filters, page }: PagedQuery<DeadLetterFilters>,
) -> Result<Json<ListView<DeadLetterView>>, Problem> {
    let mut filter = filters.filter()?;
    let queue = known_queue(&state, &who, &queue).await?;
    if let Some(other) = filter.queue.filter(|other| *other != queue) {
        return Err(Problem::invalid_parameter("queue", format!("the path names {queue}, this {other}")));
    }
    filter.queue = Some(queue);
    dead_letters::list(&state, &who, filter, page).await
}

/// Redrive dead letters of a queue, or count them first
#[utoipa::path(
    post, path = "/v1/queues/{queue}/redrive", tag = "queues", security(("token" = ["operate"])),
    params(
        ("queue" = String, Path, description = "The queue's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    request_body = RedriveBody,
    responses(
        (status = 200, description = "With `dry_run`: how many letters it would find", body = CountView),
        (status = 202, description = "The order", body = RedriveView),
        (status = 404, description = "No such queue, or a letter that was named is not in it", body = ProblemView),
        (status = 422, description = "A field is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn redrive_queue(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Path(queue): Path<String>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<RedriveBody>,
) -> Result<Response, Problem> {
    let queue = known_queue(&state, &who, &queue).await?;
    redrives::order(&state, &who, body, Some(queue)).await
}

async fn known_queue(state: &ApiState, who: &Principal, name: &str) -> Result<QueueName, Problem> {
    if let Ok(queue) = QueueName::parse(name)
        && state.engine.knows_queue(who, &queue).await?
    {
        return Ok(queue);
    }
    Err(Problem::not_found("queue", &name.chars().take(64).collect::<String>()))
}
