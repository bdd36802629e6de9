//! Claim, finish, sweep and redrive in any order: the real engine's steps on a few threads, and at every call of the
//! store shuttle chooses who goes on. 20,000 schedules, a million with `FILEMILL_TEST_GATE=1`; a failing one is
//! printed and can be replayed.
//!
//! Time is a number that one of the threads moves, so leases run out between any two calls of their holders.

use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::audit::Actor;
use filemill_core::chunks::ChunkLimits;
use filemill_core::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterStatus};
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits;
use filemill_core::object::{Attributes, BucketName, ObjectKey};
use filemill_core::ports::{BlobStore, Clock, Durability, FileQuery, JobQuery, Precondition, PutObject, Staged};
use filemill_core::record::Recorded;
use filemill_core::redrive::RedriveManner;
use filemill_core::rule::RuleSet;
use filemill_core::time::Timestamp;
use filemill_engine::{Chance, Compute, Engine, EngineConfig, Ports, Registry};
use filemill_memory::{FaultPlan, MemoryOptions, MemoryStore};
use filemill_trials::trials;
use serde_json::json;
use shuttle::future::block_on;
use shuttle::scheduler::RandomScheduler;
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

const SCHEDULES: usize = 20_000;
const GATE: usize = 1_000_000;
const LEASE: Duration = Duration::from_secs(30);
const INPUT: &[u8] = b"one\ntwo\nthree\n";
const OUTPUT: &[u8] = b"> one\n> two\n> three\n";

/// A plan and an assembly, and the chunks between: whoever tries more often lost a lease in mid-work.
const TASKS_BESIDE_CHUNKS: u32 = 2;

/// What the schedules met, all together.
static LEASES_LOST: AtomicUsize = AtomicUsize::new(0);
static LETTERS_MADE: AtomicUsize = AtomicUsize::new(0);
static LETTERS_REDRIVEN: AtomicUsize = AtomicUsize::new(0);

/// Whoever sleeps lets others go first, and goes on at once.
struct HandTime(AtomicI64);

#[async_trait::async_trait]
impl Clock for HandTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst) as u64)
    }

    async fn sleep(&self, _duration: Duration) {
        thread::yield_now();
    }
}

impl HandTime {
    fn pass(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis() as i64, Ordering::SeqCst);
    }
}

struct World {
    store: Arc<MemoryStore>,
    clock: Arc<HandTime>,
    attempts: u32,
}

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect("a bucket name")
}

impl World {
    fn new(attempts: u32) -> Self {
        let clock = Arc::new(HandTime(AtomicI64::new(1_700_000_000_000)));
        // every call waits, before and behind: there others go on
        let faults = FaultPlan { delay: 1.0, delay_max: Duration::from_millis(1), ..FaultPlan::none() };
        let store = MemoryStore::new(clock.clone(), MemoryOptions { faults, ..MemoryOptions::default() });
        World { store: Arc::new(store), clock, attempts }
    }

    fn engine(&self, name: &str) -> Engine {
        let rule = json!({
            "id": "hello", "from": "uploads", "process": { "kind": "lines.prefix", "text": "> " },
            "output": { "bucket": "results" }, "retry": { "attempts": self.attempts, "backoff": "1s..1s" },
        });
        let rules = RuleSet::new(vec![serde_json::from_value(rule).expect("a rule")]).expect("rules");
        let mut config = EngineConfig::new(name.into(), bucket("uploads"), rules);
        // a small file would be done in one lease
        config.chunk_limits = ChunkLimits { chunk_bytes: 5, chunks_max: 100 };
        config.lease = LEASE;
        let ports = Ports {
            blobs: self.store.clone(),
            state: self.store.clone(),
            queue: self.store.clone(),
            messages: self.store.clone(),
            notifier: Arc::new(filemill_core::ports::NoNotifier),
            clock: self.clock.clone(),
            processors: Registry::new(filemill_processors::ALL.iter().copied()),
            compute: Compute::Inline,
            chance: Chance::from_seed(1),
        };
        Engine::new(ports, config).expect("a configuration")
    }

    /// The file is there and its job is born.
    async fn begin(&self) -> Engine {
        let engine = self.engine("one");
        engine.prepare().await.expect("buckets");
        let put = PutObject {
            bucket: bucket("uploads"),
            key: ObjectKey::parse("k").expect("a key"),
            attributes: Attributes::default(),
            checksums: Default::default(),
            etag: None,
            condition: Precondition::None,
        };
        let staged = Staged::inline(Bytes::from_static(INPUT));
        self.store.put(put, staged, Durability::Synced).await.expect("put");
        engine.files(&Principal::service(), FileQuery { limit: 1, ..FileQuery::default() }).await.expect("ingested");
        engine
    }

    fn letters(&self) -> Vec<DeadLetter> {
        let records = self.store.snapshot().records.into_iter().filter(|record| record.kind == DeadLetter::KIND);
        records.map(|record| record.read().expect("a letter").value).collect()
    }
}

/// Half of the schedules for each test.
fn in_many_orders(test: impl Fn() + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    // the engine's steps are deeper than shuttle's threads usually go
    config.stack_size = 4 << 20;
    // a step asks for the runtime that it might read other objects on; nothing here ever does
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _entered = runtime.enter();
    let schedules = trials(SCHEDULES, GATE) / 2;
    let run = shuttle::Runner::new(RandomScheduler::new(schedules), config).run(test);
    eprintln!("{run} of {schedules} schedules ended well");
}

