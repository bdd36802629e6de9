//! An engine on the memory adapter, at work, and what tests ask of it.

use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::chunks::ChunkLimits;
use filemill_core::job::Job;
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{BlobStore, Durability, JobQuery, Precondition, Processor, PutObject, Staged};
use filemill_core::rule::{Rule, RuleSet};
use filemill_engine::{Chance, Compute, Engine, EngineConfig, Ports, Registry};
use filemill_memory::{MemoryOptions, MemoryStore, SimClock};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

#[allow(dead_code, reason = "not every test stops it by hand")]
pub struct Service {
    pub engine: Engine,
    pub store: Arc<MemoryStore>,
    /// Dropped: the engine stops.
    pub stops: DropGuard,
}

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).expect(name)
}

/// A store and an engine on it that does not run yet; `more` are processors besides the built-in ones.
pub fn build(
    rules: Vec<serde_json::Value>,
    publishes: bool,
    more: &[&'static dyn Processor],
) -> (Engine, Arc<MemoryStore>) {
    let clock = Arc::new(SimClock::new());
    let options = MemoryOptions { publishes, ..MemoryOptions::default() };
    let store = Arc::new(MemoryStore::new(clock.clone(), options));
    (engine_on(&store, clock, rules, more), store)
}

/// One more engine on the same store.
pub fn engine_on(
    store: &Arc<MemoryStore>,
    clock: Arc<SimClock>,
    rules: Vec<serde_json::Value>,
    more: &[&'static dyn Processor],
) -> Engine {
    let rules: Vec<Rule> = rules.into_iter().map(|r| serde_json::from_value(r).expect("a rule")).collect();
    let rules = RuleSet::new(rules).expect("rules");
    let mut config = EngineConfig::new("worker".into(), bucket("uploads"), rules);
    config.chunk_limits = ChunkLimits { chunk_bytes: 700_000, chunks_max: 100 };
    let ports = Ports {
        blobs: store.clone(),
        state: store.clone(),
        queue: store.clone(),
        notifier: Arc::new(filemill_core::ports::NoNotifier),
        messages: store.clone(),
        clock,
        processors: Registry::new(filemill_processors::ALL.iter().chain(more).copied()),
        compute: Compute::Inline,
        chance: Chance::from_seed(1),
    };
    Engine::new(ports, config).expect("config")
}

pub async fn started(rules: Vec<serde_json::Value>, publishes: bool, more: &[&'static dyn Processor]) -> Service {
    let (engine, store) = build(rules, publishes, more);
    running(engine, store).await
}

pub async fn running(engine: Engine, store: Arc<MemoryStore>) -> Service {
    engine.prepare().await.expect("buckets");
    let stop = CancellationToken::new();
    let (runs, token) = (engine.clone(), stop.clone());
    tokio::spawn(async move { runs.run(token).await });
    Service { engine, store, stops: stop.drop_guard() }
}

impl Service {
    pub async fn put(&self, name: &str, content: Bytes) -> ObjectInfo {
        let mut stage = self.store.stage(None).expect("stage");
        stage.write_all(&content).expect("bytes are taken");
        let staged: Staged = stage.finish().expect("staged");
        let put = PutObject {
            bucket: bucket("uploads"),
            key: key(name),
            attributes: Attributes::default(),
            checksums: Default::default(),
            etag: None,
            condition: Precondition::None,
        };
        self.store.put(put, staged, Durability::Synced).await.expect("put")
    }

    /// The jobs of a key once all of them have ended.
    pub async fn ended(&self, name: &str) -> Vec<Job> {
        let mut listener = self.engine.listen(Some(0)).await.expect("listener");
        loop {
            let query = JobQuery { key: Some(name.into()), limit: 100, ..JobQuery::default() };
            let jobs = self.engine.jobs(&Principal::service(), query.clone()).await.expect("jobs").items;
            if !jobs.is_empty() && jobs.iter().all(|j| j.status.is_terminal()) {
                return jobs;
            }
            let next = tokio::time::timeout(Duration::from_secs(600), listener.next()).await;
            next.expect("something happens").expect("the feed goes on");
        }
    }

    pub fn result(&self, name: &str) -> Bytes {
        self.store.content(&bucket("results"), &key(name)).expect("a result")
    }
}
