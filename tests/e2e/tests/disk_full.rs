//! The disk fills under load, stays full for a while, and has room again, several times: uploads are refused, work waits,
//! reads and deletes go on, and everything resumes by itself. No object is corrupt, no row contradicts another, no attempt
//! is counted.

use filemill_e2e::aftermath::expect_consistent;
use filemill_e2e::inputs::text;
use filemill_e2e::power::Disk;
use filemill_e2e::s3::S3;
use filemill_e2e::stage::MANY_CHUNKS;
use filemill_e2e::{Launch, Service, http};
use filemill_trials::trials;
use serde_json::json;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
/// Seconds of work with [`MANY_CHUNKS`], also where it was optimised.
const LARGE: usize = if cfg!(debug_assertions) { 12 * MIB } else { 24 * MIB };
const DISK_BYTES: u64 = 256 << 20;
/// Longer than a lease lasts: the claim of a lease that ended would count.
const HOLD: Duration = Duration::from_secs(40);
const RESUMES_WITHIN: Duration = Duration::from_secs(10);

/// Every last block, those that are root's too.
fn fill(path: &Path) {
    let mut filler = File::create(path).expect("a filler");
    let block = vec![b'f'; MIB];
    for size in [MIB, 4096, 512, 1] {
        loop {
            match filler.write_all(&block[..size]) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => break,
                Err(e) => panic!("filling the disk: {e}"),
            }
        }
    }
    let _no_room_left = filler.sync_all();
}

