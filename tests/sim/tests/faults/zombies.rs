//! A worker stands still in the middle of a chunk for twice its lease, as one that was stopped does: nothing of it
//! reaches the store, no renewal either. Another takes the chunk over, and has done it when the first wakes up, or
//! every second time is in the middle of it. Then the first goes on where it stood, and everything that it writes
//! under its old lease is refused; results are exact.

use super::places::{ChunkName, PREFIX, Place, begun, cluster, inputs, place_before, place_behind, shuffled, work};
use async_trait::async_trait;
use filemill_core::job::JobStatus;
use filemill_core::limits;
use filemill_core::task::TaskKind;
use filemill_memory::{About, Call, Line};
use filemill_sim::checks::sed;
use filemill_sim::cluster::{all_ended, in_simulated_time};
use filemill_trials::trials;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};

const WORKERS: usize = 16;
/// At a time: the others take over.
const STILL_MAX: usize = 6;
const STILL_FOR: Duration = limits::LEASE.saturating_mul(2);
const FILES: usize = 4;
/// So many are done by others while one stands still.
const CHUNKS_PER_ZOMBIE: usize = 16;
const SEED: u64 = 6;

/// What became of a chunk whose worker stood still.
#[derive(Clone, Debug, Default)]
struct Zombie {
    place: Option<Place>,
    /// Whoever takes over is still at it when the first goes on.
    is_overlapped: bool,
    /// By another, before the first went on.
    was_done: bool,
    is_awake: bool,
    /// What the first wrote under its old lease, commits and renewals.
    refused: usize,
    taken: usize,
}

impl Zombie {
    fn has_tried(&self) -> bool {
        self.is_awake && self.refused + self.taken > 0
    }
}

struct Drill {
    /// There may still be so many.
    left: Mutex<usize>,
    places: BTreeMap<ChunkName, Place>,
    zombies: Mutex<BTreeMap<ChunkName, Zombie>>,
    /// Rings when one of them tried to write.
    tried: Notify,
}

struct Worker {
    drill: Arc<Drill>,
    chance: Mutex<SmallRng>,
    chunk: Mutex<Option<ChunkName>>,
    /// It stood still in its present chunk.
    is_zombie: Mutex<bool>,
    stands_still: watch::Sender<bool>,
}

impl Worker {
    fn chunk(&self) -> Option<ChunkName> {
        self.chunk.lock().expect("a lock").clone()
    }

    fn is_zombie(&self) -> bool {
        *self.is_zombie.lock().expect("a lock")
    }

    /// At the chunk's place, unless too many do or somebody did here.
    fn stand_still_at(&self, place: Option<Place>) {
        let Some(chunk) = self.chunk() else { return };
        let mut zombies = self.drill.zombies.lock().expect("a lock");
        let mut left = self.drill.left.lock().expect("a lock");
        let still = zombies.values().filter(|zombie| !zombie.is_awake).count();
        let is_its_place = place.is_some() && self.drill.places.get(&chunk) == place.as_ref();
        if !is_its_place || still == STILL_MAX || *left == 0 || zombies.contains_key(&chunk) {
            return;
        }
        *left -= 1;
        zombies.insert(chunk.clone(), Zombie { place, is_overlapped: left.is_multiple_of(2), ..Zombie::default() });
        *self.is_zombie.lock().expect("a lock") = true;
        self.stands_still.send_replace(true);
        let (drill, stands_still) = (self.drill.clone(), self.stands_still.clone());
        tokio::spawn(async move {
            // the fault itself
            tokio::time::sleep(STILL_FOR).await;
            drill.zombies.lock().expect("a lock").entry(chunk).and_modify(|zombie| zombie.is_awake = true);
            stands_still.send_replace(false);
        });
    }

    /// Whoever took over stores its part no sooner.
    async fn until_the_first_tried(&self) {
        let Some(chunk) = self.chunk() else { return };
        let is_waited_for = || {
            let zombies = self.drill.zombies.lock().expect("a lock");
            zombies.get(&chunk).is_some_and(|zombie| zombie.is_overlapped && !zombie.has_tried())
        };
        loop {
            let tried = self.drill.tried.notified();
            if !is_waited_for() {
                return;
            }
            tried.await;
        }
    }

    async fn move_on(&self) {
        let mut stands_still = self.stands_still.subscribe();
        stands_still.wait_for(|stands_still| !stands_still).await.expect("its sender is here");
    }

