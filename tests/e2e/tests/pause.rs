//! The whole service stands still for two leases while it works on many chunks (SIGSTOP), and goes on: what was done under
//! leases that have ended counts for nothing, each chunk counts once, results are exact.

use filemill_e2e::aftermath::expect_consistent;
use filemill_e2e::inputs::text;
use filemill_e2e::{Service, Stage};
use filemill_trials::trials;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
schema = 1

[[rules]]
id = "hello-lines"
from = "uploads"
process = { kind = "lines.prefix", text = "Hello! " }
output = { bucket = "results", key = "{key}" }

[worker]
chunks = 32
chunk_size = "512KiB"
"#;

/// A lease is 30 seconds.
const STILL: Duration = Duration::from_secs(65);
/// Chunks in flight, or the moment is not worth a stop.
const IN_FLIGHT_MIN: i64 = 20;
const JOBS: u64 = 4;
const JOB_BYTES: usize = 24 << 20;
const BUSY_WITHIN: Duration = Duration::from_secs(3);
const LOADS_MAX: u64 = 20;

/// Stopped, with so many tasks in flight; `None` if the work was done before that could be seen.
fn pause_at_work(service: &Service, data: &Path) -> Option<i64> {
    let deadline = Instant::now() + BUSY_WITHIN;
    while Instant::now() < deadline {
        service.pause();
        let tasks = expect_consistent(data).tasks;
        if tasks >= IN_FLIGHT_MIN {
            return Some(tasks);
        }
        service.go_on();
        // not a wait for anything: the moment itself is arbitrary
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Gives it work until it is seen at much of it. Answers what it was given, and the tasks.
fn pause_under_load(service: &Service, data: &Path, stop: u64) -> (Vec<(String, Vec<u8>)>, i64) {
    let mut given = Vec::new();
    for load in 0..LOADS_MAX {
        let numbers = (0..JOBS).map(|job| (stop * LOADS_MAX + load) * JOBS + job);
        let inputs = numbers.map(|number| (number.to_string(), text(number, JOB_BYTES)));
        for (key, content) in inputs {
            service.bucket("uploads").put(&key, &content);
            given.push((key, content));
        }
        if let Some(tasks) = pause_at_work(service, data) {
            return (given, tasks);
        }
    }
    panic!("never {IN_FLIGHT_MIN} tasks in flight");
}

#[test]
fn what_a_paused_service_did_under_ended_leases_counts_for_nothing() {
    let stage = Stage::with_config(CONFIG);
    let service = &stage.service;
    let (stops, mut in_flight, mut again) = (trials(1, 25), 0, 0);
    let mut slowest = Duration::ZERO;
    for stop in 0..stops {
        let (inputs, tasks) = pause_under_load(service, &stage.data(), stop);
        in_flight += tasks;
        // not a wait for anything: the pause is what is tested
        thread::sleep(STILL);
        service.go_on();
        let went_on = Instant::now();
        for (key, content) in inputs {
            let job = service.expect_exact("uploads", &key, &content);
            assert_eq!(job.0["chunks"]["done"], job.0["chunks"]["total"], "{}", job.0);
            assert_eq!(job.0["bytes"]["in"], JOB_BYTES, "a chunk counted twice or not at all: {}", job.0);
            let tasks = job.chunks() + 2;
            again += job.0["attempts"].as_u64().expect("a count").saturating_sub(tasks);
        }
        slowest = slowest.max(went_on.elapsed());
    }
    eprintln!(
        "{stops} stops of {STILL:?}, {in_flight} tasks in flight, {again} done again, 0 violations, all ended {slowest:?} \
         after the longest"
    );
    stage.service.stop();
}
