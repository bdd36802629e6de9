//! Ten thousand leases of a worker that is gone run out in the same instant, before two to four engines with a sweeper
//! each, whose calls interleave: each task is leased once more and no more, and each job ends once, with one result.

use super::places::{PREFIX, key, rule};
use filemill_core::access::Principal;
use filemill_core::event::EventKind;
use filemill_core::job::JobStatus;
use filemill_core::limits;
use filemill_core::ports::{FileQuery, LeaseRequest, TaskQueue};
use filemill_memory::FaultPlan;
use filemill_sim::bucket;
use filemill_sim::checks::sed;
use filemill_sim::cluster::{Cluster, in_simulated_time};
use filemill_trials::trials;
use std::collections::BTreeMap;
use std::time::Duration;

const ENGINES_MAX: usize = 4;
const LEASES: usize = 10_000;
const SEED: u64 = 11;

#[test]
fn leases_that_run_out_at_once_are_each_taken_over_once() {
    for trial in 0..trials(1, 10) {
        // four, three, two, four again
        let engines = ENGINES_MAX - trial % (ENGINES_MAX - 1);
        in_simulated_time(run_out_at_once(SEED + trial as u64, engines));
    }
}

async fn run_out_at_once(seed: u64, engines: usize) {
    let cluster = Cluster::new(FaultPlan::none(), rule(), |_| ());
    cluster.prepare().await;
    for n in 0..LEASES {
        cluster.put(&key(&n.to_string()), n.to_string().into()).await;
    }
    let door = cluster.engine("door", None, None);
    for _ in 0..LEASES.div_ceil(limits::INGEST_BATCH as usize) {
        door.files(&Principal::service(), FileQuery { limit: 1, ..FileQuery::default() }).await.expect("ingested");
    }
    let wanted = LeaseRequest {
        worker: "lost".into(),
        max: LEASES as u32,
        max_chunks: 0,
        duration: limits::LEASE,
        max_running: BTreeMap::new(),
    };
    let lost = cluster.store.lease(wanted).await.expect("leases");
    assert_eq!(lost.len(), LEASES);
    let out_at = lost[0].until;
    assert!(lost.iter().all(|lease| lease.until == out_at), "all at once");

    // most calls wait a little, there and back, so that engines come between one another's
    let delays = FaultPlan { seed, delay: 0.7, delay_max: Duration::from_millis(50), ..FaultPlan::none() };
    cluster.store.set_faults(delays);
    for number in 0..engines {
        let name = format!("worker-{number}");
        cluster.start(&name, cluster.engine(&name, None, None));
    }
    tokio::time::sleep(out_at.since(cluster.now())).await;
    assert!(cluster.store.snapshot().jobs.iter().all(|job| job.status == JobStatus::Queued), "no lease is taken early");
    let snapshot = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let snapshot = cluster.store.snapshot();
        if snapshot.jobs.iter().all(|job| job.status.is_terminal()) && snapshot.tasks.is_empty() {
            break snapshot;
        }
        assert!(cluster.now().since(out_at) < Duration::from_secs(3600), "{:?}", snapshot.tasks.first());
    };
    let last = snapshot.jobs.iter().filter_map(|job| job.finished_at).max().expect("jobs");
    let mut ends: BTreeMap<_, usize> = BTreeMap::new();
    for (_, event) in &snapshot.events {
        if matches!(event.kind, EventKind::JobCompleted | EventKind::JobFailed | EventKind::JobCancelled) {
            *ends.entry(event.job.clone().expect("a job's event")).or_default() += 1;
        }
    }
    let published = cluster.store.acknowledged().into_iter().chain(snapshot.announcements.iter().cloned());
    let published = published.filter(|event| event.bucket == bucket("results")).count();
    let claims: u32 = snapshot.jobs.iter().map(|job| job.attempts).sum();
    eprintln!(
        "{LEASES} leases ran out at once before {engines} engines: {} claims behind that, {} ends of jobs, {published} results, all \
         within {:?}; seed {seed}",
        claims as usize - LEASES,
        ends.values().sum::<usize>(),
        last.since(out_at),
    );
    assert_eq!(snapshot.jobs.len(), LEASES);
    for job in &snapshot.jobs {
        assert_eq!(
            (job.status, job.attempts, job.run),
            (JobStatus::Completed, 2, 1),
            "lost once, taken over once: {job:?}"
        );
        assert_eq!(ends.get(&job.id), Some(&1), "{job:?}");
        assert_eq!(cluster.result(&job.input.key), sed(PREFIX, job.input.key.as_bytes()), "{job:?}");
    }
    assert_eq!(published, LEASES, "no result was made visible twice");
}
