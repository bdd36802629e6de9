//! A crash test: rounds of load, each with an end at a random moment, a new start, and the check of everything that was
//! acknowledged and told. Some starts are ended too, in the middle of recovery, several in a row.

use crate::aftermath::{self, UnderWay};
use crate::ledger::{Kept, Ledger};
use crate::reference::{assert_same, prefixed};
use crate::s3::Listed;
use crate::service::Service;
use crate::{Job, Launch, binary, http, launch, load};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Of one data folder. Whoever wants more takes more folders, or most of the time would go into checking what is old.
pub const ROUNDS: u64 = 20;
/// So many rounds begin with starts that are ended in the middle of recovery, one after the other.
const BROKEN_RECOVERIES: u64 = 5;
const BROKEN_STARTS: u64 = 5;
/// A restart that has to clean up after a crash is as quick as any.
const READY: Duration = Duration::from_secs(5);
/// Of all of them, so many are ended before they were ready. The moment is any within the quickest start so far, so most are.
const BROKEN_IN_TIME_MIN: u64 = BROKEN_RECOVERIES * BROKEN_STARTS / 2;
/// Leases of lost workers end, retries wait: then every job has ended.
const ALL_ENDED: Duration = Duration::from_secs(120);
/// Why a job may end without a result when its input is overwritten and deleted all the time.
const OVERTAKEN: [&str; 3] = ["input_gone", "input_changed", "superseded"];

/// How a service ends in this test.
pub trait Crash {
    /// Before the service starts: makes ready whatever would delay the end.
    fn arm(&mut self) {}

    /// The end; `kill` ends the process. Answers no longer count from the moment on that the ledger is closed. When
    /// this returns the data folder is there again.
    fn strike(&mut self, ledger: &Ledger, kill: impl FnOnce());
}

/// Answers how many requests were acknowledged.
pub fn run(data: &Path, mut crash: impl Crash) -> usize {
    let (ledger, seed) = (Ledger::default(), seed());
    let (mut told, mut under_way) = (Told::default(), UnderWay::default());
    let (mut quickest, mut slowest, mut broken_in_time) = (READY, Duration::ZERO, 0);
    for round in 0..ROUNDS {
        let mut chance = SmallRng::seed_from_u64(seed.wrapping_add(round));
        // not the first: there is nothing to recover yet
        if round % (ROUNDS / BROKEN_RECOVERIES) == 1 {
            for _ in 0..BROKEN_STARTS {
                crash.arm();
                let moment = chance.random_range(Duration::ZERO..quickest);
                broken_in_time += u64::from(break_a_start(data, moment, |kill| crash.strike(&ledger, kill)));
            }
        }
        crash.arm();
        let service = start(data);
        (quickest, slowest) = (quickest.min(service.ready_in), slowest.max(service.ready_in));
        check(&ledger, &told, &service);
        load_until(&ledger, &mut chance, service, |service| {
            told.listen(&service);
            crash.strike(&ledger, || service.kill());
        });
        under_way += aftermath::expect_consistent(data);
    }
    let service = start(data);
    let kept = check(&ledger, &told, &service);
    let all_ended = expect_all_jobs_ended(&service, &kept);
    expect_files_are_objects(&service);
    service.stop();
    aftermath::expect_consistent(data);
    eprintln!(
        "{ROUNDS} ends and {BROKEN_RECOVERIES} x {BROKEN_STARTS} broken recoveries, {broken_in_time} of them before they were \
         ready, {} acknowledged, {} told, 0 violations; \
         under way at the ends: {under_way:?}; ready after {slowest:?} at the slowest, all ended {all_ended:?} after the last",
        ledger.acknowledged(),
        told.0.len()
    );
    assert!(broken_in_time >= BROKEN_IN_TIME_MIN, "only {broken_in_time} recoveries were broken off");
    assert!(under_way.jobs > 0 && under_way.tasks > 0, "there was no load at the end: {under_way:?}");
    ledger.acknowledged()
}

/// The seed of this run: `FILEMILL_SEED`, or a new one. Printed, so that a failure can be tried again.
pub fn seed() -> u64 {
    let given = std::env::var("FILEMILL_SEED").ok().map(|text| text.parse().expect("FILEMILL_SEED is a number"));
    let seed = given.unwrap_or_else(|| SmallRng::from_os_rng().random());
    eprintln!("FILEMILL_SEED={seed}");
    seed
}

fn start(data: &Path) -> Service {
    let service = Launch::on(data).start();
    assert!(service.ready_in <= READY, "ready after {:?}", service.ready_in);
    service
}

