//! What the service was configured to do, and what it could do: rules and processors.

use super::ApiState;
use super::extract::{NoParams, StrictQuery};
use super::views::{ListView, ProcessorView, RuleView};
use axum::Json;
use axum::extract::State;

/// List the rules, in the order of the configuration
#[utoipa::path(
    get, path = "/v1/rules", tag = "rules",
    responses((status = 200, description = "All rules", body = ListView<RuleView>)),
)]
pub async fn list_rules(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Json<ListView<RuleView>> {
    Json(ListView::whole(state.engine.rules().iter().map(|rule| RuleView::from(&**rule)).collect()))
}

/// List the processors that rules can name
#[utoipa::path(
    get, path = "/v1/processors", tag = "rules",
    responses((status = 200, description = "All processors", body = ListView<ProcessorView>)),
)]
pub async fn list_processors(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Json<ListView<ProcessorView>> {
    Json(ListView::whole(state.engine.processors().map(ProcessorView::from).collect()))
}
