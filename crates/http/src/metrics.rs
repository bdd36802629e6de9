//! The metrics recorder of the process, and the gauges that are read when somebody asks.
//!
//! Names follow Prometheus: a unit at the end, `_total` for counters. Labels take few values: never a key, an id or a
//! path with an id in it.

use filemill_core::alarm::AlarmStatus;
use filemill_core::time::Timestamp;
use filemill_engine::{AlarmNow, Health, QueueState};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

pub use metrics_exporter_prometheus::PrometheusHandle;

/// From a lookup in memory to the request timeout.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What the sweeper removes for its age.
const EXPIRES: [&str; 10] = [
    "object",
    "job",
    "event",
    "upload",
    "removed_file",
    "dead_letter",
    "redrive",
    "backfill",
    "derived_objects",
    "audit",
];

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Installs the recorder for this process. Call it once, first thing; a second call is an error.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    STARTED.get_or_init(Instant::now);
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?;
    let handle = builder.install_recorder()?;
    describe();
    begin_at_zero();
    Ok(handle)
}

/// Counters that alarms are set on: a rate does not see a counter whose first sample is 1.
fn begin_at_zero() {
    for name in [
        "filemill_scrub_damage_total",
        "filemill_store_corrupt_reads_total",
        "filemill_jobs_revived_total",
        "filemill_derived_refused_total",
    ] {
        counter!(name).increment(0);
    }
    for what in ["object", "file"] {
        counter!("filemill_reconcile_repaired_total", "what" => what).increment(0);
    }
    for what in EXPIRES {
        counter!("filemill_expired_total", "what" => what).increment(0);
    }
    for door in ["rest", "s3"] {
        counter!("filemill_accept_failures_total", "door" => door).increment(0);
    }
}

fn describe() {
    describe_counter!("filemill_http_requests_total", "requests answered by the REST door");
    describe_histogram!("filemill_http_request_seconds", "time to the head of the answer, live feeds excepted");
    describe_counter!("filemill_accept_failures_total", "connections that could not be accepted");
    describe_gauge!("filemill_feed_listeners", "open live feeds");
    describe_counter!("filemill_s3_requests_total", "requests answered by the S3 door, by operation and status");
    describe_histogram!("filemill_s3_request_seconds", "time to the head of the answer, by operation");
    describe_counter!("filemill_s3_bytes_in_total", "bytes of bodies that the S3 door took");
    describe_counter!("filemill_s3_bytes_out_total", "bytes of the bodies of its answers");
    describe_counter!("filemill_sqs_requests_total", "requests answered by the SQS door, by action and status");
    describe_histogram!("filemill_sqs_request_seconds", "time to the answer, with the wait of a long poll");
    describe_gauge!("filemill_jobs", "open jobs by status");
    describe_counter!("filemill_jobs_total", "jobs that ended, by rule and status");
    describe_counter!("filemill_jobs_throttled_total", "of them those that a service had put off (429), by rule");
    describe_gauge!("filemill_tasks", "tasks by state");
    describe_gauge!("filemill_oldest_ready_task_age_seconds", "how long the oldest ready task has waited");
    describe_gauge!("filemill_queue_tasks", "tasks by queue and state");
    describe_gauge!("filemill_queue_oldest_ready_age_seconds", "how long the oldest ready task of a queue has waited");
    describe_gauge!("filemill_dead_letters", "dead letters that wait for a person, by queue");
    describe_gauge!("filemill_deliveries", "deliveries pending and dead");
    describe_counter!("filemill_deliveries_total", "tries to deliver, by kind of receiver and outcome");
    describe_gauge!("filemill_alarm_raised", "1 while the alarm is raised, by alarm and what it is of");
    describe_gauge!("filemill_store_up", "1 if both stores answered");
    describe_gauge!("filemill_store_objects", "objects stored");
    describe_gauge!("filemill_store_bytes", "bytes stored");
    describe_gauge!("filemill_disk_free_bytes", "room left on the store's disk, where it has one");
    describe_gauge!("filemill_disk_low", "1 while uploads are refused and work waits for want of room");
    describe_gauge!("filemill_damaged_blobs", "stored bytes that scrubbing found damaged and that are still there");
    describe_counter!("filemill_scrub_bytes_total", "stored bytes read again");
    describe_counter!("filemill_scrub_damage_total", "blobs that were found damaged");
    describe_counter!("filemill_scrub_rounds_total", "rounds through all stored bytes that ended");
    describe_counter!("filemill_store_groups_total", "transactions of the store's writer");
    describe_counter!("filemill_store_writes_total", "writes in these transactions");
    describe_counter!("filemill_store_corrupt_reads_total", "reads that met a damaged byte");
    describe_counter!("filemill_jobs_revived_total", "open jobs that had no task and got one");
    describe_counter!("filemill_reconcile_repaired_total", "objects and files that no announcement told of");
    describe_counter!("filemill_expired_total", "objects and records removed for their age");
    describe_counter!("filemill_derived_refused_total", "jobs born failed because enough was made of their upload");
    describe_gauge!("filemill_announcements_waiting", "announcements not yet ingested");
    describe_gauge!("filemill_build_info", "1; the version is a label");
    describe_gauge!("filemill_uptime_seconds", "since the process started");
    describe_gauge!("process_resident_memory_bytes", "resident memory of the process");
    describe_gauge!("process_open_fds", "open file descriptors of the process");
}

