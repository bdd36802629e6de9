//! Bodies on their way in: read whole before their signature can be verified, so bounded one by one and together.
//!
//! Room is taken by declared length. Nobody waits in line for it: slow senders would only make the line long.

use crate::serve::incoming::{BodyError, IncomingBody};
use bytes::Bytes;
use filemill_core::limits::{KIB, SQS_BODIES_BYTES_MAX, SQS_BODY_BYTES_MAX, XML_BODY_TIMEOUT};
use http::{HeaderMap, header};
use tokio::sync::Semaphore;

#[derive(Debug, thiserror::Error)]
pub enum BodyProblem {
    #[error("A request needs a Content-Length.")]
    NoLength,
    #[error("A request body has at most {SQS_BODY_BYTES_MAX} bytes.")]
    TooLong,
    #[error("There is no room for the body.")]
    NoRoom,
    #[error("{0}")]
    Broken(BodyError),
}

/// In KiB.
pub struct Room(Semaphore);

impl Room {
    pub fn new() -> Self {
        Room(Semaphore::new(usize::try_from(SQS_BODIES_BYTES_MAX / KIB).unwrap_or(usize::MAX)))
    }

    pub async fn read(&self, headers: &HeaderMap, body: IncomingBody) -> Result<Bytes, BodyProblem> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let length = length.ok_or(BodyProblem::NoLength)?;
        if length > SQS_BODY_BYTES_MAX {
            return Err(BodyProblem::TooLong);
        }
        let room = u32::try_from(length.div_ceil(KIB)).map_err(|_| BodyProblem::TooLong)?;
        let _room = self.0.try_acquire_many(room).map_err(|_| BodyProblem::NoRoom)?;
        let reading = tokio::time::timeout(XML_BODY_TIMEOUT, body.collect(length));
        let whole = reading.await.unwrap_or(Err(BodyError::TooSlow)).map_err(BodyProblem::Broken)?;
        if (whole.len() as u64) < length { Err(BodyProblem::Broken(BodyError::Cut)) } else { Ok(whole) }
    }
}
