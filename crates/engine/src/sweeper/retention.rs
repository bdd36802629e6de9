//! Records that are kept for a time and are older: ended jobs, events, uploads, and what is known of files that are gone.

use super::Swept;
use crate::Engine;
use crate::config::Retention;
use crate::error::CommandError;
use filemill_core::limits;
use filemill_core::ports::{Expired, Expiry};
use filemill_core::time::Timestamp;

/// In steps, so that no other duty waits for long.
const STEPS_MAX: u32 = 100;

pub(super) async fn expire_records(engine: &Engine) -> Result<Swept, CommandError> {
    let expiry = expiry_at(engine.now(), &engine.inner.config.retention);
    let mut all = Expired::default();
    let mut swept = Swept::More;
    for _ in 0..STEPS_MAX {
        let expired = engine.inner.ports.state.expire(&expiry, limits::SWEEP_BATCH).await?;
        all += expired;
        if expired.total() < u64::from(limits::SWEEP_BATCH) {
            swept = Swept::All;
            break;
        }
    }
    tell(all);
    Ok(swept)
}

fn expiry_at(now: Timestamp, retention: &Retention) -> Expiry {
    Expiry {
        jobs: retention.jobs.map(|kept| now.minus(kept)),
        // a dead letter is of no use without its job
        jobs_with_letter: retention
            .jobs
            .zip(retention.dead_letters)
            .map(|(jobs, letters)| now.minus(jobs.max(letters))),
        events: retention.events.map(|kept| now.minus(kept)),
        uploads: retention.uploads.map(|kept| now.minus(kept)),
        removed_files: retention.removed_files.map(|kept| now.minus(kept)),
    }
}

fn tell(expired: Expired) {
    let Expired { jobs, events, uploads, removed_files } = expired;
    let counts = [("job", jobs), ("event", events), ("upload", uploads), ("removed_file", removed_files)];
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        metrics::counter!("filemill_expired_total", "what" => what).increment(count);
    }
    if expired.total() > 0 {
        tracing::info!(jobs, events, uploads, removed_files, "old records removed");
    }
}
