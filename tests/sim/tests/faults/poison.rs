//! A tenth of all jobs is poison: the processor fails, panics or hangs at each try. Each ends as a dead letter after
//! exactly five attempts, and the others hardly notice: their p99 is at most 1.5 times that of a run without poison.
//!
//! What fails or panics is dead within five minutes. What hangs is so where `no_progress_timeout` is 30 s, as a lease
//! is; by default it is 5 minutes, for slow sources, so five tries take 25 minutes and the waits between them. What
//! takes its worker with it, all memory say, is in `killers.rs`.

use super::places::key;
use filemill_core::chunks::Cut;
use filemill_core::dead_letter::DeadLetter;
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits;
use filemill_core::object::ObjectKey;
use filemill_core::ports::{Chunk, ChunkReport, InputFacts, ProcessError, Processor, ProcessorSpec, Transform, Work};
use filemill_core::record::Recorded;
use filemill_core::retry::RetryPolicy;
use filemill_core::task::TaskError;
use filemill_engine::EngineConfig;
use filemill_memory::{FaultPlan, Snapshot};
use filemill_sim::SlowReads;
use filemill_sim::cluster::{Cluster, all_ended, in_simulated_time};
use filemill_trials::trials;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One job in ten is poison, of each kind in turn.
const POISON: usize = 10;
const KINDS: [&str; 3] = ["fail", "panic", "hang"];
/// One job each.
const EVERY: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 5;
const DEAD_WITHIN: Duration = Duration::from_secs(300);
const SLOWER_MAX: f64 = 1.5;
const SEED: u64 = 9;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("sim.poison"),
    summary: Cow::Borrowed("Copies, unless its input says what to do instead."),
    options: &[],
};

struct Poisoned;

impl Processor for Poisoned {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, _options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(Poisoned))
    }
}

impl Transform for Poisoned {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, _chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let mut content = String::new();
        work.input.read_to_string(&mut content)?;
        match content.as_str() {
            "fail" => return Err(ProcessError::Failed(TaskError::transient("sim_failed", "it failed"))),
            // as a panic, but nothing is printed
            "panic" => std::panic::resume_unwind(Box::new("poison")),
            _ => work.output.write_all(content.as_bytes())?,
        }
        Ok(ChunkReport::default())
    }
}

/// What hangs is stuck where its input is opened: a processor runs at once here, and cannot hang by itself. To the
/// worker both are a step that shows no sign of life.
fn work(key: &ObjectKey, number: usize) -> Option<Duration> {
    let mut chance = SmallRng::seed_from_u64(SEED + number as u64);
    (!key.starts_with("hang")).then(|| Duration::from_millis(chance.random_range(1_000..5_000)))
}

fn number_of(key: &ObjectKey) -> usize {
    key.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a key ends in its number")
}

fn poison_of(number: usize) -> Option<&'static str> {
    number.is_multiple_of(POISON).then(|| KINDS[number / POISON % KINDS.len()])
}

/// One engine with its default settings, unless `set` changes them.
async fn run(count: usize, is_poisoned: bool, set: fn(&mut EngineConfig)) -> (Cluster, Snapshot) {
    let rule = json!({
        "id": "poison", "from": "uploads", "process": { "kind": "sim.poison" },
        "output": { "bucket": "results" },
    });
    let cluster = Cluster::new(FaultPlan::none(), rule, set).with(&Poisoned);
    cluster.prepare().await;
    let line = SlowReads(|key: &ObjectKey| work(key, number_of(key)));
    cluster.start("worker", cluster.engine("worker", Some(Arc::new(line)), None));
    for number in 0..count {
        let what = poison_of(number).filter(|_| is_poisoned).unwrap_or("good");
        cluster.put(&key(&format!("{what}-{number}")), what.into()).await;
        tokio::time::sleep(EVERY).await;
    }
    let snapshot = cluster.until(|snapshot| all_ended(snapshot, count)).await;
    (cluster, snapshot)
}

