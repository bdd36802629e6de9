//! The measures, one file each, and what they share.

pub mod burst;
pub mod csv;
pub mod idle;
pub mod json;
pub mod latency;
pub mod listeners;
pub mod markdown;
pub mod poison;
pub mod prefix;
pub mod put_large;
pub mod put_small;
pub mod queue;
pub mod sentiment;
pub mod zip;

mod feed;
pub mod load;
mod stored;

use crate::contest::{Contest, Outcome};
use crate::report::{Row, Side, Target};
use crate::toolbox::Toolbox;
use crate::workplace::Workplace;
use anyhow::Result;
use std::net::SocketAddr;

/// What a run was asked for.
pub struct Plan<'a> {
    pub workplace: &'a Workplace,
    pub toolbox: &'a Toolbox,
    pub rounds: u32,
    pub large_bytes: u64,
    pub medium_bytes: u64,
    /// How many small ones there are of a kind.
    pub files: u64,
    /// Where the peers of our message queues are.
    pub postgres: Option<&'a str>,
    pub redis: Option<SocketAddr>,
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
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Says on stderr what goes on.
pub fn note(text: &str) {
    eprintln!("filemill-bench: {text}");
}

fn size_name(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 30) { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// What matters where cores are shared: the CPU seconds beside those of the first peer.
fn cpu_row(outcome: &Outcome, contest: &Contest<'_>, target: Target) -> Option<Row> {
    let seconds = |side: &Side| Side { values: side.cpu_secs.clone(), ..Side::default() };
    let (peer, side) = contest.peers.iter().zip(&outcome.peers).next()?;
    let (job, ours) = ("the same, CPU".into(), seconds(&outcome.ours));
    Some(Row { job, unit: "s", ours, peer: Some((peer.name, seconds(side))), target })
}
