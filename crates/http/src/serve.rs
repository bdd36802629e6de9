//! One listener, many connections: the loop that both doors share.
//!
//! Promises: a bounded number of connections; a client that is slow with its head, its body or its reading is cut off;
//! when told to stop, no request that was begun is lost before the drain time is over. Speaks HTTP/1.1 without TLS
//! (a reverse proxy's affair). What a request means is the door's affair.

mod body;
mod stream;

pub use body::{BodyError, GuardedBody};

use filemill_core::limits;
use filemill_core::ports::BoxError;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stream::GuardedStream;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Who is at the other end; a request extension.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// How patient a door is.
#[derive(Clone, Debug)]
pub struct Patience {
    pub connections_max: usize,
    pub header_timeout: Duration,
    pub body_idle_timeout: Duration,
    /// Bytes a second that a body must have averaged after the idle grace.
    pub body_rate_min: u64,
    /// Running requests get this long when the door closes.
    pub drain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connections_max: limits::CONNECTIONS_MAX,
            header_timeout: limits::HEADER_TIMEOUT,
            body_idle_timeout: limits::BODY_IDLE_TIMEOUT,
            body_rate_min: limits::BODY_RATE_MIN,
            drain: limits::DRAIN,
        }
    }
}

/// The connections beyond the cap hear this; written whole, so that no client waits in a dark queue.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Longest head of a request: an URL with a 1,024-byte key, percent-encoded and signed, fits many times.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// After an accept failed (usually: no descriptors left) the loop waits this long for some to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled, then closes the listener and drains.
///
/// `door` names the listener in logs and metrics.
pub async fn serve<S, B>(
    door: &'static str,
    listener: TcpListener,
    service: S,
    patience: Patience,
    stop: CancellationToken,
) where
    S: tower::Service<Request<GuardedBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let patience = Arc::new(patience);
    let places = Arc::new(Semaphore::new(patience.connections_max));
    let conversations = TaskTracker::new();
    while let Some((stream, peer)) = accept(door, &listener, &stop).await {
        let Ok(place) = places.clone().try_acquire_owned() else {
            conversations.spawn(refuse(stream, patience.clone()));
            continue;
        };
        let guest = Guest { stream, peer, place };
        conversations.spawn(converse(door, guest, service.clone(), patience.clone(), stop.clone()));
    }
    drop(listener);
    conversations.close();
    conversations.wait().await;
}

/// The next connection; `None` once `stop` is cancelled.
async fn accept(
    door: &'static str,
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            Err(e) => {
                metrics::counter!("filemill_accept_failures_total", "door" => door).increment(1);
                tracing::warn!(door, error = %e, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn refuse(mut stream: TcpStream, patience: Arc<Patience>) {
    let answer = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await
    };
    let _gone_or_slow = tokio::time::timeout(patience.header_timeout, answer).await;
}

struct Guest {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

async fn converse<S, B>(door: &'static str, guest: Guest, service: S, patience: Arc<Patience>, stop: CancellationToken)
where
    S: tower::Service<Request<GuardedBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let Guest { stream, peer, place } = guest;
    let _small_answers_leave_at_once = stream.set_nodelay(true);
    let io = TokioIo::new(GuardedStream::new(stream, patience.body_idle_timeout));
    let body_patience = patience.clone();
    let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| GuardedBody::new(body, &body_patience));
        request.extensions_mut().insert(Peer(peer));
        service.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX.max(limits::IO_BLOCK_BYTES))
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(io, answer)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(patience.drain, connection).await.unwrap_or(Ok(()))
        }
    };
    drop(place);
    if let Err(e) = ended {
        tracing::debug!(door, %peer, error = %e, "connection ended early");
    }
}
