//! Bodies that are held in memory as a whole: a few at a time, each for a limited time.
//!
//! Nobody waits in line for a place, since slow senders would only make the line long: without one a client is told to
//! come again, which SDKs do by themselves.

use super::errors;
use super::incoming::BodyError;
use s3s::S3Result;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many bodies of a kind, and how long each may take to come, however steadily it drips.
#[derive(Clone, Copy, Debug)]
pub struct HeldLimit {
    pub places: usize,
    pub time: Duration,
}

pub struct HeldBodies {
    places: Semaphore,
    time: Duration,
}

/// Kept for as long as the body is in memory.
pub struct Place<'a> {
    _permit: SemaphorePermit<'a>,
    time: Duration,
}

impl HeldBodies {
    pub fn new(limit: HeldLimit) -> Self {
        HeldBodies { places: Semaphore::new(limit.places), time: limit.time }
    }

    pub fn enter(&self) -> S3Result<Place<'_>> {
        let permit = self.places.try_acquire().map_err(|_| errors::slow_down())?;
        Ok(Place { _permit: permit, time: self.time })
    }
}

impl Place<'_> {
    pub async fn read<T>(&self, reading: impl Future<Output = S3Result<T>>) -> S3Result<T> {
        let in_time = tokio::time::timeout(self.time, reading).await;
        in_time.unwrap_or_else(|_| Err(errors::of_body(&BodyError::TooSlow)))
    }
}
