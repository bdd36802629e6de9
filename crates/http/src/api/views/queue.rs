//! A queue as clients see it.

use filemill_core::rule::QueueName;
use filemill_core::time::Timestamp;
use filemill_engine::QueueState;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A named lane of tasks.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue, example = json!({
    "name": "default", "ready": 3, "waiting": 1, "running": 2, "dead": 0, "oldest_ready_at": "2026-11-20T12:00:00.012Z",
    "oldest_age_secs": 1.5, "max_running": null, "retry": {"attempts": 5, "backoff": "1s..1m"},
}))]
pub struct QueueView {
    #[schema(value_type = String)]
    pub name: QueueName,
    /// Tasks that could run now.
    pub ready: u64,
    /// Tasks that wait to be tried again.
    pub waiting: u64,
    pub running: u64,
    /// Letters that wait for a person.
    pub dead: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_ready_at: Option<Timestamp>,
    /// How long the oldest ready task has been ready; 0 if none is.
    pub oldest_age_secs: f64,
    /// Tasks that may run at a time.
    pub max_running: Option<u32>,
    /// For rules that have none of their own.
    #[schema(value_type = Object)]
    pub retry: Value,
}

impl QueueView {
    pub fn of(queue: QueueState, now: Timestamp) -> Self {
        let oldest = queue.depth.oldest_ready_at;
        QueueView {
            name: queue.name,
            ready: queue.depth.ready,
            waiting: queue.depth.waiting,
            running: queue.depth.leased,
            dead: queue.dead,
            oldest_ready_at: oldest,
            oldest_age_secs: oldest.map_or(0.0, |at| now.since(at).as_secs_f64()),
            max_running: queue.settings.max_running,
            retry: json!(queue.settings.retry.unwrap_or_default()),
        }
    }
}
