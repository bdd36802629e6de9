//! Listening: the loop that both doors share, with the gate behind it, and the message queues beside the gate.

use super::S3Door;
use crate::{serve, sqs};
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
        let (gate, sqs, stop) = (self.gate.clone(), self.sqs.clone(), shutdown.clone());
        let patience = gate.door.patience;
        let service = service_fn(move |request| {
            let (gate, sqs, stop) = (gate.clone(), sqs.clone(), stop.clone());
            async move {
                match sqs.zip(sqs::protocol::spoken(&request)) {
                    Some((sqs, protocol)) => Ok(sqs.answer(request, protocol, &stop).await.map(s3s::Body::from)),
                    None => gate.answer(request).await.map_err(|e| io::Error::other(Broken(e))),
                }
            }
        });
        let (door, stop) = (self.gate.door.clone(), shutdown.clone());
        let served = serve::serve("s3", listener, service, patience, shutdown);
        async move { tokio::join!(served, door.pace.keep_small(stop)).0 }
    }
}

/// `s3s` keeps its error to itself; it is logged where it happened.
#[derive(Debug, thiserror::Error)]
#[error("the answer could not be made")]
struct Broken(s3s::HttpError);
