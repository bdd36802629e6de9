//! Buckets compared with the records of their files, because somebody asks.

use super::ApiState;
use super::auth::Caller;
use super::extract::{NoParams, StrictJson, StrictQuery};
use super::problem::Problem;
use super::views::{ProblemView, ReconcileView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use filemill_core::object::BucketName;
use filemill_engine::ReconcileScope;
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReconcile, example = json!({"bucket": "uploads", "dry_run": true}))]
pub struct NewReconcileBody {
    /// All buckets if not given.
    #[schema(value_type = Option<String>)]
    bucket: Option<BucketName>,
    /// Only tell what differs.
    #[serde(default)]
    dry_run: bool,
}

/// Compare buckets with the records of their files, and make good what no announcement told
///
/// The answer comes at once; `GET` tells how the run goes.
#[utoipa::path(
    post, path = "/v1/reconcile", tag = "operation", security(("token" = ["maintain"])),
    request_body = NewReconcileBody,
    responses(
        (status = 202, description = "The run was asked for", body = ReconcileView),
        (status = 400, description = "Malformed JSON", body = ProblemView),
        (status = 409, description = "`reconcile_waiting`: one was asked for and has not begun", body = ProblemView),
        (status = 413, description = "The body is too large", body = ProblemView),
        (status = 415, description = "The body is not JSON", body = ProblemView),
        (status = 422, description = "A field is wrong", body = ProblemView),
    ),
)]
pub async fn start_reconcile(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<NewReconcileBody>,
) -> Result<(StatusCode, Json<ReconcileView>), Problem> {
    let scope = ReconcileScope { bucket: body.bucket, is_dry_run: body.dry_run };
    let run = state.engine.ask_reconcile(&actor, scope).await.map_err(Problem::in_body)?;
    Ok((StatusCode::ACCEPTED, Json(run.into())))
}

/// See the newest run, asked for or by the schedule
#[utoipa::path(
    get, path = "/v1/reconcile", tag = "operation", security(("token" = ["monitor"])),
    responses(
        (status = 200, description = "The run", body = ReconcileView),
        (status = 404, description = "None has begun since the service started", body = ProblemView),
    ),
)]
pub async fn get_reconcile(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<ReconcileView>, Problem> {
    let run = state.engine.reconcile_run();
    run.map(|run| Json(run.into())).ok_or_else(|| Problem::not_found("reconcile run", "newest"))
}
