//! Renews a lease while its step moves, and says when the step must end.

use crate::Engine;
use crate::steps::Watch;
use filemill_core::duration::format_duration;
use filemill_core::job::Job;
use filemill_core::limits;
use filemill_core::ports::{Lease, LeaseError};
use filemill_core::task::TaskError;
use std::time::Duration;

/// Why a running step is given up.
pub(super) enum Ended {
    /// Another worker has the task, or will have.
    LeaseLost,
    /// The job was cancelled, superseded or retried.
    Unwanted,
    Stuck(TaskError),
}

/// Renews the lease while the step moves and the job is wanted; returns when one of these ends.
pub(super) async fn keep_alive(engine: &Engine, job: &Job, lease: &Lease, watch: &Watch) -> Ended {
    let config = &engine.inner.config;
    let clock = &engine.inner.ports.clock;
    let duration = config.lease_of(&job.queue);
    let renew_every = duration.min(config.lease) / limits::LEASE_RENEWALS;
    let tick = renew_every.min(limits::PROGRESS_INTERVAL);
    let (mut since_renewal, mut still, mut total) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut seen = 0;
    loop {
        clock.sleep(tick).await;
        total += tick;
        since_renewal += tick;
        still += tick;
        let signs = watch.signs();
        if signs != seen {
            seen = signs;
            still = Duration::ZERO;
            let read = watch.bytes_read();
            engine.inner.progress.moved(&engine.inner.feed, job, lease.task.id.index, read, engine.now());
        }
        if still >= config.no_progress_timeout {
            let message = format!("no byte moved for {}", format_duration(config.no_progress_timeout));
            return Ended::Stuck(TaskError::transient("no_progress", message));
        }
        if total >= config.task_timeout {
            let message = format!("not done after {}", format_duration(config.task_timeout));
            return Ended::Stuck(TaskError::transient("timeout", message));
        }
        if since_renewal < renew_every {
            continue;
        }
        since_renewal = Duration::ZERO;
        match engine.inner.ports.queue.extend(lease, duration).await {
            Ok(_) => {}
            Err(LeaseError::LeaseLost) => return Ended::LeaseLost,
            // the lease may still hold; the fence decides at the commit
            Err(e) => tracing::warn!(task = %lease.task.id, error = %e, "lease was not renewed"),
        }
        if is_unwanted_now(engine, job).await {
            return Ended::Unwanted;
        }
    }
}

/// Was the job cancelled, superseded or retried meanwhile?
async fn is_unwanted_now(engine: &Engine, job: &Job) -> bool {
    match engine.inner.ports.state.job(&job.id).await {
        Ok(Some(now)) => now.status.is_terminal() || now.run != job.run,
        Ok(None) => true,
        Err(_) => false,
    }
}
