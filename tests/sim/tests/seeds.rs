//! The seeds: 2,000 of them in the normal run, 100,000 with `FILEMILL_TEST_GATE=1`, spread over the cores.
//!
//! `FILEMILL_SIM_SEED=N cargo test -p filemill-sim -- --nocapture` replays one with its trace;
//! `FILEMILL_SIM_SEEDS=A..B` runs a range of them, whatever the gate says.

use filemill_sim::{Met, Report, run};
use filemill_trials::trials;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const SEEDS: Range<u64> = 0..2_000;
const GATE: Range<u64> = 0..100_000;
/// Failing seeds that are told before the run is given up.
const TOLD_MAX: usize = 5;

fn judged(seed: u64, keeps_trace: bool) -> Report {
    let caught = catch_unwind(AssertUnwindSafe(|| run(seed, keeps_trace)));
    caught.unwrap_or_else(|_| Report { violations: vec!["it panicked".into()], ..Report::default() })
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("FILEMILL_SIM_SEEDS") else { return trials(SEEDS, GATE) };
    let (from, to) = text.split_once("..").expect("FILEMILL_SIM_SEEDS is A..B");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn every_seed_ends_well() {
    if let Ok(seed) = std::env::var("FILEMILL_SIM_SEED") {
        return replay(seed.parse().expect("FILEMILL_SIM_SEED is a number"));
    }
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let (failures, calls, met) = (Mutex::new(Vec::new()), AtomicU64::new(0), Mutex::new(Met::default()));
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failures.lock().expect("no test thread panics").len() < TOLD_MAX {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = judged(seed, false);
                    calls.fetch_add(report.calls, Ordering::Relaxed);
                    *met.lock().expect("no test thread panics") += report.met;
                    if !report.violations.is_empty() {
                        failures.lock().expect("no test thread panics").push((seed, report.violations));
                    }
                }
            });
        }
    });
    let met = met.into_inner().expect("no test thread panics");
    let failures = failures.into_inner().expect("no test thread panics");
    eprintln!(
        "seeds {seeds:?}: {} did not end well; {met:?}, {} calls of the store",
        failures.len(),
        calls.into_inner()
    );
    if seeds.end - seeds.start >= SEEDS.end {
        expect_all_met(met);
    }
    for (seed, violations) in &failures {
        eprintln!("FILEMILL_SIM_SEED={seed}: {} violations", violations.len());
        violations.iter().take(3).for_each(|v| eprintln!("    {v}"));
    }
    assert!(failures.is_empty(), "{} seeds did not end well; replay one with FILEMILL_SIM_SEED", failures.len());
}

/// What the seeds never meet they do not prove.
fn expect_all_met(met: Met) {
    let Met { jobs, cancels, letters_redriven, repairs, deliveries, engines_at_once } = met;
    let counts = [jobs, cancels, letters_redriven as usize, repairs, deliveries, engines_at_once];
    assert!(!counts.contains(&0), "the seeds do not meet all that they are there for: {met:?}");
}

fn replay(seed: u64) {
    println!("{:#?}", filemill_sim::Scenario::of(seed));
    let report = judged(seed, true);
    report.trace.iter().for_each(|line| println!("{line}"));
    report.violations.iter().for_each(|v| println!("VIOLATION {v}"));
    println!("trace {:016x}, {} calls, {:?}", report.trace_hash, report.calls, report.met);
    assert!(report.violations.is_empty(), "seed {seed} did not end well");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let first = judged(seed, false);
        let second = judged(seed, false);
        assert_eq!((first.trace_hash, first.calls), (second.trace_hash, second.calls), "seed {seed}");
        hashes.insert(first.trace_hash);
    }
    assert_eq!(hashes.len(), 40, "different seeds give different runs");
}
