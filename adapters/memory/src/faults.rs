//! What goes wrong and how often: a plan of probabilities and the seeded dice that decide.
//!
//! Each fault but lost announcements is one that a clause of a port allows. The same seed and the same calls meet the same faults.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// Probabilities from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultPlan {
    pub seed: u64,
    /// A call is refused as `Unavailable`, and nothing was done.
    pub unavailable: f64,
    /// A call meets the start of an outage: for up to `outage_max` every call is refused at once.
    pub outage: f64,
    pub outage_max: Duration,
    /// A call is done and then answered as `Unavailable` (S4).
    pub lost_reply: f64,
    /// A call waits up to `delay_max` before it is done, and again before its reply.
    pub delay: f64,
    pub delay_max: Duration,
    /// A commit is refused with `Conflict` although every condition holds, as DynamoDB does under contention.
    pub conflict: f64,
    /// Likewise, of commits that publish a result.
    pub publish_conflict: f64,
    /// A commit is refused because there is no room left for its rows.
    pub full: f64,
    /// An acknowledged announcement comes again.
    pub duplicate_announcement: f64,
    /// Announcements and leases come in any order.
    pub reorder: f64,
    /// An announcement is never handed out: against B8, but what a bucket's configuration, an operator or a bug may do.
    pub lost_announcement: f64,
    /// An announcement stays unseen for `late_min` to `late_max`.
    pub late_announcement: f64,
    pub late_min: Duration,
    pub late_max: Duration,
    /// Each change is announced once and up to this many times more, at once: each time to be acknowledged by itself.
    pub copies_max: u32,
    /// A lease ends before the end that it was given with.
    pub lease_loss: f64,
    /// A ring of the queue's bell is not heard.
    pub lost_ring: f64,
    /// A reader ends in an error somewhere before its end.
    pub broken_read: f64,
    /// A stage writer ends in an error somewhere.
    pub broken_write: f64,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        FaultPlan {
            seed: 0,
            unavailable: 0.0,
            outage: 0.0,
            outage_max: Duration::ZERO,
            lost_reply: 0.0,
            delay: 0.0,
            delay_max: Duration::ZERO,
            conflict: 0.0,
            publish_conflict: 0.0,
            full: 0.0,
            duplicate_announcement: 0.0,
            lost_announcement: 0.0,
            reorder: 0.0,
            late_announcement: 0.0,
            late_min: Duration::ZERO,
            late_max: Duration::ZERO,
            copies_max: 0,
            lease_loss: 0.0,
            lost_ring: 0.0,
            broken_read: 0.0,
            broken_write: 0.0,
        }
    }

    /// A mixture that differs from seed to seed: each fault is left out, rare or frequent. A run in which everything
    /// fails a little would never see what one frequent fault alone brings to light.
    pub fn mixed(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x6d69_7865_6400_0000);
        let mut level = |frequent: f64| match rng.random_range(0..3) {
            0 => 0.0,
            1 => frequent / 10.0,
            _ => frequent,
        };
        FaultPlan {
            seed,
            unavailable: level(0.1),
            outage: level(0.01),
            outage_max: Duration::from_secs(20),
            lost_reply: level(0.1),
            delay: level(0.5),
            delay_max: Duration::from_millis(3_000),
            conflict: level(0.2),
            publish_conflict: 0.0,
            full: 0.0,
            duplicate_announcement: level(0.5),
            reorder: level(1.0),
            late_announcement: level(0.5),
            late_min: Duration::ZERO,
            late_max: Duration::from_secs(60),
            copies_max: 0,
            lease_loss: level(0.2),
            lost_ring: level(1.0),
            broken_read: level(0.2),
            broken_write: level(0.1),
            // drawn last, so that it changes nothing of what a seed meant before
            lost_announcement: level(0.3),
        }
    }
}

/// Chance from a seed.
pub(crate) struct Dice(SmallRng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(SmallRng::seed_from_u64(seed))
    }

    /// A probability of 0 rolls nothing, so a plan without a fault is not disturbed by it.
    pub fn roll(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.random_bool(probability.min(1.0))
    }

    /// Below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// 0 rolls nothing, as above.
    pub fn up_to(&mut self, most: u32) -> u32 {
        if most == 0 { 0 } else { self.0.random_range(0..=most) }
    }

    pub fn wait(&mut self, probability: f64, max: Duration) -> Option<Duration> {
        let max = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        self.roll(probability).then(|| Duration::from_millis(self.below(max.saturating_add(1))))
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }
}
