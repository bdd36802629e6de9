//! The measures, one file each, and what they share.

pub mod burst;
pub mod idle;
pub mod latency;
pub mod prefix;
pub mod put_large;
pub mod put_small;

mod feed;
mod load;

use crate::workplace::Workplace;
use anyhow::Result;

/// What a run was asked for.
pub struct Plan<'a> {
    pub workplace: &'a Workplace,
    pub rounds: u32,
    pub large_bytes: u64,
}

impl Plan<'_> {
    /// Each round both sides run; who goes first alternates.
    fn round_robin(
        &self,
        mut ours: impl FnMut(u32) -> Result<()>,
        mut peer: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        for round in 0..self.rounds {
            let ours_first = round % 2 == 0;
            for ours_now in [ours_first, !ours_first] {
                self.workplace.settle();
                if ours_now { ours(round)? } else { peer(round)? }
            }
        }
        Ok(())
    }
}

/// One thread is enough for a client, and leaves the other core to the server.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Says on stderr what goes on.
fn note(text: &str) {
    eprintln!("filemill-bench: {text}");
}