    /// What it does under an old lease, and what others do about its chunk.
    fn note(&self, call: &Call, is_done: bool) {
        let (Some(chunk), About::Lease(task, _)) = (self.chunk(), &call.about) else { return };
        let mut zombies = self.drill.zombies.lock().expect("a lock");
        let Some(zombie) = zombies.get_mut(&chunk).filter(|_| task.kind == TaskKind::Chunk) else { return };
        match (self.is_zombie(), call.name) {
            (true, "commit" | "extend") => {
                *(if is_done { &mut zombie.taken } else { &mut zombie.refused }) += 1;
                self.drill.tried.notify_waiters();
            }
            (false, "commit") => zombie.was_done |= is_done && !zombie.is_awake,
            _ => {}
        }
    }
}

#[async_trait]
impl Line for Worker {
    async fn there(&self, call: &Call) {
        self.move_on().await;
        if let Some(chunk) = begun(call) {
            *self.chunk.lock().expect("a lock") = Some(chunk);
            *self.is_zombie.lock().expect("a lock") = false;
        }
        // whoever woke up finishes at once, before it hears that its lease is lost
        if !self.is_zombie() {
            let time = work(call, &mut self.chance.lock().expect("a lock"));
            tokio::time::sleep(time).await;
            if place_before(call) == Some(Place::Storing) {
                self.until_the_first_tried().await;
            }
            self.stand_still_at(place_before(call));
        }
        self.move_on().await;
    }

    async fn back(&self, call: &Call, is_done: bool) {
        self.note(call, is_done);
        if !self.is_zombie() {
            self.stand_still_at(place_behind(call));
        }
        self.move_on().await;
    }
}

#[test]
fn whoever_wakes_up_behind_its_lease_can_write_nothing() {
    in_simulated_time(wake_up_late(trials(20, 500)));
}

async fn wake_up_late(count: usize) {
    let cluster = cluster();
    let chunks = count * CHUNKS_PER_ZOMBIE / FILES;
    let inputs = inputs(FILES, chunks);
    let places = shuffled(FILES, chunks, &mut SmallRng::seed_from_u64(SEED)).into_iter().collect();
    let drill = Arc::new(Drill { left: Mutex::new(count), places, zombies: Mutex::default(), tried: Notify::new() });
    cluster.prepare().await;
    for number in 0..WORKERS {
        let name = format!("worker-{number}");
        let line = Worker {
            drill: drill.clone(),
            chance: Mutex::new(SmallRng::seed_from_u64(SEED + number as u64)),
            chunk: Mutex::default(),
            is_zombie: Mutex::default(),
            stands_still: watch::Sender::new(false),
        };
        cluster.start(&name, cluster.engine(&name, Some(Arc::new(line)), None));
    }
    for (key, content) in &inputs {
        cluster.put(key, content.clone()).await;
    }
    let is_quiet = || drill.zombies.lock().expect("a lock").values().all(Zombie::has_tried);
    let snapshot = cluster.until(|snapshot| all_ended(snapshot, FILES) && is_quiet()).await;

    let zombies = drill.zombies.lock().expect("a lock");
    let sum = |of: fn(&Zombie) -> usize| zombies.values().map(of).sum::<usize>();
    let at = |place| zombies.values().filter(|zombie| zombie.place == Some(place)).count();
    eprintln!(
        "{} zombies (reading {}, storing {}, stored {}, committing {}), {} s simulated; {} stale writes refused, {} \
         taken, seed {SEED}",
        zombies.len(),
        at(Place::Reading),
        at(Place::Storing),
        at(Place::Stored),
        at(Place::Committing),
        cluster.now().since(snapshot.jobs[0].created_at).as_secs(),
        sum(|zombie| zombie.refused),
        sum(|zombie| zombie.taken),
    );
    assert_eq!(zombies.len(), count);
    for (chunk, zombie) in zombies.iter() {
        assert_ne!(zombie.was_done, zombie.is_overlapped, "{chunk:?} {zombie:?}");
        assert!(zombie.refused > 0 && zombie.taken == 0, "{chunk:?} {zombie:?}");
    }
    for (key, content) in &inputs {
        assert_eq!(cluster.result(key), sed(PREFIX, content), "{key:?}");
    }
    for job in &snapshot.jobs {
        assert_eq!((job.status, job.chunks_done as usize), (JobStatus::Completed, chunks), "{job:?}");
    }
    // a plan, each chunk, each zombie's chunk by another, an assembly
    let attempts: u32 = snapshot.jobs.iter().map(|job| job.attempts).sum();
    assert_eq!(attempts as usize, FILES + FILES * chunks + count + FILES);
}
