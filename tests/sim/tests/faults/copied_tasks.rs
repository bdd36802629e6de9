//! A queue that hands each task out two to five times, in any order, to whoever asks, up to 40 s apart: while another
//! is at it, and long after it was done. Results are exact, and each chunk counts once.

use super::places::{PREFIX, in_small_chunks, inputs, rule};
use async_trait::async_trait;
use filemill_core::event::EventKind;
use filemill_core::job::JobStatus;
use filemill_core::object::ObjectKey;
use filemill_core::ports::{Lease, LeaseError, LeaseRequest, QueueDepth, StateError, TaskQueue};
use filemill_core::rule::QueueName;
use filemill_core::task::{FencingToken, TaskId, TaskKind};
use filemill_core::time::Timestamp;
use filemill_memory::{FaultPlan, MemoryStore};
use filemill_sim::SlowReads;
use filemill_sim::checks::sed;
use filemill_sim::cluster::{Cluster, all_ended, in_simulated_time};
use filemill_trials::trials;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const ENGINES: usize = 4;
const FILES: usize = 10;
/// From a task's first delivery to its last.
const APART_MAX: u64 = 40_000;
const SEED: u64 = 8;

/// The store's queue, and what it hands out again.
struct CopyingQueue {
    queue: Arc<MemoryStore>,
    copies: Mutex<Copies>,
}

struct Copies {
    chance: SmallRng,
    /// Each with its time.
    waiting: Vec<(Instant, Lease)>,
    /// How often each lease of a chunk was handed out, and how often it shall be.
    told: BTreeMap<FencingToken, (usize, usize)>,
}

impl Copies {
    /// Copies whose time has come, as many as fit.
    fn due(&mut self, wanted: &LeaseRequest) -> Vec<Lease> {
        let (mut due, mut chunks) = (Vec::new(), 0);
        self.waiting.shuffle(&mut self.chance);
        let now = Instant::now();
        self.waiting.retain(|(at, lease)| {
            let is_chunk = is_chunk(lease);
            let fits = due.len() < wanted.max as usize && (!is_chunk || chunks < wanted.max_chunks);
            if *at > now || !fits {
                return true;
            }
            chunks += u32::from(is_chunk);
            due.push(lease.clone());
            false
        });
        due
    }

    /// A lease that was just given comes again once to four times.
    fn plan(&mut self, lease: &Lease) {
        let copies = self.chance.random_range(1..=4);
        for _ in 0..copies {
            let at = Instant::now() + Duration::from_millis(self.chance.random_range(0..APART_MAX));
            self.waiting.push((at, lease.clone()));
        }
        if is_chunk(lease) {
            self.told.insert(lease.token, (0, 1 + copies));
        }
    }
}

fn is_chunk(lease: &Lease) -> bool {
    lease.task.id.kind == TaskKind::Chunk
}

#[async_trait]
impl TaskQueue for CopyingQueue {
    async fn lease(&self, wanted: LeaseRequest) -> Result<Vec<Lease>, StateError> {
        let mut leases = self.copies.lock().expect("a lock").due(&wanted);
        let chunks = leases.iter().filter(|lease| is_chunk(lease)).count() as u32;
        let (max, max_chunks) = (wanted.max - leases.len() as u32, wanted.max_chunks - chunks);
        let fresh = self.queue.lease(LeaseRequest { max, max_chunks, ..wanted }).await?;
        let copies = &mut *self.copies.lock().expect("a lock");
        fresh.iter().for_each(|lease| copies.plan(lease));
        leases.extend(fresh);
        leases.shuffle(&mut copies.chance);
        for lease in &leases {
            copies.told.entry(lease.token).and_modify(|(told, _)| *told += 1);
        }
        Ok(leases)
    }

    async fn push(&self, tasks: &[TaskId]) -> Result<(), StateError> {
        self.queue.push(tasks).await
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<Timestamp, LeaseError> {
        self.queue.extend(lease, duration).await
    }

    async fn ack(&self, lease: &Lease) -> Result<(), StateError> {
        self.queue.ack(lease).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StateError> {
        self.queue.release(lease).await
    }

    async fn depths(&self) -> Result<BTreeMap<QueueName, QueueDepth>, StateError> {
        self.queue.depths().await
    }

    async fn ready(&self) {
        self.queue.ready().await;
    }
}

#[test]
fn a_chunk_counts_once_however_often_it_is_handed_out() {
    in_simulated_time(hand_out_often(trials(500, 5_000)));
}

async fn hand_out_often(chunks: usize) {
    let faults = FaultPlan { seed: SEED, reorder: 1.0, ..FaultPlan::none() };
    let cluster = Cluster::new(faults, rule(), |config| {
        in_small_chunks(config);
        config.chunks_max = 4;
    });
    let copies = Copies { chance: SmallRng::seed_from_u64(SEED), waiting: Vec::new(), told: BTreeMap::new() };
    let queue = Arc::new(CopyingQueue { queue: cluster.store.clone(), copies: Mutex::new(copies) });
    cluster.prepare().await;
    for number in 0..ENGINES {
        let name = format!("worker-{number}");
        let chance = Mutex::new(SmallRng::seed_from_u64(SEED + number as u64));
        let line = SlowReads(move |_: &ObjectKey| {
            Some(Duration::from_millis(chance.lock().expect("a lock").random_range(0..3000)))
        });
        cluster.start(&name, cluster.engine(&name, Some(Arc::new(line)), Some(queue.clone())));
    }
    let inputs = inputs(FILES, chunks / FILES);
    for (key, content) in &inputs {
        cluster.put(key, content.clone()).await;
    }
    let all_told = || queue.copies.lock().expect("a lock").waiting.is_empty();
    let snapshot = cluster.until(|snapshot| all_ended(snapshot, FILES) && all_told()).await;

    let copies = queue.copies.lock().expect("a lock");
    let times = |wanted| copies.told.values().filter(|(told, _)| *told == wanted).count();
    eprintln!(
        "{} chunk messages, handed out {} times (2: {}, 3: {}, 4: {}, 5: {}), {} s simulated, seed {SEED}",
        copies.told.len(),
        copies.told.values().map(|(told, _)| told).sum::<usize>(),
        times(2),
        times(3),
        times(4),
        times(5),
        cluster.now().since(snapshot.jobs[0].created_at).as_secs(),
    );
    assert_eq!(copies.told.len(), chunks, "one lease each: a copy never makes another necessary");
    assert!(copies.told.values().all(|(told, planned)| told == planned && (2..=5).contains(told)));
    for (key, content) in &inputs {
        assert_eq!(cluster.result(key), sed(PREFIX, content), "{key:?}");
    }
    for job in &snapshot.jobs {
        let counts = (job.status, job.chunks_done as usize, job.bytes_in, job.attempts as usize);
        // a plan, each chunk, an assembly
        let wanted = (JobStatus::Completed, chunks / FILES, job.input.size, 1 + chunks / FILES + 1);
        assert_eq!(counts, wanted, "{job:?}");
        let is_end = |kind| [EventKind::JobCompleted, EventKind::JobFailed, EventKind::JobCancelled].contains(&kind);
        let ends =
            snapshot.events.iter().filter(|(_, event)| event.job.as_ref() == Some(&job.id) && is_end(event.kind));
        assert_eq!(ends.count(), 1, "{job:?}");
    }
}
