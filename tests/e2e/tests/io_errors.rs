//! The disk answers EIO to a call in the middle of work, each kind of call in turn, of each thread the first, the second and
//! so on until a run has none to fail: what was acknowledged is there after a restart, whole, and every job ends as it should. After a
//! sync that failed nothing is acknowledged any more, least of all what asked for it.

use filemill_e2e::aftermath::expect_consistent;
use filemill_e2e::ledger::{Content, Ledger};
use filemill_e2e::rounds::expect_all_jobs_ended;
use filemill_e2e::s3::{S3, Unknown};
use filemill_e2e::stage::MANY_CHUNKS;
use filemill_e2e::trace::Trace;
use filemill_e2e::{Launch, Service};
use filemill_trials::trials;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SMALL: usize = 2_000;
/// A file of its own.
const LARGE: usize = 100_000;
const JOBS_END_WITHIN: Duration = Duration::from_secs(20);
/// Nothing here makes so many calls of one kind.
const CALLS_MAX: usize = 10_000;

/// With every change some of them, before a release each.
fn next(nth: usize) -> usize {
    if trials(false, true) { nth + 1 } else { nth * 2 }
}

/// Requests one after the other, each acknowledged or not; those of keys that nobody knows about are left out.
struct Work<'a> {
    bucket: S3,
    ledger: &'a Ledger,
    trace: &'a Trace,
    refused: Vec<String>,
    /// After this point the service was told of the error before it was asked.
    acknowledged_too_late: Vec<String>,
    acknowledged_all_the_same: Vec<String>,
}

impl Work<'_> {
    fn ask(&mut self, key: &str, outcome: Option<Content>, request: impl FnOnce(&S3) -> Result<(), Unknown>) {
        if self.refused.iter().any(|refused| refused == key) {
            return;
        }
        let struck_before = self.trace.has_struck();
        self.ledger.begin(key, outcome);
        match request(&self.bucket) {
            Ok(()) => {
                assert!(self.ledger.settle(key), "nobody closed the ledger");
                if struck_before {
                    self.acknowledged_too_late.push(key.to_owned());
                } else if self.trace.has_struck() {
                    self.acknowledged_all_the_same.push(key.to_owned());
                }
            }
            Err(_) => self.refused.push(key.to_owned()),
        }
    }

    fn put(&mut self, key: &str, seed: u64, bytes: usize) {
        let content = Content { seed, bytes };
        self.ask(key, Some(content), |bucket| bucket.try_put(key, &content.make()));
    }

    fn put_parts(&mut self, key: &str, seed: u64, bytes: usize) {
        let content = Content { seed, bytes };
        self.ask(key, Some(content), |bucket| bucket.try_put_parts(key, &content.make(), 5 << 20));
    }

    fn copy(&mut self, from: &str, key: &str) {
        let Some(content) = self.ledger.holds(from) else { return };
        self.ask(key, Some(content), |bucket| bucket.try_copy(from, key));
    }

    fn delete(&mut self, key: &str) {
        self.ask(key, None, |bucket| bucket.try_delete(key));
    }

    /// Makes every kind of content, nothing of it twice.
    fn write(&mut self) {
        self.put("large", 1, LARGE);
        self.put("small", 2, SMALL);
        self.put_parts("parts", 3, LARGE);
        self.copy("large", "copy");
        self.put("large, the second", 4, LARGE);
        self.put("small, the second", 5, SMALL);
    }

    fn change(&mut self) {
        self.put("large", 6, SMALL);
        self.delete("copy");
        self.delete("small");
        self.put("small, the second", 7, LARGE);
        self.put("last", 8, SMALL);
    }
}

/// Those that the first start makes, and more. Elsewhere `write` goes to sockets, to the log and between threads.
fn content_files(data: &Path) -> Vec<PathBuf> {
    const FIRST: u64 = 1 << 40;
    const MADE_MAX: u64 = 64;
    (FIRST..FIRST + MADE_MAX).map(|id| data.join(format!("blobs/01/{id:016x}"))).collect()
}

