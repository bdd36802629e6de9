//! Answering with a signed link: as a redirect, or as JSON for clients that want the link itself.

use super::problem::Problem;
use super::views::LinkView;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use filemill_engine::Link;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LinkParams {
    /// `false`: answer the link as JSON instead of redirecting to it.
    #[param(default = true)]
    redirect: Option<bool>,
}

pub fn link_answer(link: Link, params: &LinkParams) -> Result<Response, Problem> {
    if params.redirect == Some(false) {
        return Ok(Json(LinkView::from(link)).into_response());
    }
    let location = HeaderValue::from_str(&link.url).map_err(|_| {
        tracing::error!("the object store signed a link that is no header value");
        Problem::internal()
    })?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}
