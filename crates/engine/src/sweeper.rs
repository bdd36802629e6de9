//! Makes good what was missed and removes what is old: a list of duties, each in a file of its own.
//!
//! Every duty is idempotent, bounded and guarded, so that several sweepers at once are harmless. One that fails holds up
//! none of the others. Expired leases need no duty: the queue leases them again.

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
    fulfil: fn(&Engine) -> BoxFuture<'_, Result<(), CommandError>>,
}

const DUTIES: &[Duty] = &[
    Duty { name: "uploads", every: 1, fulfil: |engine| uploads::expire_uploads(engine).boxed() },
    Duty { name: "stranded jobs", every: 1, fulfil: |engine| stranded::revive_stranded_jobs(engine).boxed() },
    Duty { name: "kept chunks", every: 1, fulfil: |engine| engine.give_up_kept_chunks().boxed() },
    Duty {
        name: "multipart uploads",
        every: 1,
        fulfil: |engine| multiparts::abort_forgotten_multiparts(engine).boxed(),
    },
    Duty { name: "deliveries", every: 1, fulfil: |engine| deliveries::forget_old(engine).boxed() },
    Duty { name: "leftovers", every: 1, fulfil: |engine| leftovers::clean_state(engine).boxed() },
    Duty { name: "old messages", every: 1, fulfil: |engine| leftovers::tidy_messages(engine).boxed() },
    Duty { name: "objects", every: 1, fulfil: |engine| expiry::expire_objects(engine).boxed() },
    Duty {
        name: "old records",
        every: limits::SWEEPS_PER_STORE_SWEEP,
        fulfil: |engine| retention::expire_records(engine).boxed(),
    },
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
        fulfil: |engine| leftovers::clean_store(engine).boxed(),
    },
];

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let mut sweeps: u32 = 0;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = engine.inner.ports.clock.sleep(engine.inner.config.sweep_interval) => {}
        }
        sweeps = sweeps.wrapping_add(1);
        for duty in DUTIES.iter().filter(|duty| sweeps.is_multiple_of(duty.every)) {
            if stop.is_cancelled() {
                return;
            }
            if let Err(e) = (duty.fulfil)(engine).await {
                tracing::warn!(duty = duty.name, error = %e, "a duty of the sweep was not fulfilled");
            }
        }
    }
}

impl Engine {
    /// One whole sweep, the stores' own included. Answers the first failure, after all duties had their turn.
    pub async fn sweep(&self) -> Result<(), CommandError> {
        let mut outcome = Ok(());
        for duty in DUTIES {
            outcome = outcome.and((duty.fulfil)(self).await);
        }
        outcome
    }
}