/// One run with one error; `None` where nobody may look. False if there was none to be had any more.
fn run(call: &str, nth: usize, bucket: &str, work: impl FnOnce(&mut Work<'_>, &Service)) -> Option<bool> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, data) = (folder.path().join("filemill.toml"), folder.path().join("data"));
    std::fs::write(&config, format!("{MANY_CHUNKS}\n[buckets.others]\n")).expect("a config");
    let start = || Launch::on(&data).arg("--config").arg(&config).start();
    let (service, ledger) = (start(), Ledger::default());
    let files = if call == "write" { content_files(&data) } else { Vec::new() };
    let trace = Trace::with_io_error(service.pid(), call, nth, &files)?;
    let mut done = Work {
        bucket: service.bucket(bucket),
        ledger: &ledger,
        trace: &trace,
        refused: Vec::new(),
        acknowledged_too_late: Vec::new(),
        acknowledged_all_the_same: Vec::new(),
    };
    work(&mut done, &service);
    let is_sync = call == "fsync" || call == "fdatasync";
    let (too_late, refused) = (done.acknowledged_too_late, done.refused.len());
    assert!(!is_sync || too_late.is_empty(), "acknowledged after {call} {nth} had failed: {too_late:?}");
    let has_struck = trace.has_struck();
    assert!(has_struck || refused == 0, "refused without any error: {refused}");
    service.kill();
    trace.end();
    expect_consistent(&data);

    let service = start();
    let kept = ledger.check(&service.bucket(bucket));
    if bucket == "uploads" {
        ledger.check_results(&service.bucket("results"));
        expect_all_jobs_ended(&service, &kept);
    }
    service.stop();
    Some(has_struck)
}

/// Until a run had no error.
fn each(call: &str, bucket: &str, work: impl Fn(&mut Work<'_>, &Service)) {
    let (began, mut nth, mut errors) = (Instant::now(), 1, 0);
    loop {
        match run(call, nth, bucket, &work) {
            None => return,
            Some(false) => break,
            Some(true) => errors += 1,
        }
        nth = next(nth);
        assert!(nth < CALLS_MAX, "{call} fails for ever");
    }
    eprintln!("{call}: {errors} errors up to the call number {nth}, 0 violations, {:?}", began.elapsed());
    assert!(errors > 0, "{call} is never called");
}

/// With jobs, whose calls fail too.
fn each_with_jobs(call: &str) {
    each(call, "uploads", |work, service| {
        work.write();
        work.change();
        let deadline = Instant::now() + JOBS_END_WITHIN;
        // the error may strike the question too: then it is not known
        let has_none = |status| {
            let answer = service.get(&format!("/v1/jobs?status={status}"));
            answer.status == 200 && answer.json()["items"].as_array().is_some_and(Vec::is_empty)
        };
        service.feed.wait("the end of the jobs, or an error", JOBS_END_WITHIN, || {
            let ended = ["queued", "running"].into_iter().all(has_none);
            (work.trace.has_struck() || ended || Instant::now() > deadline).then_some(())
        });
    });
}

#[test]
fn a_request_whose_sync_failed_is_not_acknowledged_nor_any_after_it() {
    for call in ["fsync", "fdatasync"] {
        // no rule looks at this bucket, and nothing is removed: every sync is made for the request that waits
        each(call, "others", |work, _| {
            work.write();
            let all_the_same = &work.acknowledged_all_the_same;
            assert!(all_the_same.is_empty(), "acknowledged although {call} failed: {all_the_same:?}");
        });
    }
}

#[test]
fn data_syncs_that_fail_lose_nothing() {
    each_with_jobs("fdatasync");
}

#[test]
fn syncs_of_folders_that_fail_lose_nothing() {
    each_with_jobs("fsync");
}

#[test]
fn writes_of_the_state_file_that_fail_lose_nothing() {
    each_with_jobs("pwrite64");
}

#[test]
fn writes_of_content_that_fail_lose_nothing() {
    each_with_jobs("write");
}

#[test]
fn files_that_cannot_be_opened_lose_nothing() {
    each_with_jobs("openat");
}

#[test]
fn folders_that_cannot_be_made_and_files_that_cannot_be_removed_lose_nothing() {
    each_with_jobs("mkdir");
    each_with_jobs("unlink");
}
