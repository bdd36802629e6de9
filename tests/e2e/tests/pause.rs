//! The whole service stands still for two leases while it works on many chunks (SIGSTOP), and goes on: what was done under
//! leases that have ended counts for nothing, each chunk counts once, results are exact.

use filemill_e2e::aftermath::expect_consistent;
use filemill_e2e::inputs::text;
use filemill_e2e::trials::trials;
use filemill_e2e::{Service, Stage};
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
const BUSY_WITHIN: Duration = Duration::from_secs(60);

/// Stopped, with so many chunks in flight.
fn pause_at_work(service: &Service, data: &Path) -> i64 {
    let deadline = Instant::now() + BUSY_WITHIN;
    loop {
        service.pause();
        let tasks = expect_consistent(data).tasks;
        if tasks >= IN_FLIGHT_MIN {
            return tasks;
        }
        service.go_on();
        assert!(Instant::now() < deadline, "never {IN_FLIGHT_MIN} chunks in flight");
        // not a wait for anything: the moment itself is arbitrary
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_paused_service_did_under_ended_leases_counts_for_nothing() {
    let stage = Stage::with_config(CONFIG);
    let service = &stage.service;
    let (stops, mut in_flight, mut again) = (trials(1, 25), 0, 0);
    let mut slowest = Duration::ZERO;
    for stop in 0..stops {
        let input = |number: u64| (format!("{stop}/{number}"), text(stop * JOBS + number, JOB_BYTES));
        for (key, content) in (0..JOBS).map(input) {
            service.bucket("uploads").put(&key, &content);
        }
        in_flight += pause_at_work(service, &stage.data());
        // not a wait for anything: the pause is what is tested
        thread::sleep(STILL);
        service.go_on();
        let went_on = Instant::now();
        for (key, content) in (0..JOBS).map(input) {
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