/// Uploads one after the other until told to stop; answers those that were acknowledged.
fn upload_all_the_time(bucket: S3, stop: Arc<AtomicBool>) -> JoinHandle<Vec<(String, Vec<u8>)>> {
    thread::spawn(move || {
        let mut stored = Vec::new();
        for number in 0.. {
            if stop.load(Ordering::Acquire) {
                break;
            }
            // both kinds of content: rows of the state file, and files
            let content = vec![number as u8; if number % 2 == 0 { 20_000 } else { 200_000 }];
            let key = format!("all-the-time/{number:05}");
            match bucket.try_put(&key, &content) {
                Ok(()) => stored.push((key, content)),
                Err(refused) => {
                    assert!(refused.0.contains("SlowDown"), "{}", refused.0);
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
        stored
    })
}

#[track_caller]
fn wait(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < patience, "waited {patience:?} in vain for {what}");
        thread::sleep(Duration::from_millis(50));
    }
    began.elapsed()
}

fn storage(service: &Service) -> String {
    service.get("/readyz").expect(200).json()["storage"].as_str().expect("it says how storage is").to_owned()
}

fn chunks_done(service: &Service, key: &str) -> u64 {
    service.jobs_of("uploads", key).first().map_or(0, |job| job.0["chunks"]["done"].as_u64().unwrap_or(0))
}

#[test]
fn a_full_disk_holds_everything_up_and_breaks_nothing() {
    // the records of ten cycles leave room on a disk; those of fifty do not
    let (at_once, one_after_the_other, cycles) = trials((3, 1, 1), (1, 5, 10));
    for _ in 0..one_after_the_other {
        // to hold three disks takes no longer than to hold one
        thread::scope(|scope| {
            for _ in 0..at_once {
                let Some(disk) = Disk::of(DISK_BYTES) else { return };
                scope.spawn(move || fill_again_and_again(&disk, cycles));
            }
        });
    }
}

fn fill_again_and_again(disk: &Disk, cycles: usize) {
    let data = disk.place().join("data");
    let config = disk.place().with_file_name("filemill.toml");
    fs::write(&config, format!("{MANY_CHUNKS}\n[buckets.others]\n")).expect("a config");
    let service = Launch::on(&data).arg("--config").arg(&config).start();
    let input = text(7, LARGE);
    service.bucket("others").put("kept", &input[..MIB]);
    let mut slowest = Duration::ZERO;
    for cycle in 0..cycles {
        slowest = slowest.max(fill_hold_and_free(&service, disk, &format!("{cycle}/long.log"), &input));
    }
    eprintln!("{cycles} times full for {HOLD:?}, 0 violations, resumed {slowest:?} after at the slowest");
    service.stop();
    expect_consistent(&data);
}

/// Answers how long it took to resume. Leaves records behind and little else.
fn fill_hold_and_free(service: &Service, disk: &Disk, long: &str, input: &[u8]) -> Duration {
    let (uploads, others) = (service.bucket("uploads"), service.bucket("others"));
    others.put("to delete/large", &input[..MIB]);
    others.put("to delete/small", b"small");
    uploads.put(long, input);
    wait("a few chunks", RESUMES_WITHIN * 3, || chunks_done(service, long) > 5);
    let stop = Arc::new(AtomicBool::new(false));
    let uploader = upload_all_the_time(others.clone(), stop.clone());

    let filler = disk.place().join("filler");
    fill(&filler);
    wait("the service to notice", RESUMES_WITHIN, || storage(service) == "full");
    assert!(chunks_done(service, long) < input.len() as u64 / 65536, "the disk must fill before the job is done");

    let refused = http::send("PUT", &uploads.put_url("new"), &[], &input[..MIB]).expect(503);
    assert!(refused.text().contains("<Code>SlowDown</Code>") && !refused.header("retry-after").is_empty());
    let refused = service.post("/v1/uploads", &json!({ "filename": "new.log" }));
    assert!(!refused.header("retry-after").is_empty());
    refused.expect_problem(507, "storage_full");
    assert_eq!(others.get("kept").expect(200).body, &input[..MIB]);
    others.delete("to delete/large");
    others.delete("to delete/small");
    assert!(service.get("/metrics").expect(200).text().contains("filemill_disk_low 1"));
    // what the deletes freed somebody else takes
    thread::sleep(HOLD);
    let _all_of_it = File::options().append(true).open(&filler).map(|mut f| f.write_all(&vec![b'f'; 8 * MIB]));
    assert_eq!(storage(service), "full");
    let job = service.jobs_of("uploads", long).remove(0);
    assert_eq!(job.status(), "running", "{}", job.0);
    let paused_at = chunks_done(service, long);

    fs::remove_file(&filler).expect("room again");
    let after = format!("{long} and after");
    let resumed = wait("uploads and work", RESUMES_WITHIN, || {
        uploads.try_put(&after, b"a line\n").is_ok() && chunks_done(service, long) > paused_at
    });
    // or the uploads themselves fill the disk
    stop.store(true, Ordering::Release);
    let job = service.expect_exact("uploads", long, input);
    let tasks = job.chunks() + 2;
    assert_eq!(job.0["attempts"], tasks, "an attempt was counted for the full disk: {}", job.0);
    service.expect_exact("uploads", &after, b"a line\n");
    let stored = uploader.join().expect("the uploader only sees refusals");
    assert!(stored.len() > 10);
    for (key, content) in &stored {
        assert_eq!(&others.get(key).expect(200).body, content, "{key}");
        others.delete(key);
    }
    eprintln!(
        "resumed {resumed:?} after the disk had room, {paused_at} chunks done when it had none, {} kept",
        stored.len()
    );
    let log = disk.place().join("data/filemill.db-wal").metadata().expect("a log");
    // an eighth of what the file system makes of the disk
    let aside = DISK_BYTES / 9;
    assert!(log.len() <= aside, "the log outgrew what is set aside for it: {} of {aside} bytes", log.len());
    // a newer job's small result takes the place of the large one
    uploads.put(long, b"a line\n");
    service
        .feed
        .wait("the newer job", RESUMES_WITHIN * 3, || (service.jobs_of("uploads", long).len() == 2).then_some(()));
    service.expect_exact("uploads", long, b"a line\n");
    resumed
}
