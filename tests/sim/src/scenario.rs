//! What a seed stands for: the configuration, the faults, the workload and the crashes of one run.

use crate::receivers;
use crate::records::{KIND, PERCENT};
use filemill_core::chunks::ChunkLimits;
use filemill_core::object::BucketName;
use filemill_core::reject::RejectTolerance;
use filemill_core::rule::{Name, Process, Rule, RuleSet};
use filemill_engine::{EngineConfig, QueueSettings};
use filemill_memory::{FaultPlan, MemoryOptions};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::time::Duration;

/// The rule of [`crate::records`].
pub const RECORDS: &str = "records";
/// Clients act and engines die within this time; then it is calm.
pub const STORM: Duration = Duration::from_secs(120);
/// More calls of the store than any healthy run makes.
const CALLS_MAX: u64 = 300_000;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub faults: FaultPlan,
    pub publishes: bool,
    pub local_workers: bool,
    pub engines: usize,
    pub chunk_limits: ChunkLimits,
    pub lease: Duration,
    pub attempts: u32,
    pub max_running: Option<u32>,
    /// A second rule on the same files.
    pub has_second_rule: bool,
    /// A rule that takes the results of another.
    pub has_chain: bool,
    /// A rule that surveys, sets records aside and finds.
    pub has_records: bool,
    /// Clients write to a bucket whose rule deletes its sources.
    pub has_inbox: bool,
    /// One client each.
    pub keys: usize,
    pub acts_per_key: u32,
    pub content_bytes_max: usize,
    pub operator_acts: u32,
    /// What an operator does about dead letters: redrives one, orders it for many, discards.
    pub letter_acts: u32,
    /// When engines are killed, and the store loses what was not synced.
    pub crashes: Vec<Duration>,
    /// When an engine is told to stop, and another one starts.
    pub restarts: Vec<Duration>,
    /// Engines compare buckets with files this often; `None`: only an operator does, once it is calm.
    pub reconcile_every: Option<Duration>,
}

impl Scenario {
    pub fn of(seed: u64) -> Self {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let is_calm = rng.random_ratio(1, 8);
        let chunk_bytes = rng.random_range(1..48);
        let mut times = |most: usize| {
            let count = if is_calm { 0 } else { rng.random_range(0..=most) };
            let mut times: Vec<Duration> =
                (0..count).map(|_| Duration::from_millis(rng.random_range(0..STORM.as_millis() as u64))).collect();
            times.sort();
            times
        };
        let (crashes, restarts) = (times(3), times(2));
        let mut scenario = Scenario {
            seed,
            faults: if is_calm { FaultPlan { seed, ..FaultPlan::none() } } else { FaultPlan::mixed(seed) },
            publishes: rng.random_bool(0.7),
            local_workers: rng.random_bool(0.6),
            engines: rng.random_range(1..=3),
            chunk_limits: ChunkLimits { chunk_bytes, chunks_max: rng.random_range(1..80) },
            lease: Duration::from_secs(rng.random_range(6..40)),
            attempts: rng.random_range(2..=6),
            max_running: rng.random_bool(0.3).then(|| rng.random_range(1..4)),
            has_second_rule: rng.random_bool(0.4),
            has_chain: rng.random_bool(0.2),
            has_records: false,
            has_inbox: rng.random_bool(0.2),
            keys: rng.random_range(1..=4),
            acts_per_key: rng.random_range(1..=4),
            content_bytes_max: if rng.random_ratio(1, 10) { 3000 } else { 300 },
            letter_acts: 0,
            operator_acts: if rng.random_bool(0.5) { rng.random_range(1..6) } else { 0 },
            crashes,
            restarts,
            reconcile_every: None,
        };
        // drawn last, so that it changes nothing of what a seed meant before
        scenario.has_records = rng.random_bool(0.4);
        if rng.random_bool(0.6) {
            scenario.letter_acts = rng.random_range(1..12);
            // who gives up early leaves more letters
            scenario.attempts = rng.random_range(1..=2);
        }
        scenario.reconcile_every = rng.random_bool(0.5).then(|| Duration::from_secs(rng.random_range(5..120)));
        scenario
    }

    pub fn is_calm(&self) -> bool {
        self.faults == FaultPlan { seed: self.seed, ..FaultPlan::none() } && self.crashes.is_empty()
    }

    /// A source of chance for one actor.
    pub fn chance_of(&self, actor: u64) -> SmallRng {
        SmallRng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(actor))
    }

    pub fn store_options(&self, keeps_trace: bool) -> MemoryOptions {
        MemoryOptions {
            faults: self.faults.clone(),
            publishes: self.publishes,
            local_workers: self.local_workers,
            keeps_trace,
            calls_max: CALLS_MAX,
            ..MemoryOptions::default()
        }
    }

    /// The bucket that clients write to.
    pub fn from(&self) -> BucketName {
        bucket(if self.has_inbox { "inbox" } else { "uploads" })
    }

    pub fn rules(&self) -> Vec<Rule> {
        let mut rules = vec![self.rule("first", self.from().as_str(), "results", "first/{key}", 1)];
        rules[0].delete_source = self.has_inbox;
        if self.has_second_rule {
            rules.push(self.rule("second", self.from().as_str(), "results", "second/{key}", 1));
        }
        if self.has_records {
            let mut rule = self.rule(RECORDS, self.from().as_str(), "results", "records/{key}", 1);
            rule.process = Process { kind: KIND.into(), options: Default::default() };
            rule.rejects = RejectTolerance { count: None, percent: Some(PERCENT) };
            rules.push(rule);
        }
        if self.has_chain {
            rules.push(self.rule("chain", "results", "chained", "{key}", 2));
        }
        rules
    }

    fn rule(&self, id: &str, from: &str, to: &str, key: &str, max_generation: u32) -> Rule {
        let rule = json!({
            "id": id,
            "from": from,
            "process": { "kind": "lines.prefix", "text": prefix_of(id) },
            "output": { "bucket": to, "key": key },
            "retry": { "attempts": self.attempts, "backoff": "1s..8s" },
            "max_generation": max_generation,
        });
        serde_json::from_value(rule).expect("a rule")
    }

    pub fn engine_config(&self, worker: String) -> EngineConfig {
        let rules = RuleSet::new(self.rules()).expect("rules");
        let mut config = EngineConfig::new(worker, self.from(), rules);
        config.notify = receivers::rules();
        config.chunks_max = 2;
        config.tasks_max = 8;
        config.chunk_limits = self.chunk_limits;
        config.lease = self.lease;
        config.reconcile.every = self.reconcile_every;
        config.upload_link_ttl = Duration::from_secs(60);
        let queue = QueueSettings { max_running: self.max_running, ..QueueSettings::default() };
        config.queues.insert(Name::parse("default").expect("a queue name"), queue);
        config
    }
}

/// What a rule puts before each line: another text for each rule, so that results cannot be mistaken.
pub fn prefix_of(rule: &str) -> String {
    format!("{rule}> ")
}

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect("a bucket name")
}