/// Ends a service that is about to start. Answers whether it was not ready by then.
fn break_a_start(data: &Path, moment: Duration, end: impl FnOnce(&mut dyn FnMut())) -> bool {
    let mut serve = binary::command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let (ready, _ended) = launch::watch(child.stdout.take().expect("stdout is piped"));
    // not a wait for anything: the moment itself is random
    std::thread::sleep(moment);
    let is_in_time = ready.try_recv().is_err();
    end(&mut || {
        child.kill().expect("a child of ours can be killed");
        child.wait().expect("a child of ours can be waited for");
    });
    is_in_time
}

/// What was acknowledged and told is there, before anything else is asked of the service.
fn check(ledger: &Ledger, told: &Told, service: &Service) -> Vec<Kept> {
    let kept = ledger.check(&service.bucket("uploads"));
    ledger.check_results(&service.bucket("results"));
    told.check(service);
    kept
}

/// Load on the service until `end` ends it, at a moment that follows from the seed.
fn load_until(ledger: &Ledger, chance: &mut SmallRng, service: Service, end: impl FnOnce(Service)) {
    let enough = ledger.acknowledged() + chance.random_range(5..100);
    std::thread::scope(|scope| {
        let writers = load::start(scope, ledger, &service.bucket("uploads"), chance.random());
        let all_well = ledger.wait_for(enough);
        // not a wait for anything: the moment itself is random
        std::thread::sleep(Duration::from_micros(chance.random_range(0..30_000)));
        end(service);
        let reasons: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
        assert!(all_well, "the writers were left unanswered before the end: {reasons:?}");
    });
}

/// Jobs that the live feed told to have ended, with their status. That is a promise too.
#[derive(Default)]
struct Told(BTreeMap<String, &'static str>);

impl Told {
    fn listen(&mut self, service: &Service) {
        for event in service.feed.events() {
            let status = match event["kind"].as_str() {
                Some("job.completed") => "completed",
                Some("job.failed") => "failed",
                _ => continue,
            };
            self.0.insert(event["job"].as_str().expect("a job's event names it").to_owned(), status);
        }
    }

    fn check(&self, service: &Service) {
        let jobs = all_jobs(service);
        let jobs: BTreeMap<&str, &Job> = jobs.iter().map(|job| (job.id(), job)).collect();
        for (id, status) in &self.0 {
            let now = jobs.get(id.as_str()).unwrap_or_else(|| panic!("job {id} was told to be {status}"));
            assert_eq!(now.status(), *status, "told before the end: {}", now.0);
        }
    }
}

fn all_jobs(service: &Service) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut place = String::new();
    loop {
        let page = service.get(&format!("/v1/jobs?limit=1000{place}")).expect(200).json();
        jobs.extend(page["items"].as_array().expect("a list has items").iter().cloned().map(Job));
        match page["next_cursor"].as_str() {
            Some(cursor) => place = format!("&{}", http::query(&[("cursor", cursor)])),
            None => return jobs,
        }
    }
}

/// Every job ends, those of the newest versions well, and their results are exact. Answers when all had ended.
pub fn expect_all_jobs_ended(service: &Service, kept: &[Kept]) -> Duration {
    let began = Instant::now();
    let open = || ["queued", "running"].map(|status| service.jobs(&format!("status={status}&limit=1000"))).concat();
    for kept in kept {
        let what = format!("the end of the job of {}", kept.key);
        let job = service.feed.wait(&what, ALL_ENDED.saturating_sub(began.elapsed()), || {
            let jobs = service.jobs_of("uploads", &kept.key).into_iter();
            jobs.filter(|job| job.input_etag() == kept.etag).find(Job::has_ended)
        });
        let expected = prefixed(&kept.content.make());
        assert_same(&format!("result of {}", kept.key), &service.result(&job.expect_completed()), &expected);
    }
    service
        .feed
        .wait("the end of all jobs", ALL_ENDED.saturating_sub(began.elapsed()), || open().is_empty().then_some(()));
    let ended = began.elapsed();
    for job in service.jobs("status=failed&limit=1000") {
        let code = job.0["failure"]["code"].as_str().unwrap_or_default();
        assert!(OVERTAKEN.contains(&code), "{}", job.0);
    }
    ended
}

/// What is on record is what is there.
fn expect_files_are_objects(service: &Service) {
    for bucket in ["uploads", "results"] {
        let objects = service.bucket(bucket).list(1000);
        service
            .feed
            .wait("the records of all objects", ALL_ENDED, || (files(service, bucket) == objects).then_some(()));
    }
}

fn files(service: &Service, bucket: &str) -> Vec<Listed> {
    let page = service.get(&format!("/v1/files?bucket={bucket}&limit=1000")).expect(200).json();
    let listed = |file: &serde_json::Value| Listed {
        key: file["key"].as_str().expect("a file has its key").to_owned(),
        etag: file["etag"].as_str().expect("a file has its tag").to_owned(),
        size: file["size"].as_u64().expect("a file has its size"),
    };
    page["items"].as_array().expect("a list has items").iter().map(listed).collect()
}
