//! Eight workers; half of all chunks lose their worker once, in the middle, wherever it stands. Results are exact,
//! each lost chunk is tried exactly once more, and another worker is at it within 40 s: a lease, and the rest to find
//! somebody.

use super::places::{ChunkName, PREFIX, Place, begun, cluster, inputs, place_before, place_behind, shuffled, work};
use async_trait::async_trait;
use filemill_core::job::JobStatus;
use filemill_memory::{Call, Line};
use filemill_sim::checks::sed;
use filemill_sim::cluster::{Cluster, all_ended, in_simulated_time};
use filemill_trials::trials;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

const WORKERS: u64 = 8;
const FILES: usize = 5;
/// Few enough that somebody is free when a lease runs out: a chunk that is lost keeps its rank, so behind a long queue
/// it would wait for its turn like any other.
const CHUNKS: usize = 50;
const RECOVERED_WITHIN: Duration = Duration::from_secs(40);
const SEED: u64 = 5;

/// What workers meet, and what became of it.
struct Deaths {
    /// Where whoever has this chunk dies; once.
    planned: Mutex<BTreeMap<ChunkName, Place>>,
    /// Nobody is at it since its worker died.
    lost: Mutex<BTreeMap<ChunkName, Instant>>,
    recovered: Mutex<Vec<(Duration, ChunkName)>>,
    victims: mpsc::UnboundedSender<String>,
}

struct Mortal {
    name: String,
    deaths: Arc<Deaths>,
    chance: Mutex<SmallRng>,
    chunk: Mutex<Option<ChunkName>>,
}

impl Mortal {
    /// Whoever comes to the planned place stays there until it is killed.
    async fn die_at(&self, place: Option<Place>) {
        let chunk = self.chunk.lock().expect("a lock").clone();
        let (Some(chunk), Some(place)) = (chunk, place) else { return };
        {
            let mut planned = self.deaths.planned.lock().expect("a lock");
            if planned.get(&chunk) != Some(&place) {
                return;
            }
            planned.remove(&chunk);
        }
        self.deaths.lost.lock().expect("a lock").insert(chunk, Instant::now());
        self.deaths.victims.send(self.name.clone()).expect("somebody who kills");
        std::future::pending().await
    }
}

#[async_trait]
impl Line for Mortal {
    async fn there(&self, call: &Call) {
        if let Some(chunk) = begun(call) {
            if let Some(died_at) = self.deaths.lost.lock().expect("a lock").remove(&chunk) {
                self.deaths.recovered.lock().expect("a lock").push((died_at.elapsed(), chunk.clone()));
            }
            *self.chunk.lock().expect("a lock") = Some(chunk);
        }
        let time = work(call, &mut self.chance.lock().expect("a lock"));
        tokio::time::sleep(time).await;
        self.die_at(place_before(call)).await;
    }

    async fn back(&self, call: &Call, _is_done: bool) {
        self.die_at(place_behind(call)).await;
    }
}

fn hire(cluster: &Cluster, number: u64, seed: u64, deaths: &Arc<Deaths>) {
    let name = format!("worker-{number}");
    let chance = Mutex::new(SmallRng::seed_from_u64(seed * 1_000 + number));
    let line = Mortal { name: name.clone(), deaths: deaths.clone(), chance, chunk: Mutex::default() };
    cluster.start(&name, cluster.engine(&name, Some(Arc::new(line)), None));
}

#[test]
fn a_chunk_whose_worker_dies_is_at_work_again_within_40_seconds() {
    let rounds = trials(1, 20);
    let recovered = (0..rounds).flat_map(|round| in_simulated_time(lose_half(SEED + round)));
    let recovered: Vec<(Duration, ChunkName)> = recovered.collect();
    let (slowest, chunk) = recovered.iter().max().expect("somebody died");
    eprintln!(
        "{} chunks, {} of them lost; slowest recovery {slowest:?} ({chunk:?}), seed {SEED}",
        rounds as usize * CHUNKS,
        recovered.len()
    );
    assert!(*slowest <= RECOVERED_WITHIN, "{slowest:?}");
}

/// How long it took each chunk from its worker's death to its next worker.
async fn lose_half(seed: u64) -> Vec<(Duration, ChunkName)> {
    let cluster = cluster();
    let inputs = inputs(FILES, CHUNKS / FILES);
    let plan = shuffled(FILES, CHUNKS / FILES, &mut SmallRng::seed_from_u64(seed));
    let (victims, mut dying) = mpsc::unbounded_channel();
    let planned = Mutex::new(plan.into_iter().take(CHUNKS / 2).collect());
    let deaths = Arc::new(Deaths { planned, lost: Mutex::default(), recovered: Mutex::default(), victims });
    cluster.prepare().await;
    (0..WORKERS).for_each(|number| hire(&cluster, number, seed, &deaths));
    for (key, content) in &inputs {
        cluster.put(key, content.clone()).await;
    }
    let killing = async {
        let mut hired = WORKERS;
        while let Some(victim) = dying.recv().await {
            cluster.kill(&victim).await;
            hire(&cluster, hired, seed, &deaths);
            hired += 1;
        }
    };
    let snapshot = tokio::select! {
        snapshot = cluster.until(|snapshot| all_ended(snapshot, FILES)) => snapshot,
        () = killing => unreachable!("the plan holds a sender"),
    };

    assert!(deaths.planned.lock().expect("a lock").is_empty() && deaths.lost.lock().expect("a lock").is_empty());
    let recovered = deaths.recovered.lock().expect("a lock").clone();
    assert_eq!(recovered.len(), CHUNKS / 2, "each that was to die died, and its chunk was begun again");
    for (key, content) in &inputs {
        assert_eq!(cluster.result(key), sed(PREFIX, content), "{key:?}");
    }
    for job in &snapshot.jobs {
        assert_eq!((job.status, job.chunks_done as usize), (JobStatus::Completed, CHUNKS / FILES), "{job:?}");
    }
    // a plan, each chunk, each lost chunk once more, an assembly
    let attempts: u32 = snapshot.jobs.iter().map(|job| job.attempts).sum();
    assert_eq!(
        attempts as usize,
        FILES + CHUNKS + CHUNKS / 2 + FILES,
        "what was lost is tried once more, all else once"
    );
    recovered
}
