//! What scrubbing found damaged.

use super::ApiState;
use super::cursor::{BlobPlace, from_cursor, to_cursor};
use super::extract::{StrictQuery, page_limit};
use super::problem::Problem;
use super::views::{DamageView, ListView, ProblemView};
use axum::Json;
use axum::extract::State;
use filemill_core::ports::Page;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DamagePage {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

/// List stored bytes that are damaged, and the objects and parts that hold them
#[utoipa::path(
    get, path = "/v1/damage", tag = "operation", security(("token" = ["monitor"])),
    params(DamagePage),
    responses(
        (status = 200, description = "A page of what scrubbing found and is still there", body = ListView<DamageView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_damage(
    State(state): State<ApiState>,
    StrictQuery(page): StrictQuery<DamagePage>,
) -> Result<Json<ListView<DamageView>>, Problem> {
    let (after, limit) = (from_cursor::<BlobPlace>(page.cursor)?, page_limit(page.limit)?);
    let Page { items, more } = state.engine.damage(after.map(|place| place.0).as_deref(), limit).await?;
    let last = items.last().filter(|_| more).map(|damage| BlobPlace(damage.blob.clone()));
    let next_cursor = last.map(|place| to_cursor(&place));
    Ok(Json(ListView { items: items.into_iter().map(DamageView::from).collect(), next_cursor }))
}
