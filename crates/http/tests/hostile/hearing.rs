//! How a door is judged: hostile requests one after another, each by the same law, and a good one in between.
//!
//! The law: an answer, and none of the 5xx but "not implemented"; no panic on any thread; within a second; no more than
//! 64 MiB at once. A trial is its number: the same number gives the same request.

use crate::spoiler::Spoiler;
use filemill_trials::trials;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const TRIALS: u64 = 10_000;
const GATE_TRIALS: u64 = 1_000_000;
/// Then the door opens anew, so that what hostile requests made does not pile up.
const TRIALS_PER_DOOR: u64 = 1_000;
const GOOD_EVERY: u64 = 50;
const TIME_MAX: Duration = Duration::from_secs(1);
const BYTES_MAX: u64 = 64 << 20;
/// More of them say nothing new.
const VIOLATIONS_MAX: usize = 5;

/// A door and one kind of request to it.
pub trait Subject: Sized {
    type Request: Debug;

    async fn open() -> Self;
    fn hostile(&mut self, spoiler: &mut Spoiler) -> Self::Request;
    /// The answer's status. `Err`: there was none, or it breaks a law of this subject's own.
    async fn send(&mut self, request: &Self::Request) -> Result<u16, String>;
    /// A good request of each kind works, and nothing is there that should not be.
    async fn good(&mut self) -> Result<(), String>;
}

/// Panics of each thread by its name. The threads of one hearing all have its name.
static PANICS: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

fn watch_panics() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            PANICS.lock().expect("no panic in here").entry(name).or_default().push(info.to_string());
            usual(info);
        }));
    });
}

fn panics_of(set: &str) -> Vec<String> {
    PANICS.lock().expect("no panic in here").remove(set).unwrap_or_default()
}

struct Hearing<S> {
    set: &'static str,
    runtime: Runtime,
    subject: S,
    statuses: BTreeMap<u16, u64>,
    slowest: Duration,
    most_bytes: u64,
    violations: Vec<String>,
}

/// Ten thousand requests, or a million before a release.
pub fn hear<S: Subject>(set: &'static str) {
    watch_panics();
    let thread = std::thread::Builder::new().name(set.to_owned());
    let violations = thread.spawn(move || run::<S>(set)).expect("a thread").join().expect("the test itself goes on");
    assert!(violations.is_empty(), "{set}: {} or more violations:\n{}", violations.len(), violations.join("\n"));
}

fn run<S: Subject>(set: &'static str) -> Vec<String> {
    let trials = trials(TRIALS, GATE_TRIALS);
    let began = Instant::now();
    let runtime = runtime(set);
    let subject = runtime.block_on(S::open());
    let (slowest, most_bytes, violations) = (Duration::ZERO, 0, Vec::new());
    let mut hearing = Hearing { set, runtime, subject, statuses: BTreeMap::new(), slowest, most_bytes, violations };
    let mut done = 0;
    for seed in 0..trials {
        if seed > 0 && seed % TRIALS_PER_DOOR == 0 {
            hearing.runtime = self::runtime(set);
            hearing.subject = hearing.runtime.block_on(S::open());
        }
        hearing.judge(seed);
        if seed % GOOD_EVERY == GOOD_EVERY - 1 {
            let good = hearing.runtime.block_on(hearing.subject.good());
            hearing.violations.extend(good.err().map(|why| format!("after seed {seed} a good request fails: {why}")));
        }
        done = seed + 1;
        if hearing.violations.len() >= VIOLATIONS_MAX {
            break;
        }
    }
    hearing.tell(done, began.elapsed());
    hearing.violations
}

/// One thread for door and client, so that what it allocates can be counted.
fn runtime(set: &str) -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().thread_name(set).build().expect("a runtime")
}

impl<S: Subject> Hearing<S> {
    fn judge(&mut self, seed: u64) {
        let request = self.subject.hostile(&mut Spoiler::new(seed));
        let mut time = Duration::MAX;
        // other tests share the machine: what is slow in itself is slow twice
        for _ in 0..2 {
            let (status, took, bytes) = self.send(&request);
            time = time.min(took);
            self.most_bytes = self.most_bytes.max(bytes);
            *self.statuses.entry(*status.as_ref().unwrap_or(&0)).or_default() += 1;
            let wrong = match status {
                Err(why) => Some(why),
                Ok(status) if status >= 500 && status != 501 => Some(format!("it answers {status}")),
                Ok(_) if bytes > BYTES_MAX => Some(format!("it holds {bytes} bytes")),
                Ok(_) => None,
            };
            let wrongs = wrong.into_iter().chain(panics_of(self.set).into_iter().map(|p| format!("it panics: {p}")));
            let shown = || format!("{request:?}").chars().take(3000).collect::<String>();
            self.violations.extend(wrongs.map(|why| format!("seed {seed}: {why}; sent: {}", shown())));
            if took <= TIME_MAX {
                break;
            }
        }
        self.slowest = self.slowest.max(time);
        if time > TIME_MAX {
            self.violations.push(format!("seed {seed} takes {time:?}"));
        }
    }

    fn send(&mut self, request: &S::Request) -> (Result<u16, String>, Duration, u64) {
        let mut status = Err("nothing was sent".to_owned());
        let began = Instant::now();
        let (runtime, subject) = (&self.runtime, &mut self.subject);
        let held = allocation_counter::measure(|| status = runtime.block_on(subject.send(request)));
        (status, began.elapsed(), held.bytes_max)
    }

    fn tell(&mut self, done: u64, took: Duration) {
        let Hearing { set, statuses, slowest, most_bytes, violations, .. } = self;
        eprintln!(
            "{set}: {done} trials (seeds from 0), {} violations, slowest {slowest:?}, most held {} KiB, statuses \
             {statuses:?}, {took:.1?}",
            violations.len(),
            *most_bytes >> 10
        );
        // else the changes are too few, or so many that no parser is reached
        let (taken, refused) = statuses.iter().partition::<Vec<_>, _>(|(status, _)| **status < 400);
        if taken.is_empty() || refused.is_empty() {
            violations.push("the requests are all taken, or all refused".to_owned());
        }
    }
}
