//! A worker dies at each call that it makes of the store, first before the call arrives and then before its answer is
//! heard: everywhere on a job's path, from the announcement to the result. Another worker, or the same machine with
//! what its disk kept, brings the job to the same result, once.

use super::places::{PREFIX, in_small_chunks, inputs, rule};
use async_trait::async_trait;
use filemill_core::event::EventKind;
use filemill_core::job::JobStatus;
use filemill_memory::{Call, Line, MemoryOptions};
use filemill_sim::checks::sed;
use filemill_sim::cluster::{Cluster, all_ended, in_simulated_time};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

const CHUNKS: usize = 3;
/// There and back, of fewer calls and more than the path has.
const PLACES_MIN: usize = 40;
const PLACES_MAX: usize = 1_000;
const ENDED_WITHIN: Duration = Duration::from_secs(40);

/// Counts both ways of each call, and stops at one of them.
struct Doomed {
    at: usize,
    passed: AtomicUsize,
    reached: Mutex<Option<oneshot::Sender<&'static str>>>,
}

impl Doomed {
    async fn pass(&self, call: &Call) {
        if self.passed.fetch_add(1, Ordering::Relaxed) == self.at {
            let reached = self.reached.lock().expect("a lock").take().expect("it is reached once");
            reached.send(call.name).expect("somebody waits for it");
        }
        // whatever else the same process had begun stops there, too
        if self.passed.load(Ordering::Relaxed) > self.at {
            std::future::pending().await
        }
    }
}

#[async_trait]
impl Line for Doomed {
    async fn there(&self, call: &Call) {
        self.pass(call).await;
    }

    async fn back(&self, call: &Call, _is_done: bool) {
        self.pass(call).await;
    }
}

#[test]
fn a_job_whose_worker_dies_at_any_call_ends_once_and_exact() {
    die_everywhere("a worker dies", MemoryOptions { local_workers: false, ..MemoryOptions::default() });
}

/// The result is published first, and then the job is completed.
#[test]
fn a_job_whose_worker_dies_at_any_call_ends_once_and_exact_where_bytes_lie_elsewhere() {
    let elsewhere = MemoryOptions { local_workers: false, publishes: false, ..MemoryOptions::default() };
    die_everywhere("a worker dies, bytes lie elsewhere", elsewhere);
}

/// What was not synced is gone, too.
#[test]
fn a_job_whose_machine_dies_at_any_call_ends_once_and_exact() {
    die_everywhere("a machine dies", MemoryOptions { local_workers: true, ..MemoryOptions::default() });
}

fn die_everywhere(name: &str, options: MemoryOptions) {
    let (mut places, mut slowest) = (0, (Duration::ZERO, ""));
    while let Some(end) = in_simulated_time(die_at(places, options.clone())) {
        slowest = slowest.max(end);
        places += 1;
        assert!(places < PLACES_MAX, "the path has no end");
    }
    eprintln!("{name} at each of {places} places on a job's path; slowest end behind it {slowest:?}");
    assert!(places > PLACES_MIN, "a job in chunks makes more calls than these");
}

/// How long all took from the death to the end, and in which call it was; `None` if the job ended before that.
async fn die_at(at: usize, options: MemoryOptions) -> Option<(Duration, &'static str)> {
    let dies_with_its_store = options.local_workers;
    let cluster = Cluster::on(options, rule(), in_small_chunks);
    cluster.prepare().await;
    let [(key, content)] = &inputs(1, CHUNKS)[..] else { unreachable!("one was asked for") };
    cluster.put(key, content.clone()).await;
    let (reached, is_reached) = oneshot::channel();
    let line = Doomed { at, passed: AtomicUsize::new(0), reached: Mutex::new(Some(reached)) };
    cluster.start("doomed", cluster.engine("doomed", Some(Arc::new(line)), None));
    let call = tokio::select! {
        biased;
        call = is_reached => call.expect("the line is there"),
        _ = cluster.until(|snapshot| all_ended(snapshot, 1)) => return None,
    };
    let died_at = cluster.now();
    cluster.kill("doomed").await;
    if dies_with_its_store {
        cluster.store.crash();
    }
    cluster.start("next", cluster.engine("next", None, None));
    let snapshot = cluster.until(|snapshot| all_ended(snapshot, 1)).await;

    let job = &snapshot.jobs[0];
    let place = format!("at place {at}, in {call}: {job:?}");
    assert_eq!((job.status, job.run, job.chunks_done as usize), (JobStatus::Completed, 1, CHUNKS), "{place}");
    assert_eq!(cluster.result(key), sed(PREFIX, content), "{place}");
    let ends = snapshot.events.iter().filter(|(_, event)| event.kind == EventKind::JobCompleted).count();
    assert_eq!(ends, 1, "{place}");
    let took = job.finished_at.expect("it has ended").since(died_at);
    assert!(took <= ENDED_WITHIN, "{took:?} {place}");
    Some((took, call))
}
