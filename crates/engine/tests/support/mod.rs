//! One engine on the memory adapter, fault-free unless a test says so, with its clock under the test's hand.

use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::chunks::ChunkLimits;
use filemill_core::job::Job;
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{BlobStore, Durability, JobQuery, Precondition, PutObject, Staged};
use filemill_core::rule::{Rule, RuleSet};
use filemill_engine::{Chance, Compute, Engine, EngineConfig, Ports, Registry};
use filemill_memory::{MemoryOptions, MemoryStore, SimClock};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

pub struct Service {
    pub engine: Engine,
    pub store: Arc<MemoryStore>,
    _stops: Option<DropGuard>,
}

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).expect(name)
}

pub fn hello() -> serde_json::Value {
    json!({
        "id": "hello", "from": "uploads", "process": { "kind": "lines.prefix", "text": "> " },
        "output": { "bucket": "results" }, "retry": { "attempts": 2, "backoff": "1s..1s" },
    })
}

pub fn build(rules: Vec<serde_json::Value>, publishes: bool) -> (Engine, Arc<MemoryStore>) {
    let options = MemoryOptions { publishes, ..MemoryOptions::default() };
    let store = Arc::new(MemoryStore::new(Arc::new(SimClock::new()), options));
    (engine_on(&store, rules, |_| ()), store)
}

/// Another engine on the same store; `set` changes its configuration.
pub fn engine_on(
    store: &Arc<MemoryStore>,
    rules: Vec<serde_json::Value>,
    set: impl FnOnce(&mut EngineConfig),
) -> Engine {
    engine_with(ports(store), rules, set)
}

/// All on one store.
pub fn ports(store: &Arc<MemoryStore>) -> Ports {
    Ports {
        blobs: store.clone(),
        state: store.clone(),
        queue: store.clone(),
        messages: store.clone(),
        notifier: Arc::new(filemill_core::ports::NoNotifier),
        clock: Arc::new(SimClock::new()),
        processors: Registry::new(filemill_processors::ALL.iter().copied()),
        compute: Compute::Inline,
        chance: Chance::from_seed(1),
    }
}

pub fn engine_with(ports: Ports, rules: Vec<serde_json::Value>, set: impl FnOnce(&mut EngineConfig)) -> Engine {
    let rules: Vec<Rule> = rules.into_iter().map(|r| serde_json::from_value(r).expect("a rule")).collect();
    let rules = RuleSet::new(rules).expect("rules");
    let mut config = EngineConfig::new("worker".into(), bucket("uploads"), rules);
    config.chunk_limits = ChunkLimits { chunk_bytes: 700_000, chunks_max: 100 };
    set(&mut config);
    Engine::new(ports, config).expect("config")
}

pub async fn started(rules: Vec<serde_json::Value>, publishes: bool) -> Service {
    let (engine, store) = build(rules, publishes);
    running(engine, store).await
}

pub async fn running(engine: Engine, store: Arc<MemoryStore>) -> Service {
    engine.prepare().await.expect("buckets");
    let stop = CancellationToken::new();
    let (runs, token) = (engine.clone(), stop.clone());
    tokio::spawn(async move { runs.run(token).await });
    Service { engine, store, _stops: Some(stop.drop_guard()) }
}

impl Service {
    /// Nobody works: only what a test asks for happens.
    pub fn idle(engine: Engine, store: Arc<MemoryStore>) -> Self {
        Service { engine, store, _stops: None }
    }

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