/// From the upload to the end.
fn took(job: &Job) -> Duration {
    job.finished_at.expect("it has ended").since(job.created_at)
}

/// Of the jobs that are good in either run.
fn p99_of_good(snapshot: &Snapshot) -> Duration {
    let good = snapshot.jobs.iter().filter(|job| poison_of(number_of(&job.input.key)).is_none());
    let mut times: Vec<Duration> = good.map(took).collect();
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1]
}

#[test]
fn poison_ends_as_dead_letters_and_others_hardly_notice() {
    // all tries hang as long as they may, each is noticed at the next look, and the waits are the longest
    let retry = RetryPolicy::default();
    let tries = (limits::NO_PROGRESS_TIMEOUT + limits::WORKER_POLL) * ATTEMPTS;
    let waits: Duration = (1..ATTEMPTS).map(|attempt| retry.wait_after(attempt, u64::MAX)).sum();
    judge("by default", |_| (), tries + waits);
}

#[test]
fn what_hangs_is_dead_within_five_minutes_where_the_config_says_so() {
    judge("no progress for 30 s", |config| config.no_progress_timeout = limits::LEASE, DEAD_WITHIN);
}

fn judge(name: &str, set: fn(&mut EngineConfig), hung_dead_within: Duration) {
    let count = trials(100, 1_000);
    let (_, clean) = in_simulated_time(run(count, false, set));
    let (cluster, poisoned) = in_simulated_time(run(count, true, set));
    let (before, after) = (p99_of_good(&clean), p99_of_good(&poisoned));
    let records = poisoned.records.iter().filter(|record| record.kind == DeadLetter::KIND);
    let letters: BTreeMap<_, DeadLetter> = records
        .map(|record| record.clone().read::<DeadLetter>().expect("a letter").value)
        .map(|letter| (letter.job().clone(), letter))
        .collect();
    let (dead, good): (Vec<&Job>, Vec<&Job>) =
        poisoned.jobs.iter().partition(|job| poison_of(number_of(&job.input.key)).is_some());
    let kind_of = |job: &Job| poison_of(number_of(&job.input.key)).expect("it is poison");
    let slowest = KINDS.map(|kind| {
        let took = dead.iter().filter(|job| kind_of(job) == kind).map(|job| took(job));
        (kind, took.max().expect("some of each kind"))
    });
    eprintln!(
        "{name}: {count} jobs, {} of them poison, dead behind at most {slowest:?}; p99 of good jobs {after:?}, without \
         poison {before:?}; seed {SEED}",
        dead.len(),
    );
    assert!(clean.jobs.iter().all(|job| job.status == JobStatus::Completed));
    assert_eq!((dead.len(), letters.len()), (count / POISON, count / POISON));
    for job in dead {
        let letter = letters.get(&job.id).unwrap_or_else(|| panic!("it has no letter: {job:?}"));
        assert_eq!((job.status, job.attempts, letter.attempts.len()), (JobStatus::Failed, ATTEMPTS, 5), "{letter:?}");
        let (wanted, within) = match kind_of(job) {
            "fail" => ("sim_failed", DEAD_WITHIN),
            "panic" => ("processor_panicked", DEAD_WITHIN),
            _ => ("no_progress", hung_dead_within),
        };
        let codes = letter.attempts.iter().map(|attempt| attempt.error.as_ref().map_or("", |error| &error.code));
        assert!(codes.into_iter().all(|code| code == wanted), "{letter:?}");
        assert!(letter.died_at.since(job.created_at) <= within, "{job:?}");
    }
    for job in good {
        assert_eq!((job.status, job.attempts), (JobStatus::Completed, 1), "{job:?}");
        assert_eq!(&cluster.result(&job.input.key)[..], b"good");
    }
    assert!(after.as_secs_f64() <= SLOWER_MAX * before.as_secs_f64(), "{after:?} instead of {before:?}");
}
