//! Files in chunks, and where a worker stands in a chunk, as seen on its line to the store: there it meets its fault.
//! A worker here has one chunk at a time.

use bytes::Bytes;
use filemill_core::chunks::ChunkLimits;
use filemill_core::object::ObjectKey;
use filemill_core::task::TaskKind;
use filemill_engine::EngineConfig;
use filemill_memory::{About, Call, FaultPlan};
use filemill_sim::cluster::{Cluster, text};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::time::Duration;

const CHUNK_BYTES: u64 = 64;
pub const PREFIX: &str = "> ";

/// Of one job, whose input has this key.
pub type ChunkName = (ObjectKey, u32);

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).expect("a key")
}

/// The prefix before each line.
pub fn rule() -> Value {
    json!({
        "id": "hello", "from": "uploads", "process": { "kind": "lines.prefix", "text": PREFIX },
        "output": { "bucket": "results" },
    })
}

pub fn in_small_chunks(config: &mut EngineConfig) {
    config.chunk_limits = ChunkLimits { chunk_bytes: CHUNK_BYTES, chunks_max: 10_000 };
}

/// A healthy store; inputs are many chunks.
pub fn cluster() -> Cluster {
    Cluster::new(FaultPlan::none(), rule(), in_small_chunks)
}

/// So many inputs of so many chunks.
pub fn inputs(files: usize, chunks: usize) -> Vec<(ObjectKey, Bytes)> {
    (0..files).map(|n| (key(&format!("{n}.txt")), text(n, chunks * CHUNK_BYTES as usize))).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// It has not read a byte.
    Reading,
    /// All is made, and its part is not stored.
    Storing,
    /// Its part is stored, and it does not know it.
    Stored,
    /// Its commit has not reached the store.
    Committing,
}

const PLACES: [Place; 4] = [Place::Reading, Place::Storing, Place::Stored, Place::Committing];

/// All chunks in an order by chance, with a place for each; of four in a row each has another.
pub fn shuffled(files: usize, chunks: usize, chance: &mut SmallRng) -> Vec<(ChunkName, Place)> {
    let of_file = |n: usize| (0..chunks as u32).map(move |index| (key(&format!("{n}.txt")), index));
    let mut all: Vec<ChunkName> = (0..files).flat_map(of_file).collect();
    all.shuffle(chance);
    all.into_iter().zip(PLACES.into_iter().cycle()).collect()
}

/// The chunk that a worker begins with this call. `lines.prefix` looks one byte behind its chunk.
pub fn begun(call: &Call) -> Option<ChunkName> {
    let About::Object { key, range } = &call.about else { return None };
    let start = range.as_ref()?.start;
    Some((key.clone(), u32::try_from((start + 1) / CHUNK_BYTES).expect("few chunks")))
}

/// Where a worker in a chunk stands before this call.
pub fn place_before(call: &Call) -> Option<Place> {
    match &call.about {
        About::Object { .. } => Some(Place::Reading),
        About::Part { .. } => Some(Place::Storing),
        About::Lease(task, _) if task.kind == TaskKind::Chunk && call.name == "commit" => Some(Place::Committing),
        _ => None,
    }
}

/// And behind it.
pub fn place_behind(call: &Call) -> Option<Place> {
    matches!(call.about, About::Part { .. }).then_some(Place::Stored)
}

/// What a call takes of a chunk's work: 12 s at most in all, so that some leases are renewed meanwhile.
pub fn work(call: &Call, chance: &mut SmallRng) -> Duration {
    match call.about {
        About::Object { .. } | About::Part { .. } => Duration::from_millis(chance.random_range(0..6000)),
        _ => Duration::ZERO,
    }
}
