//! Has stored bytes read again, slowly and without end, so that damage is known before somebody needs them.
//!
//! The store remembers where a round is; here is only the pace.

use crate::Engine;
use filemill_core::limits;
use filemill_core::ports::{BlobError, ScrubRound};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two readings.
const BEAT: Duration = Duration::from_secs(1);
/// The clock may jump, and a config may change: a long wait is cut into these.
const WAIT_MAX: Duration = Duration::from_secs(3600);

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let config = &engine.inner.config;
    if config.scrub_bytes_per_sec == 0 {
        return;
    }
    while !stop.is_cancelled() {
        let wait = match beat(engine).await {
            Ok(wait) => wait,
            Err(e) => {
                tracing::warn!(error = %e, "stored bytes could not be read again");
                limits::OUTAGE_PAUSE
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = engine.inner.ports.clock.sleep(wait) => {}
        }
    }
}

/// Answers how long to wait.
async fn beat(engine: &Engine) -> Result<Duration, BlobError> {
    let (blobs, config) = (&engine.inner.ports.blobs, &engine.inner.config);
    if let Some(ScrubRound { began_at, ended_at: Some(_) }) = blobs.scrub_round().await? {
        let due_in = began_at.plus(config.scrub_every).since(engine.now());
        if !due_in.is_zero() {
            return Ok(due_in.min(WAIT_MAX));
        }
    }
    let scrubbed = blobs.scrub(config.scrub_bytes_per_sec).await?;
    metrics::counter!("filemill_scrub_bytes_total").increment(scrubbed.bytes);
    metrics::counter!("filemill_scrub_damage_total").increment(scrubbed.damaged);
    if scrubbed.damaged > 0 {
        tracing::error!(
            blobs = scrubbed.damaged,
            "stored bytes are damaged; filemill doctor and GET /v1/damage name them"
        );
    }
    if scrubbed.round.ended_at.is_some() {
        metrics::counter!("filemill_scrub_rounds_total").increment(1);
        tracing::info!(began_at = %scrubbed.round.began_at, "all stored bytes were read again");
    }
    Ok(BEAT)
}
