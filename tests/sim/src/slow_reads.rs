//! A line on which opening an object takes as long as the work on it: processors run at once in simulated time, and
//! from where the engine stands it is the same which of the two it waits for.

use async_trait::async_trait;
use filemill_core::object::ObjectKey;
use filemill_memory::{About, Call, Line};
use std::time::Duration;

/// How long it takes; `None`: for ever.
pub struct SlowReads<F: Fn(&ObjectKey) -> Option<Duration> + Send + Sync>(pub F);

#[async_trait]
impl<F: Fn(&ObjectKey) -> Option<Duration> + Send + Sync> Line for SlowReads<F> {
    async fn there(&self, call: &Call) {
        let About::Object { key, .. } = &call.about else { return };
        match (self.0)(key) {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    }
}
