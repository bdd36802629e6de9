//! Simulated time: the runtime's own, which a test can pause.
//!
//! Under `start_paused` the runtime jumps to the next timer when nothing else can run, so hours cost nothing and every
//! run of a seed sees the same times. Does not read the wall clock; a test may set it.

use async_trait::async_trait;
use filemill_core::ports::Clock;
use filemill_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// `start` plus what the tokio clock has moved since. Make it inside of the runtime that it belongs to.
#[derive(Clone, Debug)]
pub struct SimClock {
    start: Timestamp,
    origin: Instant,
    /// Milliseconds that somebody set it by.
    set_by: Arc<AtomicI64>,
}

impl SimClock {
    pub fn starting_at(start: Timestamp) -> Self {
        SimClock { start, origin: Instant::now(), set_by: Arc::default() }
    }

    /// Starts on 2023-11-14, a day like any other.
    pub fn new() -> Self {
        Self::starting_at(Timestamp::from_millis(1_700_000_000_000))
    }

    /// Somebody sets the wall clock of all that share it: no time passes.
    pub fn set(&self, by_millis: i64) {
        self.set_by.fetch_add(by_millis, Ordering::Relaxed);
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let now = self.start.plus(self.origin.elapsed()).as_millis();
        Timestamp::from_millis(now + self.set_by.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
