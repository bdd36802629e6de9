//! Listening: the loop that both doors share, with the gate behind it.

use super::S3Door;
use crate::serve;
use hyper::service::service_fn;
use std::future::Future;
use std::io;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

impl S3Door {
    /// Serves until `shutdown`, then drains.
    pub fn serve(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let gate = self.gate.clone();
        let patience = gate.door.patience;
        let service = service_fn(move |request| {
            let gate = gate.clone();
            async move { gate.answer(request).await.map_err(|e| io::Error::other(Broken(e))) }
        });
        serve::serve("s3", listener, service, patience, shutdown)
    }
}

/// `s3s` keeps its error to itself; it is logged where it happened.
#[derive(Debug, thiserror::Error)]
#[error("the answer could not be made")]
struct Broken(s3s::HttpError);
