//! Is it alive, is it ready, how is it doing: for supervisors, load balancers and Prometheus.
//!
//! The first two ask for no token and tell nothing else.

use super::ApiState;
use super::extract::{NoParams, StrictQuery};
use super::problem::Problem;
use super::views::ProblemView;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// Longer than this, and a store counts as not answering.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The stores are asked at most this often, however often anybody asks the service.
const PROBE_KEPT: Duration = Duration::from_secs(1);

/// The last look at the stores. The lock is held while looking, so that only one look runs at a time.
#[derive(Default)]
pub struct Readiness(tokio::sync::Mutex<Option<(Instant, bool)>>);

impl Readiness {
    async fn of(&self, engine: &filemill_engine::Engine) -> bool {
        let mut seen = self.0.lock().await;
        if let Some((_, ready)) = seen.filter(|(at, _)| at.elapsed() < PROBE_KEPT) {
            return ready;
        }
        let ready = match tokio::time::timeout(PROBE_TIMEOUT, engine.health()).await {
            Ok(Ok(_)) => true,
            Ok(Err(e)) => {
                tracing::warn!(error = %e, "not ready");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: the stores do not answer in time");
                false
            }
        };
        *seen = Some((Instant::now(), ready));
        ready
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthView {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/healthz", tag = "operation", security(()),
    responses((status = 200, description = "It is", body = HealthView)),
)]
pub async fn healthz() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// Do the stores answer?
#[utoipa::path(
    get, path = "/readyz", tag = "operation", security(()),
    responses(
        (status = 200, description = "They do", body = HealthView),
        (status = 503, description = "They do not, or the service is stopping", body = ProblemView),
    ),
)]
pub async fn readyz(State(state): State<ApiState>) -> Result<Json<HealthView>, Problem> {
    if state.closing.is_cancelled() {
        return Err(Problem::unavailable("stopping", "the service is stopping"));
    }
    if !state.readiness.of(&state.engine).await {
        return Err(Problem::unavailable("not_ready", "a store of this service does not answer"));
    }
    Ok(Json(HealthView { status: "ready" }))
}

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses(
        (status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"),
        (status = 404, description = "Metrics are switched off", body = ProblemView),
    ),
)]
pub async fn metrics(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<impl IntoResponse, Problem> {
    let Some(recorder) = &state.metrics else {
        let detail = "metrics are switched off in this process";
        return Err(Problem::new(axum::http::StatusCode::NOT_FOUND, "metrics_off", detail));
    };
    let health = tokio::time::timeout(PROBE_TIMEOUT, state.engine.health()).await;
    crate::metrics::record_health(health.ok().and_then(Result::ok), state.engine.now());
    crate::metrics::record_process(&state.version);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()))
}
