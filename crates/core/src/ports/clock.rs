//! Time and waiting.

use crate::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

/// The real one is the system's; simulations bring their own.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Wall-clock time. Leases never compare it across machines: they use the store's clock.
    fn now(&self) -> Timestamp;
    /// Monotonic: not moved by changes of the wall clock.
    async fn sleep(&self, duration: Duration);
}
