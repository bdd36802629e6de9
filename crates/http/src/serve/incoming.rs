//! A request's body on its way in: idle time-out, minimum rate, and a short drain when nobody wanted the rest.
//!
//! Only time that we spend waiting for the client counts against it; time that the store takes does not. A body that
//! announced `Expect: 100-continue` and was never asked for is never read, so a refusal comes before the bytes do.

use super::Patience;
use bytes::Bytes;
use futures::Stream;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What is read and thrown away of a refused body, so that its sender gets to see the answer.
const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for the idle time.
    #[error("The body stopped coming; the connection was idle for too long.")]
    Idle,
    /// Less than the minimum rate came.
    #[error("The body came too slowly.")]
    TooSlow,
    /// The connection ended or broke HTTP before the body was complete.
    #[error("The body ended early.")]
    Cut,
    /// More than the caller was ready to take.
    #[error("The body is too long.")]
    TooLong,
}

pub struct IncomingBody {
    inner: Option<Incoming>,
    patience: Patience,
    /// Armed while we wait for the client.
    alarm: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
    waited: Duration,
    received: u64,
    counted: Arc<AtomicU64>,
    awaits_continue: bool,
}

impl IncomingBody {
    pub fn new(inner: Incoming, patience: Patience, awaits_continue: bool) -> Self {
        IncomingBody {
            inner: Some(inner),
            patience,
            alarm: None,
            waiting_since: None,
            waited: Duration::ZERO,
            received: 0,
            counted: Arc::default(),
            awaits_continue,
        }
    }

    /// Bytes received so far, for the metrics.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.counted.clone()
    }

    /// The whole body, if it has at most `max` bytes.
    pub async fn collect(mut self, max: u64) -> Result<Bytes, BodyError> {
        let mut whole: Vec<u8> = Vec::new();
        let mut only: Option<Bytes> = None;
        while let Some(piece) = futures::StreamExt::next(&mut self).await {
            let piece = piece?;
            if self.received > max {
                return Err(BodyError::TooLong);
            }
            match only.take() {
                None if whole.is_empty() => only = Some(piece),
                None => whole.extend_from_slice(&piece),
                Some(first) => {
                    whole.extend_from_slice(&first);
                    whole.extend_from_slice(&piece);
                }
            }
        }
        Ok(only.unwrap_or_else(|| whole.into()))
    }

    fn arrived(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.counted.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    fn is_too_slow(&self) -> bool {
        let wait = self.waited + self.waiting_since.map_or(Duration::ZERO, |since| since.elapsed());
        wait > self.patience.body_idle && self.received < wait.as_secs().saturating_mul(self.patience.body_rate_min)
    }

    /// Waits until the client has been silent for the idle time.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let deadline = now + self.patience.body_idle;
        if self.waiting_since.is_none() {
            self.waiting_since = Some(now);
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
}

impl Stream for IncomingBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.awaits_continue = false;
        loop {
            let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
            let frame = match Pin::new(inner).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(this.poll_alarm(cx));
                    this.inner = None;
                    return Poll::Ready(Some(Err(BodyError::Idle)));
                }
            };
            match frame {
                None => {
                    this.inner = None;
                    return Poll::Ready(None);
                }
                Some(Err(e)) => {
                    tracing::debug!(error = %e, "a request's body broke off");
                    this.inner = None;
                    return Poll::Ready(Some(Err(BodyError::Cut)));
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.arrived(data.len());
                    if this.is_too_slow() {
                        this.inner = None;
                        return Poll::Ready(Some(Err(BodyError::TooSlow)));
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_next(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A refused client that is still sending would see a reset instead of our answer if we closed at once.
impl Drop for IncomingBody {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if self.awaits_continue || inner.is_end_stream() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(drain(inner));
        }
    }
}

async fn drain(mut inner: Incoming) {
    let reading = async {
        let mut drained = 0;
        while let Some(Ok(frame)) = http_body_util::BodyExt::frame(&mut inner).await {
            drained += frame.data_ref().map_or(0, |data| data.len() as u64);
            if drained > DRAIN_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
}
