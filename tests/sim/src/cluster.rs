//! Some engines on one store that outlives them, each with a line of its own to it, for faults that a test counts
//! instead of leaving them to a seed.
//!
//! Leases, sweeps and waits are those of [`EngineConfig::new`] unless a test says otherwise.

use crate::checks;
use crate::scenario::bucket;
use bytes::Bytes;
use filemill_core::job::Job;
use filemill_core::object::{Attributes, ObjectKey};
use filemill_core::ports::{BlobStore, Clock, Durability, NoNotifier, Precondition, Processor, PutObject, TaskQueue};
use filemill_core::rule::{Rule, RuleSet};
use filemill_core::time::Timestamp;
use filemill_engine::{Chance, Compute, Engine, EngineConfig, Ports, Registry};
use filemill_memory::{FaultPlan, Line, MemoryOptions, MemoryStore, SimClock, Snapshot};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Whatever is not done after this much simulated time is stuck.
const STUCK: Duration = Duration::from_secs(24 * 3600);
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub struct Cluster {
    pub store: Arc<MemoryStore>,
    clock: Arc<SimClock>,
    rules: Vec<Rule>,
    processors: Vec<&'static dyn Processor>,
    set: fn(&mut EngineConfig),
    engines: Mutex<BTreeMap<String, JoinHandle<()>>>,
    /// Engines made so far: each has its own chance.
    made: Mutex<u64>,
}

/// Runs on this thread, in simulated time.
pub fn in_simulated_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(test)
}

/// Lines of different lengths, `bytes` in all; no two numbers give the same.
pub fn text(number: usize, bytes: usize) -> Bytes {
    let mut text = format!("{number}\n");
    let mut line = number;
    while text.len() < bytes {
        line += 1;
        text.push_str(&"x".repeat(line % 23));
        text.push_str(&format!("{line}\r\n"));
    }
    text.truncate(bytes);
    text.into()
}

impl Cluster {
    /// Workers die alone. `set` changes the configuration of every engine.
    pub fn new(faults: FaultPlan, rule: Value, set: fn(&mut EngineConfig)) -> Self {
        let options = MemoryOptions { faults, local_workers: false, ..MemoryOptions::default() };
        Cluster::on(options, rule, set)
    }

    pub fn on(options: MemoryOptions, rule: Value, set: fn(&mut EngineConfig)) -> Self {
        let clock = Arc::new(SimClock::new());
        Cluster {
            store: Arc::new(MemoryStore::new(clock.clone(), options)),
            clock,
            rules: vec![serde_json::from_value(rule).expect("a rule")],
            processors: filemill_processors::ALL.to_vec(),
            set,
            engines: Mutex::default(),
            made: Mutex::default(),
        }
    }

    pub fn with(mut self, processor: &'static dyn Processor) -> Self {
        self.processors.push(processor);
        self
    }

    fn engines(&self) -> MutexGuard<'_, BTreeMap<String, JoinHandle<()>>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An engine that does not run. `queue`, if given, stands for the store's.
    pub fn engine(&self, name: &str, line: Option<Arc<dyn Line>>, queue: Option<Arc<dyn TaskQueue>>) -> Engine {
        let number = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            *made += 1;
            *made
        };
        let store = line.map_or_else(|| self.store.clone(), |line| Arc::new(self.store.over(line)));
        let ports = Ports {
            blobs: store.clone(),
            state: store.clone(),
            queue: queue.unwrap_or_else(|| store.clone()),
            messages: store,
            notifier: Arc::new(NoNotifier),
            clock: self.clock.clone(),
            processors: Registry::new(self.processors.iter().copied()),
            compute: Compute::Inline,
            chance: Chance::from_seed(number),
        };
        let rules = RuleSet::new(self.rules.clone()).expect("rules");
        let mut config = EngineConfig::new(name.to_owned(), bucket("uploads"), rules);
        // the machine that the test runs on decides nothing
        config.chunks_max = 1;
        (self.set)(&mut config);
        Engine::new(ports, config).expect("the rule fits the processors")
    }

    /// Until it is [killed](Cluster::kill).
    pub fn start(&self, name: &str, engine: Engine) {
        let task = tokio::spawn(async move { engine.run(CancellationToken::new()).await });
        self.engines().insert(name.to_owned(), task);
    }

    /// It dies where it stands.
    pub async fn kill(&self, name: &str) {
        let engine = self.engines().remove(name).expect("an engine that runs");
        engine.abort();
        assert!(!engine.await.is_err_and(|e| e.is_panic()), "an engine panicked");
    }

    pub fn is_running(&self, name: &str) -> bool {
        self.engines().contains_key(name)
    }

    pub async fn prepare(&self) {
        self.engine("door", None, None).prepare().await.expect("buckets");
    }

    pub async fn put(&self, key: &str, content: Bytes) {
        let mut stage = self.store.stage(None).expect("a stage");
        stage.write_all(&content).expect("bytes are taken");
        let put = PutObject {
            bucket: bucket("uploads"),
            key: ObjectKey::parse(key).expect("a key"),
            attributes: Attributes::default(),
            checksums: Default::default(),
            etag: None,
            condition: Precondition::None,
        };
        self.store.put(put, stage.finish().expect("staged"), Durability::Synced).await.expect("put");
    }

    /// Looks each second, at what must always hold too, until `is_done`. Engines that died have ended it all.
    pub async fn until(&self, is_done: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let began = self.now();
        loop {
            let snapshot = self.store.snapshot();
            let mut violations = Vec::new();
            checks::always(&snapshot, &mut violations);
            assert!(violations.is_empty(), "{violations:#?}");
            if is_done(&snapshot) {
                return snapshot;
            }
            let open: Vec<&Job> = snapshot.jobs.iter().filter(|job| !job.status.is_terminal()).take(3).collect();
            assert!(self.now().since(began) < STUCK, "it does not end: {open:#?}");
            for (name, engine) in self.engines().iter() {
                assert!(!engine.is_finished(), "{name} stopped");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub fn result(&self, key: &ObjectKey) -> Bytes {
        self.store.content(&bucket("results"), key).expect("a result")
    }
}

/// `count` jobs, all ended, and no announcement left.
pub fn all_ended(snapshot: &Snapshot, count: usize) -> bool {
    snapshot.announcements.is_empty()
        && snapshot.jobs.len() == count
        && snapshot.jobs.iter().all(|job| job.status.is_terminal())
}
