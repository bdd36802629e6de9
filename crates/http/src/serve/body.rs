//! A request body that does not wait for ever: each piece must come within the idle timeout, and after that grace the
//! body must have averaged the minimum rate.
//!
//! Only time spent waiting for the client counts; a server that is slow to read is not the client's fault.

use super::Patience;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the request body came too slowly")]
    TooSlow,
    #[error("the request body ended early")]
    Broken(#[source] hyper::Error),
}

/// A body under guard.
pub struct GuardedBody {
    inner: Incoming,
    idle_timeout: Duration,
    rate_min: u64,
    received: u64,
    /// Time spent waiting for the client, in waits that are over.
    waited: Duration,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl GuardedBody {
    pub(super) fn new(inner: Incoming, patience: &Patience) -> Self {
        GuardedBody {
            inner,
            idle_timeout: patience.body_idle_timeout,
            rate_min: patience.body_rate_min,
            received: 0,
            waited: Duration::ZERO,
            waiting_since: None,
            alarm: None,
        }
    }

    /// Starts or continues a wait. Ready when the client has used up its time.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            let deadline = now + self.idle_timeout;
            match &mut self.alarm {
                Some(alarm) => alarm.as_mut().reset(deadline),
                None => self.alarm = Some(Box::pin(tokio::time::sleep_until(deadline))),
            }
        }
        match &mut self.alarm {
            Some(alarm) => alarm.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    fn arrived(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.received += bytes as u64;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        let expected = self.waited.saturating_sub(self.idle_timeout).as_secs().saturating_mul(self.rate_min);
        if self.received < expected { Err(BodyError::TooSlow) } else { Ok(()) }
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(self.arrived(bytes).map(|()| frame)))
            }
            Poll::Ready(Some(Err(e))) => Poll::Ready(Some(Err(BodyError::Broken(e)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.poll_alarm(cx));
                Poll::Ready(Some(Err(BodyError::TooSlow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