/// What no schedule met is not proved by any.
fn expect_met(what: &str, count: &AtomicUsize) {
    let count = count.load(Ordering::SeqCst);
    eprintln!("{count} {what}");
    assert!(count > 0, "no {what}, so the schedules prove nothing about it");
}

async fn the_job(engine: &Engine) -> Job {
    engine
        .jobs(&Principal::service(), JobQuery { limit: 2, ..JobQuery::default() })
        .await
        .expect("jobs")
        .items
        .pop()
        .expect("a job")
}

fn a_worker(world: &Arc<World>, name: &'static str, turns: usize) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || {
        let engine = world.engine(name);
        for _ in 0..turns {
            let _refused_or_not = block_on(engine.work_once());
        }
    })
}

fn a_sweeper(world: &Arc<World>) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || block_on(world.engine("sweeper").sweep()).expect("a sweep"))
}

/// Leases and back-offs run out.
fn time(world: &Arc<World>, steps: usize) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || {
        for _ in 0..steps {
            thread::yield_now();
            world.clock.pass(LEASE + Duration::from_secs(1));
        }
    })
}

/// One worker alone brings everything to its end.
async fn finish(world: &World, engine: &Engine) -> Job {
    for _ in 0..200 {
        world.clock.pass(LEASE + Duration::from_secs(1));
        while engine.work_once().await.expect("no faults") {}
        let job = the_job(engine).await;
        if job.status.is_terminal() {
            return job;
        }
    }
    panic!("the job does not end: {:?} {:?}", the_job(engine).await, world.store.snapshot().tasks);
}

async fn judge(world: &World, engine: &Engine, job: &Job) {
    world.clock.pass(limits::MULTIPART_TTL + limits::RESUMABLE_FOR);
    engine.sweep().await.expect("the last sweep");
    let snapshot = world.store.snapshot();
    assert_eq!(snapshot.jobs.len(), 1, "twins");
    assert!(snapshot.tasks.is_empty() && snapshot.chunks.is_empty(), "{:?} {:?}", snapshot.tasks, snapshot.chunks);
    assert!(snapshot.multiparts.is_empty() && snapshot.parts.is_empty(), "parts are left");
    match job.status {
        JobStatus::Completed => {
            let result = world.store.content(&bucket("results"), &job.target.key).expect("a result");
            assert_eq!(&result[..], OUTPUT);
            assert_eq!((job.chunks_done, job.bytes_in), (job.chunks_total(), INPUT.len() as u64));
        }
        JobStatus::Failed => assert!(job.dead_letter.is_some(), "it failed, and not because a task gave up: {job:?}"),
        status => panic!("{status}"),
    }
    let dead: Vec<_> = world.letters().into_iter().filter(|l| l.status == DeadLetterStatus::Dead).collect();
    assert_eq!(dead.iter().map(|l| &l.id).collect::<Vec<_>>(), job.dead_letter.iter().collect::<Vec<_>>());
}

#[test]
fn two_workers_a_sweeper_and_leases_that_run_out_finish_a_job_once() {
    in_many_orders(|| {
        let world = Arc::new(World::new(50));
        let engine = block_on(world.begin());
        let threads = [a_worker(&world, "one", 6), a_worker(&world, "two", 6), a_sweeper(&world), time(&world, 3)];
        threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
        block_on(async {
            let job = finish(&world, &engine).await;
            assert_eq!(job.status, JobStatus::Completed, "attempts were left: {job:?}");
            judge(&world, &engine, &job).await;
            let has_lost_one = job.attempts > job.chunks_total() + TASKS_BESIDE_CHUNKS;
            LEASES_LOST.fetch_add(usize::from(has_lost_one), Ordering::SeqCst);
        });
    });
    expect_met("schedules with a lease that ran out in mid-work", &LEASES_LOST);
}

#[test]
fn a_letter_redriven_twice_while_others_work_opens_its_job_once() {
    in_many_orders(|| {
        let world = Arc::new(World::new(1));
        let engine = block_on(world.begin());
        let operators = ["day", "night"].map(|name| {
            let world = world.clone();
            thread::spawn(move || block_on(redrive_what_is_dead(&world.engine("door"), name)))
        });
        let threads = [a_worker(&world, "one", 5), a_worker(&world, "two", 5), time(&world, 3)];
        threads.into_iter().chain(operators).for_each(|thread| thread.join().expect("a thread"));
        block_on(async {
            let job = finish(&world, &engine).await;
            judge(&world, &engine, &job).await;
            let letters = world.letters();
            let redriven = letters.iter().filter(|l| l.status == DeadLetterStatus::Redriven).count();
            let orders = world.store.snapshot().records.iter().filter(|r| r.kind.as_str() == "audit").count();
            assert_eq!(redriven, orders, "each order that was taken ended one letter");
            LETTERS_MADE.fetch_add(letters.len(), Ordering::SeqCst);
            LETTERS_REDRIVEN.fetch_add(redriven, Ordering::SeqCst);
        });
    });
    expect_met("letters made", &LETTERS_MADE);
    expect_met("letters redriven", &LETTERS_REDRIVEN);
}

async fn redrive_what_is_dead(engine: &Engine, name: &str) {
    let somebody = Principal::unlimited(Actor::named(name));
    let dead = DeadLetterFilter { status: Some(DeadLetterStatus::Dead), ..DeadLetterFilter::default() };
    for _ in 0..4 {
        let Ok(page) = engine.dead_letters(&somebody, &dead, None, 10).await else { continue };
        for letter in page.items {
            let _taken_or_refused = engine.redrive_dead_letter(&somebody, &letter.id, &RedriveManner::default()).await;
        }
    }
}
