//! Tasks that lost their workers again and again: one of them may be what ends the process, the others were only near
//! it.
//!
//! So a worker has one of them at a time and puts the rest off, uncounted: a file that takes its worker with it runs
//! out of attempts, and its neighbours do not.

use super::settle::release;
use crate::Engine;
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, Lease};
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
    Later,
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
        self.0.clone().try_acquire_owned().map_or(Turn::Later, Turn::Watched)
    }
}

fn is_suspect(lease: &Lease) -> bool {
    let lost = lease.task.history.iter().filter(|attempt| attempt.error.is_none()).count();
    // the claim behind the last attempt runs nothing
    let is_exhausted = lease.job.as_ref().is_some_and(|job| lease.task.attempts > job.retry.attempts);
    lost >= LOST_MIN && !is_exhausted
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
pub(super) async fn put_off(engine: &Engine, lease: Lease) {
    let share = engine.inner.ports.chance.number() as f64 / u64::MAX as f64;
    let mut task = lease.task.clone();
    task.attempts = task.attempts.saturating_sub(1);
    task.ready_at = engine.now().plus(PUT_OFF / 2 + (PUT_OFF / 2).mul_f64(share));
    let changes = ChangeSet::new().with(Change::ReturnTask(task, lease.token));
    if let Err(e) = engine.commit(changes, Durability::Lazy).await {
        tracing::debug!(task = %lease.task.id, error = %e, "a task cannot be put off");
        release(engine, &lease).await;
    }
}
