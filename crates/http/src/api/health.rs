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
use filemill_core::ports::Room;
use filemill_engine::CommandError;
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
pub struct Readiness(tokio::sync::Mutex<Option<(Instant, Option<Room>)>>);

impl Readiness {
    /// The store's room, if the stores answer.
    pub async fn of(&self, engine: &filemill_engine::Engine) -> Option<Room> {
        let mut seen = self.0.lock().await;
        if let Some((_, ready)) = seen.filter(|(at, _)| at.elapsed() < PROBE_KEPT) {
            return ready;
        }
        let ready = match tokio::time::timeout(PROBE_TIMEOUT, engine.health()).await {
            Ok(Ok(health)) => Some(health.store.room),
            Ok(Err(e)) => {
                tracing::warn!(error = %e, "not ready");
                None
            }
            Err(_) => {
                tracing::warn!("not ready: the stores do not answer in time");
                None
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

#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
pub struct ReadinessView {
    #[schema(example = "ready")]
    status: &'static str,
    storage: StorageView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StorageState)]
#[serde(rename_all = "snake_case")]
pub enum StorageView {
    /// Takes new content.
    Ok,
    /// Nearly full: uploads are refused and work waits; reading and deleting work.
    Full,
}

/// What whoever runs the service asks, however much others ask.
pub const PROBES: [&str; 2] = ["/healthz", "/readyz"];

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
        (status = 200, description = "They do; `storage` says whether there is room for uploads", body = ReadinessView),
        (status = 503, description = "They do not, or the service is stopping", body = ProblemView),
    ),
)]
pub async fn readyz(State(state): State<ApiState>) -> Result<Json<ReadinessView>, Problem> {
    if state.closing.is_cancelled() {
        return Err(Problem::unavailable("stopping", "the service is stopping"));
    }
    let not_ready = || Problem::unavailable("not_ready", "a store of this service does not answer");
    let room = state.readiness.of(&state.engine).await.ok_or_else(not_ready)?;
    let storage = if room.is_low() { StorageView::Full } else { StorageView::Ok };
    Ok(Json(ReadinessView { status: "ready", storage }))
}

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "operation", security(("token" = ["monitor"])),
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
    let more = tokio::time::timeout(PROBE_TIMEOUT, record_more(&state.engine)).await;
    if let Ok(Err(e)) = &more {
        tracing::warn!(error = %e, "some metrics cannot be read");
    }
    crate::metrics::record_process(&state.version);
    let text = recorder.render() + &message_queues(&state.engine).await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// Nothing, where they cannot be counted now.
async fn message_queues(engine: &filemill_engine::Engine) -> String {
    match tokio::time::timeout(PROBE_TIMEOUT, engine.message_queues()).await {
        Ok(Ok(held)) => crate::message_metrics::text(&held, engine.now()),
        Ok(Err(e)) => {
            tracing::warn!(error = %e, "message queues cannot be counted");
            String::new()
        }
        Err(_) => String::new(),
    }
}

/// What is told by queue, delivery and alarm.
async fn record_more(engine: &filemill_engine::Engine) -> Result<(), CommandError> {
    crate::metrics::record_queues(&engine.queues().await?, engine.now());
    let (pending, dead) = engine.delivery_counts().await?;
    crate::metrics::record_deliveries(pending, dead);
    crate::metrics::record_alarms(&engine.alarms().await?);
    Ok(())
}
