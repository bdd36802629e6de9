//! Whether the key that opened something that lasts, such as a feed, still opens anything: asked when a key changes in this
//! process, when it runs out, and each minute besides, because another process may have revoked it.

use filemill_core::ids::KeyId;
use filemill_core::limits;
use filemill_engine::Engine;
use std::future::pending;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub struct Lock {
    engine: Engine,
    /// None: the service's own credentials, which end with the process.
    key: Option<KeyId>,
    /// As the first look found it: a key that was exchanged is another one.
    token: Option<String>,
    changes: watch::Receiver<u64>,
    next_look: Instant,
    /// Something may have changed since the last look; also before the first.
    is_due: bool,
}

impl Lock {
    pub fn new(engine: Engine, key: Option<KeyId>) -> Self {
        let changes = engine.key_changes();
        Lock { engine, key, token: None, changes, next_look: Instant::now(), is_due: true }
    }

    /// Returns when the key opens nothing any more. May be dropped while waiting without missing it.
    pub async fn closed(&mut self) {
        let Some(key) = self.key.clone() else { return pending().await };
        loop {
            if !self.is_due {
                tokio::select! {
                    Ok(()) = self.changes.changed() => {}
                    () = sleep_until(self.next_look) => {}
                }
                self.is_due = true;
            }
            let mut pause = limits::FEED_KEY_CHECK;
            match self.engine.open_key(&key).await {
                Ok(None) => return,
                Ok(Some(open)) => {
                    if *self.token.get_or_insert_with(|| open.token_sha256.clone()) != open.token_sha256 {
                        return;
                    }
                    let left = open.expires_at.map(|end| end.since(self.engine.now()));
                    pause = pause.min(left.unwrap_or(pause));
                }
                Err(e) => tracing::warn!(%key, error = %e, "an open key cannot be looked up; it is asked again"),
            }
            self.is_due = false;
            self.next_look = Instant::now() + pause;
        }
    }
}
