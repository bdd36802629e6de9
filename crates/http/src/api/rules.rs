//! What the service was configured to do, and what it could do: rules and processors.

use super::ApiState;
use super::auth::Caller;
use super::extract::{NoParams, StrictJson, StrictQuery};
use super::problem::Problem;
use super::views::{ExplanationView, ListView, ProblemView, ProcessorView, RuleView};
use axum::Json;
use axum::extract::State;
use filemill_core::matching::Subject;
use filemill_core::object::{BucketName, ObjectKey};
use serde::Deserialize;
use utoipa::ToSchema;

/// List the rules, in the order of the configuration
#[utoipa::path(
    get, path = "/v1/rules", tag = "rules", security(("token" = ["rules"])),
    responses((status = 200, description = "All rules", body = ListView<RuleView>)),
)]
pub async fn list_rules(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Json<ListView<RuleView>> {
    let config = state.engine.config();
    let rules = state.engine.rules(&who).map(|rule| RuleView::of(rule, &config.retry_of(rule), &state.engine));
    Json(ListView::whole(rules.collect()))
}

/// List the processors that rules can name
#[utoipa::path(
    get, path = "/v1/processors", tag = "rules", security(("token" = ["rules"])),
    responses((status = 200, description = "All processors", body = ListView<ProcessorView>)),
)]
pub async fn list_processors(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Json<ListView<ProcessorView>> {
    Json(ListView::whole(state.engine.processors(&who).map(ProcessorView::from).collect()))
}

/// An object that does not need to exist.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExplainedObject, example = json!({"bucket": "uploads", "key": "in/a.csv", "size": 1024}))]
pub struct ExplainedBody {
    /// The service's default bucket if not given.
    #[schema(value_type = Option<String>)]
    bucket: Option<BucketName>,
    #[schema(value_type = String)]
    key: ObjectKey,
    #[serde(default)]
    size: u64,
    content_type: Option<String>,
}

/// See which rules an object would start, and why others would not
#[utoipa::path(
    post, path = "/v1/rules/explain", tag = "rules", security(("token" = ["rules"])),
    request_body = ExplainedBody,
    responses(
        (status = 200, description = "All rules, in the order of the configuration", body = ListView<ExplanationView>),
        (status = 400, description = "Malformed JSON", body = ProblemView),
        (status = 413, description = "The body is too large", body = ProblemView),
        (status = 415, description = "The body is not JSON", body = ProblemView),
        (status = 422, description = "A field is wrong", body = ProblemView),
    ),
)]
pub async fn explain_rules(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<ExplainedBody>,
) -> Result<Json<ListView<ExplanationView>>, Problem> {
    let bucket = body.bucket.as_ref().unwrap_or(&state.engine.config().default_bucket);
    let subject = Subject { key: &body.key, size: body.size, content_type: body.content_type.as_deref() };
    let explained = state.engine.explain(&who, bucket, subject);
    Ok(Json(ListView::whole(explained.into_iter().map(ExplanationView::from).collect())))
}
