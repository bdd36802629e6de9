//! Deliveries: who was told what, and what became of it; and sending one again.

use super::ApiState;
use super::auth::Caller;
use super::cursor::{from_cursor, to_cursor};
use super::extract::{IdInPath, NoBody, NoParams, StrictQuery, page_limit, read_id, read_parameter, read_time};
use super::problem::Problem;
use super::views::{DeliveryView, ListView, ProblemView};
use axum::Json;
use axum::extract::State;
use filemill_core::delivery::DeliveryStatus;
use filemill_core::ids::{DeliveryId, JobId};
use filemill_core::notice::{NoticeKind, Receiver};
use filemill_core::ports::Page;
use filemill_core::rule::RuleId;
use filemill_engine::DeliveryQuery;
use serde::Deserialize;
use utoipa::IntoParams;

/// Filters are ANDed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveriesParams {
    /// `pending`, `delivered` or `dead`.
    status: Option<String>,
    /// Of the receiver: `live`, `webhook`, `email` or `queue`.
    kind: Option<String>,
    /// What was told, such as `job.failed`.
    event: Option<String>,
    /// The job that it is about.
    job: Option<String>,
    /// The upload that it is about: what its uploader missed.
    upload: Option<String>,
    rule: Option<String>,
    /// Told at this time or later (RFC 3339).
    since: Option<String>,
    /// Told before this time (RFC 3339).
    until: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

impl DeliveriesParams {
    fn query(self) -> Result<DeliveryQuery, Problem> {
        let job: Option<JobId> = read_parameter("job", self.job, read_id)?;
        Ok(DeliveryQuery {
            status: read_parameter("status", self.status, |text| {
                DeliveryStatus::parse(text).ok_or_else(|| "use pending, delivered or dead".to_owned())
            })?,
            kind: read_parameter("kind", self.kind, read_kind)?,
            event: read_parameter("event", self.event, read_event)?,
            about: job.map(|job| job.to_string()),
            upload: read_parameter("upload", self.upload, read_id)?,
            rule: read_parameter("rule", self.rule, RuleId::parse)?,
            since: read_parameter("since", self.since, read_time)?,
            until: read_parameter("until", self.until, read_time)?,
            after: from_cursor(self.cursor)?,
            limit: page_limit(self.limit)?,
        })
    }
}

fn read_kind(text: &str) -> Result<String, String> {
    let known = || format!("use one of {}", Receiver::KINDS.join(", "));
    Receiver::KINDS.contains(&text).then(|| text.to_owned()).ok_or_else(known)
}

fn read_event(text: &str) -> Result<NoticeKind, String> {
    let known = || format!("use one of {}", NoticeKind::ALL.map(NoticeKind::as_str).join(", "));
    NoticeKind::parse(text).ok_or_else(known)
}

/// List deliveries, newest first
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries", security(("token" = ["read"])),
    params(DeliveriesParams),
    responses(
        (status = 200, description = "A page of deliveries", body = ListView<DeliveryView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_deliveries(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(params): StrictQuery<DeliveriesParams>,
) -> Result<Json<ListView<DeliveryView>>, Problem> {
    let Page { items, more } = state.engine.deliveries(&who, &params.query()?).await?;
    let next_cursor = items.last().filter(|_| more).map(|delivery| to_cursor(&delivery.id));
    Ok(Json(ListView {
        items: items.into_iter().map(|delivery| DeliveryView::of(delivery, &who, &state.engine)).collect(),
        next_cursor,
    }))
}

/// See a delivery
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "deliveries", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 200, description = "The delivery", body = DeliveryView),
        (status = 404, description = "No such delivery", body = ProblemView),
    ),
)]
pub async fn get_delivery(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<DeliveryId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<DeliveryView>, Problem> {
    Ok(Json(DeliveryView::of(state.engine.delivery(&who, &id).await?, &who, &state.engine)))
}

/// Send a delivery again
///
/// Now, whatever became of it before, with the same event id: a receiver that has it already can tell.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/resend", tag = "deliveries", security(("token" = ["operate"])),
    params(
        ("id" = String, Path, description = "The delivery's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    responses(
        (status = 200, description = "It is pending again", body = DeliveryView),
        (status = 404, description = "No such delivery", body = ProblemView),
        (status = 409, description = "It went to the live feed, which is read and not sent to", body = ProblemView),
    ),
)]
pub async fn resend_delivery(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<DeliveryId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    _: NoBody,
) -> Result<Json<DeliveryView>, Problem> {
    Ok(Json(DeliveryView::of(state.engine.resend_delivery(&who, &id).await?, &who, &state.engine)))
}
