//! The live feed: what happens to files, jobs and uploads, as it happens. By server-sent events or WebSocket.
//!
//! Stored events come in order, each once, and carry a rising number; a listener that went away resumes behind the last
//! number it saw and misses nothing. Progress in between is told to whoever listens and is not stored.

mod events;
mod places;
mod socket;

pub use events::{__path_listen_by_events, listen_by_events};
pub use socket::{__path_listen_by_socket, listen_by_socket};

use super::ApiState;
use super::extract::{read_id, read_parameter};
use super::problem::Problem;
use crate::lock::Lock;
use filemill_core::access::Principal;
use filemill_core::event::{EventKind, LiveEvent};
use filemill_core::ports::StateError;
use filemill_engine::{Interest, ListenError, Listener};
use places::Place;
pub use places::Places;
use serde::Deserialize;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListenParams {
    /// Only events of this job.
    job: Option<String>,
    /// Only events of this upload.
    upload: Option<String>,
    /// Only events of these kinds, with commas between: `job.completed,job.failed`.
    kind: Option<String>,
    /// Resume behind this number. Without it the feed starts now.
    after: Option<u64>,
    /// Instead of the token: a ticket from `POST /v1/tickets`.
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

impl ListenParams {
    fn interest(&self, who: &Principal) -> Result<Interest, Problem> {
        Ok(Interest {
            job: read_parameter("job", self.job.clone(), read_id)?,
            upload: read_parameter("upload", self.upload.clone(), read_id)?,
            kinds: read_parameter("kind", self.kind.clone(), read_kinds)?.unwrap_or_default(),
            reach: who.reach.clone(),
        })
    }
}

fn read_kinds(text: &str) -> Result<Vec<EventKind>, String> {
    let known = || EventKind::ALL.map(EventKind::as_str).join(", ");
    let read =
        |name: &str| EventKind::parse(name).ok_or_else(|| format!("there is no {name:?}; known are {}", known()));
    text.split(',').map(|name| read(name.trim())).collect()
}

/// One listener with its filter and its place among [`LISTENERS_MAX`](filemill_core::limits::LISTENERS_MAX).
struct Subscription {
    listener: Listener,
    interest: Interest,
    lock: Lock,
    closing: CancellationToken,
    _place: Place,
}

/// Why a feed ends from our side. The client may resume unless it says otherwise.
enum Ending {
    Stopping,
    /// The key opens nothing any more: the client may not resume.
    Locked,
    TooSlow,
    StoreFailed,
}

impl Subscription {
    async fn open(
        state: &ApiState,
        who: &Principal,
        params: &ListenParams,
        after: Option<u64>,
    ) -> Result<Self, Problem> {
        let interest = params.interest(who)?;
        if state.closing.is_cancelled() {
            return Err(Problem::unavailable("stopping", "the service is stopping"));
        }
        let place = state.listeners.take(who)?;
        let listener = listen(state, after).await?;
        let lock = Lock::new(state.engine.clone(), who.key.clone());
        Ok(Subscription { listener, interest, lock, closing: state.closing.clone(), _place: place })
    }

    /// The number to resume behind.
    fn position(&self) -> u64 {
        self.listener.position()
    }

    /// The next event of interest. May be dropped while waiting without losing one.
    async fn next(&mut self) -> Result<Arc<LiveEvent>, Ending> {
        loop {
            let event = tokio::select! {
                biased;
                () = self.closing.cancelled() => return Err(Ending::Stopping),
                () = self.lock.closed() => return Err(Ending::Locked),
                event = self.listener.next() => event,
            };
            match event {
                Ok(Some(event)) if self.interest.takes(&event.event) => return Ok(event),
                Ok(Some(_)) => {}
                Ok(None) => return Err(Ending::Stopping),
                Err(ListenError::TooSlow(missed)) => {
                    tracing::info!(missed, "live feed ended: listener too slow");
                    return Err(Ending::TooSlow);
                }
                Err(ListenError::Store(e)) => {
                    tracing::warn!(error = %e, "live feed ended: events cannot be read");
                    return Err(Ending::StoreFailed);
                }
            }
        }
    }
}

/// A number that was never given out comes from another life of the store; waiting behind it would hear nothing, so
/// such a listener starts now.
async fn listen(state: &ApiState, after: Option<u64>) -> Result<Listener, StateError> {
    let listener = state.engine.listen(after).await?;
    if after.is_none() {
        return Ok(listener);
    }
    let newest = state.engine.listen(None).await?;
    Ok(if listener.position() > newest.position() { newest } else { listener })
}
