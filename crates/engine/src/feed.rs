//! The live feed: stored events in order, resumable by number, and progress in between that is not stored.
//!
//! One task reads new events from the store and hands them to all listeners. A listener that falls too far behind is
//! ended; it resumes with the last number it saw.

use crate::Engine;
use filemill_core::access::Reach;
use filemill_core::event::{EventKind, LiveEvent, NewEvent};
use filemill_core::limits;
use filemill_core::ports::StateError;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

pub(crate) struct Feed {
    sender: broadcast::Sender<Arc<LiveEvent>>,
    /// Rings when a commit made events.
    committed: Notify,
}

impl Default for Feed {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(limits::LISTENER_BACKLOG);
        Feed { sender, committed: Notify::new() }
    }
}

impl Feed {
    pub fn ring(&self) {
        self.committed.notify_one();
    }

    /// Progress: told to whoever listens now, never stored.
    pub fn tell(&self, event: NewEvent) {
        let _nobody_listens = self.sender.send(Arc::new(LiveEvent { seq: None, event }));
    }

    pub fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
    }
}

/// Carries stored events behind `told` to the listeners until `stop`. `told` was read before any work began: whatever
/// is older, listeners find in the store.
pub(crate) async fn run(engine: &Engine, mut told: u64, stop: CancellationToken) {
    let inner = &engine.inner;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = inner.feed.committed.notified() => {}
            () = inner.ports.clock.sleep(inner.config.sweep_interval) => {}
        }
        // read first, then look for listeners: whoever listens before an event hears it
        let last = inner.ports.state.last_event().await.unwrap_or(told);
        if !inner.feed.has_listeners() {
            told = last;
            continue;
        }
        match carry(engine, told).await {
            Ok(last) => told = last,
            Err(e) => tracing::warn!(error = %e, "live feed cannot read events"),
        }
    }
}

async fn carry(engine: &Engine, mut told: u64) -> Result<u64, StateError> {
    loop {
        let events = engine.inner.ports.state.events_after(told, limits::PAGE_MAX).await?;
        if events.is_empty() {
            return Ok(told);
        }
        for event in events {
            told = event.seq.unwrap_or(told);
            let _nobody_listens = engine.inner.feed.sender.send(Arc::new(event));
        }
    }
}

/// What a listener wants to hear.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    pub job: Option<filemill_core::ids::JobId>,
    pub upload: Option<filemill_core::ids::UploadId>,
    /// Empty: all kinds.
    pub kinds: Vec<EventKind>,
    /// Of who listens.
    pub reach: Reach,
}

impl Interest {
    pub fn takes(&self, event: &NewEvent) -> bool {
        self.job.as_ref().is_none_or(|j| event.job.as_ref() == Some(j))
            && self.upload.as_ref().is_none_or(|u| event.upload.as_ref() == Some(u))
            && event.is_within(&self.reach)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }
}

/// One listener. Events come in order, each stored one once.
pub struct Listener {
    engine: Engine,
    receiver: broadcast::Receiver<Arc<LiveEvent>>,
    replay: VecDeque<Arc<LiveEvent>>,
    /// The highest number given out.
    given: u64,
    caught_up: bool,
}

/// Why a listener ended.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("too slow: {0} events behind; resume with the last event's id")]
    TooSlow(u64),
    #[error(transparent)]
    Store(#[from] StateError),
}

impl Engine {
    /// Listens from behind event `after`, or from now on.
    pub async fn listen(&self, after: Option<u64>) -> Result<Listener, StateError> {
        let receiver = self.inner.feed.sender.subscribe();
        let given = match after {
            Some(seq) => seq,
            None => self.inner.ports.state.last_event().await?,
        };
        Ok(Listener { engine: self.clone(), receiver, replay: VecDeque::new(), given, caught_up: false })
    }
}

impl Listener {
    /// The number to resume behind.
    pub fn position(&self) -> u64 {
        self.given
    }

    /// The next event; `None` when the service stops.
    pub async fn next(&mut self) -> Result<Option<Arc<LiveEvent>>, ListenError> {
        loop {
            if let Some(event) = self.replay.pop_front() {
                self.given = event.seq.unwrap_or(self.given);
                return Ok(Some(event));
            }
            if !self.caught_up {
                let stored = self.engine.inner.ports.state.events_after(self.given, limits::PAGE_MAX).await?;
                self.caught_up = stored.is_empty();
                self.replay.extend(stored.into_iter().map(Arc::new));
                continue;
            }
            match self.receiver.recv().await {
                Ok(event) if event.seq.is_some_and(|s| s <= self.given) => continue,
                Ok(event) => {
                    self.given = event.seq.unwrap_or(self.given);
                    return Ok(Some(event));
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => return Err(ListenError::TooSlow(missed)),
                Err(broadcast::error::RecvError::Closed) => return Ok(None),
            }
        }
    }
}
