//! One round of a crash test: load, an end at a random moment, a new start, and the check of everything acknowledged.

use crate::launch::Launch;
use crate::ledger::{Kept, Ledger};
use crate::reference::{assert_same, prefixed};
use crate::service::Service;
use crate::{Job, load};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::path::Path;
use std::time::{Duration, Instant};

pub const ROUNDS: u64 = 20;
/// A restart that has to clean up after a crash is as quick as any.
const READY: Duration = Duration::from_secs(5);
/// Leases of lost workers end, retries wait: then every job has ended.
const ALL_ENDED: Duration = Duration::from_secs(120);
/// Why a job may end without a result when its input is overwritten and deleted all the time.
const OVERTAKEN: [&str; 3] = ["input_gone", "input_changed", "superseded"];

/// The seed of this run: `FILEMILL_SEED`, or a new one. Printed, so that a failure can be tried again.
pub fn seed() -> u64 {
    let given = std::env::var("FILEMILL_SEED").ok().map(|text| text.parse().expect("FILEMILL_SEED is a number"));
    let seed = given.unwrap_or_else(|| SmallRng::from_os_rng().random());
    eprintln!("FILEMILL_SEED={seed}");
    seed
}

pub fn start(data: &Path) -> Service {
    let service = Launch::on(data).start();
    assert!(service.ready_in <= READY, "ready after {:?}", service.ready_in);
    service
}

/// Load on the service until `end` ends it, at a moment that follows from the seed.
pub fn load_until(ledger: &Ledger, service: Service, seed: u64, end: impl FnOnce(Service)) {
    let mut chance = SmallRng::seed_from_u64(seed);
    let enough = ledger.acknowledged() + chance.random_range(5..60);
    std::thread::scope(|scope| {
        let writers = load::start(scope, ledger, &service.bucket("uploads"), seed);
        let all_well = ledger.wait_for(enough);
        // not a wait for anything: the moment itself is random
        std::thread::sleep(Duration::from_micros(chance.random_range(0..30_000)));
        end(service);
        let reasons: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
        assert!(all_well, "the writers were left unanswered before the end: {reasons:?}");
    });
}

/// Every job ends, those of the newest versions well, and their results are exact.
pub fn expect_all_jobs_ended(service: &Service, kept: &[Kept]) {
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
    for job in service.jobs("status=failed&limit=1000") {
        let code = job.0["failure"]["code"].as_str().unwrap_or_default();
        assert!(OVERTAKEN.contains(&code), "{}", job.0);
    }
}
