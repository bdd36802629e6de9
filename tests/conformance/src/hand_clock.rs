//! A clock that a test moves by hand, so that a lease ends when the case says so and no test waits.

use async_trait::async_trait;
use filemill_core::ports::Clock;
use filemill_core::time::Timestamp;
use std::time::Duration;
use tokio::sync::watch;

pub struct HandClock(watch::Sender<Hands>);

#[derive(Clone, Copy)]
struct Hands {
    now: Timestamp,
    elapsed: Duration,
}

impl HandClock {
    /// Stands at 2023-11-14, a day like any other.
    pub fn new() -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        HandClock(watch::Sender::new(Hands { now, elapsed: Duration::ZERO }))
    }

    pub fn advance(&self, duration: Duration) {
        self.0.send_modify(|hands| {
            *hands = Hands { now: hands.now.plus(duration), elapsed: hands.elapsed + duration };
        });
    }

    /// Somebody sets the wall clock: no time passes.
    pub fn set(&self, by_millis: i64) {
        self.0.send_modify(|hands| hands.now = Timestamp::from_millis(hands.now.as_millis() + by_millis));
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
        self.0.borrow().now
    }

    fn elapsed(&self) -> Duration {
        self.0.borrow().elapsed
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.elapsed() + duration;
        // fails only if the sender is gone, and `self` is the sender
        let _ = self.0.subscribe().wait_for(|hands| hands.elapsed >= end).await;
    }
}
