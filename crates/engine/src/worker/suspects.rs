//! Tasks that lost their workers again and again: one of them may be what ends the process, the others were only near
//! it.
//!
//! So a worker has one of them at a time and puts the rest off, uncounted: a file that takes its worker with it runs
//! out of attempts, and its neighbours do not. And none runs again at once: a service that something else ends each time
//! that it starts would use up their attempts in a moment.

use super::settle::release;
use crate::Engine;
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, Lease};
use filemill_core::retry::RetryPolicy;
use filemill_core::task::{Attempt, Task};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One lost worker is an accident, and after it all goes on at full speed.
const LOST_MIN: usize = 2;
/// So long others wait for one that runs: what ends its worker does it sooner, most times, and a chunk may take hours.
const WATCHED_FOR: Duration = limits::LEASE;
/// Half of it is fixed and half is chance, so that another is first each time.
const PUT_OFF: Duration = Duration::from_secs(2);

pub(super) struct Suspects(Arc<Semaphore>);

/// When a task that was leased may run.
pub(super) enum Turn {
    Now,
    /// Until it ends or was watched long enough, no other suspect runs here.
    Watched(OwnedSemaphorePermit),
    /// At least so much later.
    Later(Duration),
}

impl Default for Suspects {
    fn default() -> Self {
        Suspects(Arc::new(Semaphore::new(1)))
    }
}

impl Suspects {
    pub fn turn(&self, lease: &Lease) -> Turn {
        if !is_suspect(lease) {
            return Turn::Now;
        }
        let retry = lease.job.as_ref().map(|job| job.retry.clone()).unwrap_or_default();
        match rest(&lease.task, &retry) {
            Duration::ZERO => self.0.clone().try_acquire_owned().map_or(Turn::Later(PUT_OFF / 2), Turn::Watched),
            rest => Turn::Later(rest),
        }
    }
}

/// What is left of it: from the beginning of the last attempt, as long as after so many failures, but no longer than others wait
/// for one that runs. Nothing where the clock was set back since: nobody knows how long it has rested.
fn rest(task: &Task, retry: &RetryPolicy) -> Duration {
    let begun = lost(task).last().map(|attempt| attempt.claim.at);
    let Some((begun, present)) = begun.zip(task.claim.as_ref()).filter(|(begun, present)| *begun <= present.at) else {
        return Duration::ZERO;
    };
    let wait = retry.wait_after(u32::try_from(lost(task).count()).unwrap_or(u32::MAX), 0);
    wait.clamp(PUT_OFF / 2, WATCHED_FOR).saturating_sub(present.at.since(begun))
}

fn lost(task: &Task) -> impl Iterator<Item = &Attempt> {
    task.history.iter().filter(|attempt| attempt.error.is_none())
}

fn is_suspect(lease: &Lease) -> bool {
    // the claim behind the last attempt runs nothing
    let is_exhausted = lease.job.as_ref().is_some_and(|job| lease.task.attempts > job.retry.attempts);
    lost(&lease.task).count() >= LOST_MIN && !is_exhausted
}

/// Runs `work`, and lets the next suspect in when that ends or was watched long enough.
pub(super) async fn watched(engine: &Engine, permit: OwnedSemaphorePermit, work: impl Future<Output = ()>) {
    tokio::pin!(work);
    tokio::select! {
        biased;
        () = &mut work => return,
        () = engine.inner.ports.clock.sleep(WATCHED_FOR) => drop(permit),
    }
    work.await;
}

/// Gives it back, as if it had not been claimed.
pub(super) async fn put_off(engine: &Engine, lease: Lease, rest: Duration) {
    let share = engine.inner.ports.chance.number() as f64 / u64::MAX as f64;
    let mut task = lease.task.clone();
    task.attempts = task.attempts.saturating_sub(1);
    task.ready_at = engine.now().plus(rest + (PUT_OFF / 2).mul_f64(share));
    let changes = ChangeSet::new().with(Change::ReturnTask(task, lease.token));
    if let Err(e) = engine.commit(changes, Durability::Lazy).await {
        tracing::debug!(task = %lease.task.id, error = %e, "a task cannot be put off");
        release(engine, &lease).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::ids::JobId;
    use filemill_core::retry::Backoff;
    use filemill_core::rule::QueueName;
    use filemill_core::task::{Claim, FencingToken, TaskId, TaskKind};
    use filemill_core::time::Timestamp;

    /// A task that was claimed at these times, and lost but for the last.
    fn claimed_at(millis: &[i64]) -> Lease {
        let job = JobId::of("uploads", "a", "1", "rule", Timestamp::from_millis(0));
        let id = TaskId { job, run: 1, kind: TaskKind::Plan, index: 0 };
        let mut task = Task::new(id, QueueName::parse("default").expect("a name"), Timestamp::from_millis(0));
        for at in millis {
            task.claimed(Claim { worker: "worker".into(), at: Timestamp::from_millis(*at) });
        }
        Lease { task, token: FencingToken(1), until: Timestamp::from_millis(i64::MAX), job: None }
    }

    #[test]
    fn a_service_that_ends_at_each_start_uses_up_no_attempts_in_a_moment() {
        let suspects = Suspects::default();
        let later = |lease: &Lease| match suspects.turn(lease) {
            Turn::Now | Turn::Watched(_) => None,
            Turn::Later(rest) => Some(rest.as_millis()),
        };
        assert_eq!(later(&claimed_at(&[0, 40])), None, "once lost is an accident");
        assert_eq!(later(&claimed_at(&[0, 40, 80])), Some(960));
        assert_eq!(later(&claimed_at(&[0, 40, 1040])), None);
        assert_eq!(later(&claimed_at(&[0, 40, 1040, 1080])), Some(1960), "twice as long");
        assert_eq!(later(&claimed_at(&[0, 40, 1040, 3040])), None);
        assert_eq!(later(&claimed_at(&[0, 3_600_000, 50])), None, "the clock was set back");
    }

    #[test]
    fn however_long_the_waits_of_its_rule_it_rests_no_longer_than_a_lease() {
        let task = claimed_at(&[0, 40, 80]).task;
        for (backoff, left) in [(Duration::ZERO, 960), (Duration::from_secs(24 * 3600), 29_960)] {
            let backoff = Backoff { first: backoff, largest: backoff };
            let retry = RetryPolicy { backoff, ..RetryPolicy::default() };
            assert_eq!(rest(&task, &retry).as_millis(), left, "{backoff:?}");
        }
    }

    #[test]
    fn one_at_a_time_is_watched() {
        let suspects = Suspects::default();
        let lease = claimed_at(&[0, 40, 60_000]);
        let watched = suspects.turn(&lease);
        assert!(matches!(watched, Turn::Watched(_)));
        assert!(matches!(suspects.turn(&lease), Turn::Later(_)));
        drop(watched);
        assert!(matches!(suspects.turn(&lease), Turn::Watched(_)));
    }
}
