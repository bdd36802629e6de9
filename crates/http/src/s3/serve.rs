//! Listening: accept, cap, serve, drain.
//!
//! Over the cap, or out of descriptors, a client is told 503 at once instead of being left in the queue. At shutdown no
//! new request is taken; those in flight finish within the drain time, then their connections are closed.

use super::S3Door;
use super::gate::Gate;
use super::patience::PatientStream;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::fs::File;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A connection's read buffer: the largest head, and what a body is read by.
const READ_BUFFER_BYTES: usize = 400 * 1024;
const HEADERS_MAX: usize = 100;
/// After an accept that failed for want of something, before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl S3Door {
    /// Serves until `shutdown`, then drains.
    pub fn serve(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        serve(self.gate.clone(), listener, shutdown)
    }
}

async fn serve(gate: Arc<Gate>, listener: TcpListener, shutdown: CancellationToken) {
    let patience = gate.door.patience;
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(patience.connections_max));
    let deadline = CancellationToken::new();
    let mut spare = spare_descriptor();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match slots.clone().try_acquire_owned() {
                Ok(slot) => {
                    let connection = converse(gate.clone(), stream, shutdown.clone(), deadline.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(_) => turn_away(stream),
            },
            Err(e) => {
                tracing::warn!(error = %e, "the s3 door could not accept a connection");
                drop(spare.take());
                if let Ok(Ok((stream, _))) = tokio::time::timeout(ACCEPT_PAUSE, listener.accept()).await {
                    turn_away(stream);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                spare = spare_descriptor();
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(patience.drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "s3 requests did not finish in time; closing their connections");
        deadline.cancel();
        connections.wait().await;
    }
}

/// Kept for the moment when there are no others.
fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Best effort: what fits in the socket's buffer, without waiting.
fn turn_away(stream: TcpStream) {
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = stream.try_write(answer);
    tokio::spawn(async move {
        let mut stream = stream;
        let _ = tokio::time::timeout(ACCEPT_PAUSE, stream.shutdown()).await;
    });
}

async fn converse(gate: Arc<Gate>, stream: TcpStream, shutdown: CancellationToken, deadline: CancellationToken) {
    let patience = gate.door.patience;
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(PatientStream::new(stream, patience.body_idle));
    let service = service_fn(move |request| {
        let gate = gate.clone();
        async move { gate.answer(request).await.map_err(|e| io::Error::other(Broken(e))) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header)
        .max_buf_size(READ_BUFFER_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection.as_mut() => result,
                () = deadline.cancelled() => return,
            }
        }
    };
    if let Err(e) = result {
        tracing::debug!(error = %e, "an s3 connection ended early");
    }
}

/// `s3s` keeps its error to itself; it is logged where it happened.
#[derive(Debug, thiserror::Error)]
#[error("the answer could not be made")]
struct Broken(s3s::HttpError);
