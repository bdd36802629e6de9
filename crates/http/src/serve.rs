//! One listener, many connections: the loop that both doors share.
//!
//! Promises: a bounded number of connections; a client that is slow with its head, its body or its reading is cut off;
//! when told to stop, no request that was begun is lost before the drain time is over. Speaks HTTP/1.1 without TLS
//! (a reverse proxy's affair). What a request means is the door's affair.

pub mod incoming;
mod places;
mod stream;

use filemill_core::limits;
use filemill_core::ports::BoxError;
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use incoming::IncomingBody;
use places::Places;
pub use places::network_of;
use std::fs::File;
use std::net::IpAddr;
use std::time::Duration;
use stream::GuardedStream;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where a request came from, among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

/// How long a door waits for a client, and for how many clients.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a request head, also the next one of a kept connection.
    pub header: Duration,
    /// Between two pieces of a body, in either direction.
    pub body_idle: Duration,
    /// A body whose client kept us waiting longer than `body_idle` in all must have averaged this many bytes a second.
    pub body_rate_min: u64,
    /// For requests in flight at shutdown.
    pub drain: Duration,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            header: limits::HEADER_TIMEOUT,
            body_idle: limits::BODY_IDLE_TIMEOUT,
            body_rate_min: limits::BODY_RATE_MIN,
            drain: limits::DRAIN,
            connections_max: limits::CONNECTIONS_MAX,
            connections_per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
        }
    }
}

/// A request whose body does not wait for ever.
pub fn guard(request: Request<Incoming>, patience: Patience) -> Request<IncomingBody> {
    let awaits_continue = request.headers().contains_key(header::EXPECT);
    request.map(|body| IncomingBody::new(body, patience, awaits_continue))
}

/// The connections beyond the cap hear this; written whole, so that no client waits in a dark queue.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Longest head of a request: an URL with a 1,024-byte key, percent-encoded and signed, fits many times.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A connection's read buffer: what a body is read by.
const READ_BUFFER_BYTES: usize = 400 * 1024;
/// After an accept failed for want of something (usually descriptors), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is cancelled, then closes the listener and drains. `door` names it in logs and metrics.
pub async fn serve<S, B>(
    door: &'static str,
    listener: TcpListener,
    service: S,
    patience: Patience,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let places = Places::new(patience.connections_max, patience.connections_per_address_max);
    let conversations = TaskTracker::new();
    let mut entrance = Entrance::new(door, listener);
    while let Some((stream, address)) = stop.run_until_cancelled(entrance.accept()).await {
        let Some(place) = places.take(address) else {
            turn_away(stream);
            continue;
        };
        let service = service.clone();
        let knowing = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddress(address));
            service.call(request)
        });
        let talk = converse(door, stream, knowing, patience, stop.clone());
        conversations.spawn(async move {
            talk.await;
            drop(place);
        });
    }
    drop(entrance);
    conversations.close();
    conversations.wait().await;
}

/// The listener, and a spare descriptor for the moment when there are no others: with it somebody can still be told.
struct Entrance {
    door: &'static str,
    listener: TcpListener,
    spare: Option<File>,
}

impl Entrance {
    fn new(door: &'static str, listener: TcpListener) -> Self {
        Entrance { door, listener, spare: spare_descriptor() }
    }

    async fn accept(&mut self) -> (TcpStream, IpAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, client)) => return (stream, client.ip()),
                Err(e) => {
                    metrics::counter!("filemill_accept_failures_total", "door" => self.door).increment(1);
                    tracing::warn!(door = self.door, error = %e, "cannot accept a connection");
                    self.recover().await;
                }
            }
        }
    }

    async fn recover(&mut self) {
        drop(self.spare.take());
        if let Ok(Ok((stream, _))) = tokio::time::timeout(ACCEPT_PAUSE, self.listener.accept()).await {
            turn_away(stream);
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
        self.spare = spare_descriptor();
    }
}

fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Best effort: what fits in the socket's buffer, without waiting.
fn turn_away(mut stream: TcpStream) {
    let _gone_already = stream.try_write(FULL);
    tokio::spawn(async move { tokio::time::timeout(ACCEPT_PAUSE, stream.shutdown()).await });
}

async fn converse<S, B>(door: &'static str, stream: TcpStream, service: S, patience: Patience, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send> + Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let _small_answers_leave_at_once = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header)
        .max_buf_size(READ_BUFFER_BYTES)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(GuardedStream::new(stream, patience.body_idle)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(patience.drain, connection).await.unwrap_or_else(|_| {
                tracing::warn!(door, "a request did not finish in time; its connection is closed");
                Ok(())
            })
        }
    };
    if let Err(e) = ended {
        tracing::debug!(door, error = %e, "a connection ended early");
    }
}
