//! Makes good what was missed and removes what is old: a list of duties, each in a file of its own.
//!
//! Every duty is idempotent, bounded and guarded, so that several sweepers at once are harmless. One that fails holds up
//! none of the others; one that has more to do than it may do at a time goes on at once, in turn with the others, so that
//! whatever comes fast is removed as fast. Expired leases need no duty: the queue leases them again.

mod aged_records;
mod expiry;
mod leftovers;
mod multiparts;
mod retention;
mod stranded;
mod uploads;

use crate::Engine;
use crate::deliveries;
use crate::error::CommandError;
pub(crate) use expiry::Cursors as ExpiryCursors;
use filemill_core::limits;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

struct Duty {
    name: &'static str,
    /// Done in one sweep of this many.
    every: u32,
    fulfil: fn(&Engine) -> BoxFuture<'_, Result<Swept, CommandError>>,
}

/// How far a duty came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    All,
    /// It came further, and there is more than it does at a time.
    More,
}

impl Swept {
    /// A step of up to `limit` that was taken in full may have left more.
    pub(crate) fn after(taken: usize, limit: u32) -> Self {
        if taken >= limit as usize { Swept::More } else { Swept::All }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        if self == Swept::More { self } else { other }
    }
}

const DUTIES: &[Duty] = &[
    Duty { name: "uploads", every: 1, fulfil: |engine| uploads::expire_uploads(engine).boxed() },
    Duty { name: "stranded jobs", every: 1, fulfil: |engine| stranded::revive_stranded_jobs(engine).boxed() },
    Duty { name: "kept chunks", every: 1, fulfil: |engine| engine.give_up_kept_chunks().boxed() },
    Duty {
        name: "multipart uploads",
        every: 1,
        fulfil: |engine| whole(multiparts::abort_forgotten_multiparts(engine)),
    },
    Duty { name: "overdue deliveries", every: 1, fulfil: |engine| whole(deliveries::bury_overdue(engine)) },
    Duty { name: "old deliveries", every: 1, fulfil: |engine| deliveries::forget_old(engine).boxed() },
    Duty { name: "leftovers", every: 1, fulfil: |engine| leftovers::clean_state(engine).boxed() },
    Duty { name: "old messages", every: 1, fulfil: |engine| leftovers::tidy_messages(engine).boxed() },
    Duty { name: "objects", every: 1, fulfil: |engine| expiry::expire_objects(engine).boxed() },
    Duty { name: "old records", every: 1, fulfil: |engine| retention::expire_records(engine).boxed() },
    Duty {
        name: "aged records",
        every: limits::SWEEPS_PER_STORE_SWEEP,
        fulfil: |engine| aged_records::expire(engine).boxed(),
    },
    Duty { name: "old keys", every: limits::SWEEPS_PER_STORE_SWEEP, fulfil: |engine| engine.forget_old_keys().boxed() },
    // last, so that it finds what the others gave up
    Duty {
        name: "store",
        every: limits::SWEEPS_PER_STORE_SWEEP,
        fulfil: |engine| whole(leftovers::clean_store(engine)),
    },
];

/// A duty that always does all there is.
fn whole<'a>(
    duty: impl Future<Output = Result<(), CommandError>> + Send + 'a,
) -> BoxFuture<'a, Result<Swept, CommandError>> {
    duty.map(|outcome| outcome.map(|()| Swept::All)).boxed()
}

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let interval = || engine.inner.ports.clock.sleep(engine.inner.config.sweep_interval);
    let mut next_sweep = interval();
    let mut sweeps: u32 = 0;
    let mut unfinished = [false; DUTIES.len()];
    loop {
        let begins_sweep = if unfinished.contains(&true) {
            next_sweep.as_mut().now_or_never().is_some()
        } else {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = next_sweep.as_mut() => true,
            }
        };
        if begins_sweep {
            sweeps = sweeps.wrapping_add(1);
            next_sweep = interval();
        }
        for (duty, unfinished) in DUTIES.iter().zip(&mut unfinished) {
            let is_due = begins_sweep && sweeps.is_multiple_of(duty.every);
            if !(is_due || *unfinished) {
                continue;
            }
            if stop.is_cancelled() {
                return;
            }
            let outcome = (duty.fulfil)(engine).await;
            if let Err(e) = &outcome {
                tracing::warn!(duty = duty.name, error = %e, "a duty of the sweep was not fulfilled");
            }
            *unfinished = matches!(outcome, Ok(Swept::More));
        }
        // stores that answer at once would let nobody else run
        tokio::task::yield_now().await;
    }
}

impl Engine {
    /// One whole sweep, the stores' own included. Answers the first failure, after all duties had their turn.
    pub async fn sweep(&self) -> Result<(), CommandError> {
        let mut outcome = Ok(());
        for duty in DUTIES {
            let fulfilled = loop {
                match (duty.fulfil)(self).await {
                    Ok(Swept::More) => {}
                    Ok(Swept::All) => break Ok(()),
                    Err(e) => break Err(e),
                }
            };
            outcome = outcome.and(fulfilled);
        }
        outcome
    }
}
