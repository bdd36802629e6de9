//! A clock that a test moves by hand, so that a lease ends when the case says so and no test waits.

use async_trait::async_trait;
use filemill_core::ports::Clock;
use filemill_core::time::Timestamp;
use std::time::Duration;
use tokio::sync::watch;

pub struct HandClock(watch::Sender<Timestamp>);

impl HandClock {
    /// Stands at 2023-11-14, a day like any other.
    pub fn new() -> Self {
        HandClock(watch::Sender::new(Timestamp::from_millis(1_700_000_000_000)))
    }

    pub fn advance(&self, duration: Duration) {
        self.0.send_modify(|now| *now = now.plus(duration));
    }
}

impl Default for HandClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.now().plus(duration);
        // fails only if the sender is gone, and `self` is the sender
        let _ = self.0.subscribe().wait_for(|now| *now >= end).await;
    }
}
