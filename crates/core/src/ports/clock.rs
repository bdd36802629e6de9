//! Time and waiting.

use crate::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

/// The real one is the system's; simulations bring their own.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Wall-clock time. Leases never compare it across machines: they use the store's clock.
    fn now(&self) -> Timestamp;
    /// Since a moment that never changes. Monotonic: not moved when somebody sets the wall clock.
    fn elapsed(&self) -> Duration;
    /// Monotonic too.
    async fn sleep(&self, duration: Duration);
}

/// Notices that the wall clock was set: by an operator, by NTP, or while the machine slept. A store moves with it what
/// it waits for (Q10, M15): a lease has as much of its time left as before.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// Milliseconds that `now` was ahead of `elapsed` when it was last set.
    ahead: i64,
}

impl WallClock {
    /// The two times are not read in the same moment, and a process may be held up in between.
    const UNCERTAIN_MILLIS: i64 = 1000;

    pub fn new(clock: &dyn Clock) -> Self {
        WallClock { ahead: ahead(clock, clock.now()) }
    }

    /// What is to be known from now on, and by how many milliseconds the clock was set meanwhile. Small steps count
    /// once they have become a large one.
    pub fn look(self, clock: &dyn Clock, now: Timestamp) -> Option<(WallClock, i64)> {
        let ahead = ahead(clock, now);
        let step = ahead - self.ahead;
        (step.abs() > Self::UNCERTAIN_MILLIS).then_some((WallClock { ahead }, step))
    }
}

fn ahead(clock: &dyn Clock, now: Timestamp) -> i64 {
    now.as_millis() - i64::try_from(clock.elapsed().as_millis()).unwrap_or(i64::MAX)
}
