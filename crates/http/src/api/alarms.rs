//! Alarms as they are now, and what became of them before.

use super::ApiState;
use super::cursor::{from_cursor, to_cursor};
use super::extract::{NoParams, StrictQuery, page_limit, read_parameter};
use super::problem::Problem;
use super::views::{AlarmChangeView, AlarmView, ListView, ProblemView};
use axum::Json;
use axum::extract::State;
use filemill_core::ports::Page;
use filemill_core::rule::Name;
use filemill_engine::AlarmHistoryQuery;
use serde::Deserialize;
use utoipa::IntoParams;

/// List alarms with their state and value now
///
/// One row for each alarm and what it is of: a queue, a rule, or the whole service.
#[utoipa::path(
    get, path = "/v1/alarms", tag = "alarms", security(("token" = ["monitor"])),
    responses((status = 200, description = "All alarms", body = ListView<AlarmView>)),
)]
pub async fn list_alarms(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<ListView<AlarmView>>, Problem> {
    let alarms = state.engine.alarms().await?;
    Ok(Json(ListView::whole(alarms.into_iter().map(AlarmView::from).collect())))
}

/// Filters are ANDed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlarmHistoryParams {
    /// Of this alarm only.
    alarm: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

/// List when alarms were raised and resolved, newest first
#[utoipa::path(
    get, path = "/v1/alarms/history", tag = "alarms", security(("token" = ["monitor"])),
    params(AlarmHistoryParams),
    responses(
        (status = 200, description = "A page of changes", body = ListView<AlarmChangeView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_alarm_history(
    State(state): State<ApiState>,
    StrictQuery(params): StrictQuery<AlarmHistoryParams>,
) -> Result<Json<ListView<AlarmChangeView>>, Problem> {
    let query = AlarmHistoryQuery {
        alarm: read_parameter("alarm", params.alarm, Name::parse)?,
        after: from_cursor(params.cursor)?,
        limit: page_limit(params.limit)?,
    };
    let Page { items, more } = state.engine.alarm_history(&query).await?;
    let next_cursor = items.last().filter(|_| more).map(|change| to_cursor(&change.id));
    Ok(Json(ListView { items: items.into_iter().map(AlarmChangeView::from).collect(), next_cursor }))
}
