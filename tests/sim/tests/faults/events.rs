//! Events of objects come one to three times, in any order, a tenth of them a minute late, while a fifth of the keys
//! is overwritten: at most one job for a version, one that completes for the newest, and its result is what is there
//! in the end.

use super::places::{PREFIX, in_small_chunks, key, rule};
use filemill_core::event::EventKind;
use filemill_core::job::{Job, JobStatus};
use filemill_core::object::ObjectKey;
use filemill_memory::{FaultPlan, Snapshot};
use filemill_sim::checks::sed;
use filemill_sim::cluster::{Cluster, in_simulated_time, text};
use filemill_sim::{SlowReads, bucket};
use filemill_trials::trials;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const ENGINES: usize = 4;
/// One key in five has a second version.
const OVERWRITTEN: usize = 5;
/// Versions that come in a second.
const RATE: u64 = 8;
const LATE_BY: Duration = Duration::from_secs(60);
const SEED: u64 = 7;

#[test]
fn each_version_has_one_job_however_often_and_late_its_event_comes() {
    in_simulated_time(announce_badly(trials(1_000, 10_000)));
}

struct Version {
    at: Duration,
    key: ObjectKey,
    number: usize,
}

/// In order of time. A key's second version comes up to half a minute behind the first.
fn versions(count: usize, chance: &mut SmallRng) -> Vec<Version> {
    let keys = count * OVERWRITTEN / (OVERWRITTEN + 1);
    let span = count as u64 * 1000 / RATE;
    let mut versions = Vec::new();
    for n in 0..keys {
        let at = Duration::from_millis(chance.random_range(0..span));
        versions.push(Version { at, key: key(&format!("{n}.txt")), number: n });
    }
    for n in 0..count - keys {
        let first = &versions[n * OVERWRITTEN];
        let at = first.at + Duration::from_millis(chance.random_range(1..30_000));
        versions.push(Version { at, key: first.key.clone(), number: keys + n });
    }
    versions.sort_by_key(|version| version.at);
    versions
}

/// One chunk to four.
fn content(version: &Version) -> bytes::Bytes {
    text(version.number, 1 + version.number * 37 % 250)
}

async fn announce_badly(count: usize) {
    let faults = FaultPlan {
        seed: SEED,
        copies_max: 2,
        reorder: 1.0,
        late_announcement: 0.1,
        late_min: LATE_BY,
        late_max: LATE_BY,
        ..FaultPlan::none()
    };
    let cluster = Cluster::new(faults, rule(), |config| {
        in_small_chunks(config);
        config.chunks_max = 8;
    });
    cluster.prepare().await;
    for number in 0..ENGINES {
        let name = format!("worker-{number}");
        let chance = std::sync::Mutex::new(SmallRng::seed_from_u64(SEED + number as u64));
        let line = SlowReads(move |_: &ObjectKey| {
            Some(Duration::from_millis(chance.lock().expect("a lock").random_range(0..5000)))
        });
        cluster.start(&name, cluster.engine(&name, Some(Arc::new(line)), None));
    }
    let versions = versions(count, &mut SmallRng::seed_from_u64(SEED));
    let mut passed = Duration::ZERO;
    for version in &versions {
        tokio::time::sleep(version.at - passed).await;
        passed = version.at;
        cluster.put(&version.key, content(version)).await;
    }
    let newest: BTreeMap<&ObjectKey, &Version> = versions.iter().map(|version| (&version.key, version)).collect();
    let is_quiet = |snapshot: &Snapshot| {
        let is_recorded = snapshot.files.iter().filter(|file| file.bucket == bucket("uploads")).count() == newest.len();
        let is_done = snapshot.jobs.iter().all(|job| job.status.is_terminal());
        snapshot.announcements.is_empty() && is_recorded && is_done
    };
    let snapshot = cluster.until(is_quiet).await;

    let told: Vec<_> = cluster.store.acknowledged().into_iter().filter(|a| a.bucket == bucket("uploads")).collect();
    let mut times: BTreeMap<_, usize> = BTreeMap::new();
    told.iter().for_each(|event| *times.entry((&event.key, &event.sequencer)).or_default() += 1);
    let of_times = |wanted| times.values().filter(|times| **times == wanted).count();
    let ended = |status| snapshot.jobs.iter().filter(|job| job.status == status).count();
    eprintln!(
        "{count} versions of {} keys, {} events (once {}, twice {}, three times {}); {} jobs: {} completed, {} \
         cancelled, {} failed; seed {SEED}",
        newest.len(),
        told.len(),
        of_times(1),
        of_times(2),
        of_times(3),
        snapshot.jobs.len(),
        ended(JobStatus::Completed),
        ended(JobStatus::Cancelled),
        ended(JobStatus::Failed),
    );
    assert_eq!((times.len(), of_times(1) + of_times(2) + of_times(3)), (count, count), "no event was lost");
    judge(&cluster, &snapshot, &newest);
}

fn judge(cluster: &Cluster, snapshot: &Snapshot, newest: &BTreeMap<&ObjectKey, &Version>) {
    let mut of_versions: BTreeMap<_, Vec<&Job>> = BTreeMap::new();
    for job in &snapshot.jobs {
        of_versions.entry((&job.input.key, &job.sequencer)).or_default().push(job);
        assert_eq!(job.run, 1, "it was begun again: {job:?}");
        let code = job.failure.as_ref().map_or("", |failure| &failure.code);
        let is_explained = match job.status {
            JobStatus::Completed => true,
            JobStatus::Cancelled => code == "superseded",
            JobStatus::Failed => code == "input_changed",
            _ => false,
        };
        assert!(is_explained, "{job:?}");
    }
    for (version, jobs) in &of_versions {
        assert_eq!(jobs.len(), 1, "twins of {version:?}: {jobs:?}");
    }
    let mut births = BTreeMap::new();
    for (seq, event) in snapshot.events.iter().filter(|(_, event)| event.kind == EventKind::JobCreated) {
        assert_eq!(births.insert(event.job.clone().expect("a job's event"), *seq), None, "born twice: {event:?}");
    }
    let mut ends = BTreeMap::new();
    for (seq, event) in snapshot.events.iter().filter(|(_, event)| event.kind == EventKind::JobCompleted) {
        assert_eq!(ends.insert(event.job.clone().expect("a job's event"), *seq), None, "completed twice: {event:?}");
    }
    for object in snapshot.objects.iter().filter(|object| object.bucket == bucket("uploads")) {
        let last = of_versions.get(&(&object.key, &object.sequencer)).and_then(|jobs| jobs.first());
        let last = last.unwrap_or_else(|| panic!("the newest version has no job: {object:?}"));
        assert_eq!(last.status, JobStatus::Completed, "{last:?}");
        assert_eq!(cluster.result(&object.key), sed(PREFIX, &content(newest[&object.key])), "{:?}", object.key);
        let older = snapshot.jobs.iter().filter(|job| job.input.key == object.key && job.id != last.id);
        for job in older.filter(|job| job.status == JobStatus::Completed) {
            assert!(ends[&job.id] < births[&last.id], "an older version completed behind the newer one: {job:?}");
        }
    }
    let results = snapshot.objects.iter().filter(|object| object.bucket == bucket("results")).count();
    assert_eq!(results, newest.len());
}
