//! Clients of message queues: ours in this process and through the door, PostgreSQL with SKIP LOCKED, Redis streams.
//!
//! A cycle is one message of 1 KB: sent, received under a lease, and acknowledged. Sends and acknowledgements are on disk when
//! they are answered, on every side.

pub mod door;
pub mod port;
pub mod postgres;
pub mod redis;

use anyhow::Result;
use async_trait::async_trait;
use std::time::{Duration, Instant};

#[async_trait(?Send)]
pub trait Client {
    async fn cycle(&mut self, body: &str) -> Result<()>;
}

/// All clients at once, on one thread, each so many cycles.
pub async fn drive(clients: Vec<Box<dyn Client>>, cycles: usize, body: &str) -> Result<Duration> {
    let begun = Instant::now();
    let work = clients.into_iter().map(|mut client| async move {
        for _ in 0..cycles {
            client.cycle(body).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(work).await?;
    Ok(begun.elapsed())
}