/// What the stores say; `None` if they did not answer.
pub(crate) fn record_health(health: Option<Health>, now: Timestamp) {
    gauge!("filemill_store_up").set(if health.is_some() { 1.0 } else { 0.0 });
    let Some(Health { state, store }) = health else { return };
    gauge!("filemill_jobs", "status" => "queued").set(state.jobs_queued as f64);
    gauge!("filemill_jobs", "status" => "running").set(state.jobs_running as f64);
    gauge!("filemill_tasks", "state" => "ready").set(state.tasks_ready as f64);
    gauge!("filemill_tasks", "state" => "leased").set(state.tasks_leased as f64);
    let oldest = state.oldest_ready_at.map_or(0.0, |at| now.since(at).as_secs_f64());
    gauge!("filemill_oldest_ready_task_age_seconds").set(oldest);
    gauge!("filemill_store_objects").set(store.objects as f64);
    gauge!("filemill_store_bytes").set(store.bytes as f64);
    gauge!("filemill_damaged_blobs").set(store.damaged as f64);
    gauge!("filemill_announcements_waiting").set(store.announcements_waiting as f64);
    gauge!("filemill_disk_low").set(if store.room.is_low() { 1.0 } else { 0.0 });
    if let Some(free) = store.room.free_bytes() {
        gauge!("filemill_disk_free_bytes").set(free as f64);
    }
}

/// What a gauge was last shown of. What is gone is shown as nothing, not as it was.
struct Shown<T>(Mutex<BTreeSet<T>>);

impl<T: Ord + Clone> Shown<T> {
    const fn nothing() -> Self {
        Shown(Mutex::new(BTreeSet::new()))
    }

    /// Those that are there no more.
    fn gone(&self, now: BTreeSet<T>) -> Vec<T> {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = shown.difference(&now).cloned().collect();
        *shown = now;
        gone
    }
}

static QUEUES: Shown<String> = Shown::nothing();
static ALARMS: Shown<[String; 2]> = Shown::nothing();

/// What waits and what gave up, by queue.
pub(crate) fn record_queues(queues: &[QueueState], now: Timestamp) {
    let gone = QUEUES.gone(queues.iter().map(|queue| queue.name.to_string()).collect());
    for name in gone {
        for state in ["ready", "waiting", "leased"] {
            gauge!("filemill_queue_tasks", "queue" => name.clone(), "state" => state).set(0.0);
        }
        gauge!("filemill_queue_oldest_ready_age_seconds", "queue" => name.clone()).set(0.0);
        gauge!("filemill_dead_letters", "queue" => name).set(0.0);
    }
    for queue in queues {
        let name = queue.name.to_string();
        for (state, count) in
            [("ready", queue.depth.ready), ("waiting", queue.depth.waiting), ("leased", queue.depth.leased)]
        {
            gauge!("filemill_queue_tasks", "queue" => name.clone(), "state" => state).set(count as f64);
        }
        let oldest = queue.depth.oldest_ready_at.map_or(0.0, |at| now.since(at).as_secs_f64());
        gauge!("filemill_queue_oldest_ready_age_seconds", "queue" => name.clone()).set(oldest);
        gauge!("filemill_dead_letters", "queue" => name).set(queue.dead as f64);
    }
}

pub(crate) fn record_deliveries(pending: u64, dead: u64) {
    gauge!("filemill_deliveries", "status" => "pending").set(pending as f64);
    gauge!("filemill_deliveries", "status" => "dead").set(dead as f64);
}

pub(crate) fn record_alarms(alarms: &[AlarmNow]) {
    let labels = |alarm: &AlarmNow| [alarm.state.alarm.to_string(), alarm.state.of.clone().unwrap_or_default()];
    let show = |[alarm, of]: [String; 2], raised: bool| {
        gauge!("filemill_alarm_raised", "alarm" => alarm, "of" => of).set(if raised { 1.0 } else { 0.0 });
    };
    for gone in ALARMS.gone(alarms.iter().map(labels).collect()) {
        show(gone, false);
    }
    for alarm in alarms {
        show(labels(alarm), alarm.state.status == AlarmStatus::Raised);
    }
}

/// What the system says about this process. Reads `/proc`, which is memory, not a disk; elsewhere the gauges stay away.
pub(crate) fn record_process(version: &str) {
    gauge!("filemill_build_info", "version" => version.to_owned()).set(1.0);
    gauge!("filemill_uptime_seconds").set(STARTED.get_or_init(Instant::now).elapsed().as_secs_f64());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = resident_bytes(&status) {
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(descriptors.count() as f64);
    }
}

/// Reads `VmRSS: 12345 kB` (with tabs and spaces in between).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_told_once() {
        let shown = Shown::nothing();
        let told = |now: &[&'static str]| shown.gone(now.iter().copied().collect());
        assert_eq!(told(&["a", "b"]), [""; 0]);
        assert_eq!(told(&["b"]), ["a"]);
        assert_eq!(told(&["b", "c"]), [""; 0]);
    }

    #[test]
    fn resident_memory_reads_from_the_status_file() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2048 * 1024));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
