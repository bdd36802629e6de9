//! Messages that start rules, on the memory adapter: one object and one job each, whatever is lost or comes twice.

use filemill_core::job::{Job, JobStatus};
use filemill_core::message::*;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::*;
use filemill_core::rule::{Rule, RuleSet};
use filemill_core::size::ByteSize;
use filemill_engine::{BucketSettings, Chance, Compute, Engine, EngineConfig, Ports, Registry};
use filemill_memory::{FaultPlan, MemoryOptions, MemoryStore, SimClock};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Of simulated time: all retries of a run with faults are over.
const LONG: Duration = Duration::from_secs(3600);

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

fn queue(name: &str) -> MessageQueueName {
    MessageQueueName::parse(name).expect(name)
}

fn rule() -> Value {
    json!({
        "id": "hello", "from": "orders", "from_queue": "work", "output": { "bucket": "results" },
        "process": { "kind": "lines.prefix", "text": "> " }, "retry": { "attempts": 100, "backoff": "1s..1s" },
    })
}

struct Service {
    engine: Engine,
    store: Arc<MemoryStore>,
    clock: Arc<SimClock>,
}

fn build(rule: Value, faults: FaultPlan) -> Service {
    let clock = Arc::new(SimClock::new());
    let options = MemoryOptions { faults, ..MemoryOptions::default() };
    let store = Arc::new(MemoryStore::new(clock.clone(), options));
    let rules = vec![serde_json::from_value::<Rule>(rule).expect("a rule")];
    let mut config = EngineConfig::new("worker".into(), bucket("orders"), RuleSet::new(rules).expect("rules"));
    config
        .buckets
        .insert(bucket("orders"), BucketSettings { max_size: Some(ByteSize(1000)), ..BucketSettings::default() });
    let ports = Ports {
        blobs: store.clone(),
        state: store.clone(),
        queue: store.clone(),
        messages: store.clone(),
        notifier: Arc::new(filemill_core::ports::NoNotifier),
        clock: clock.clone(),
        processors: Registry::new(filemill_processors::ALL.iter().copied()),
        compute: Compute::Inline,
        chance: Chance::from_seed(1),
    };
    Service { engine: Engine::new(ports, config).expect("config"), store, clock }
}

impl Service {
    async fn send(&self, name: &str, body: &str) -> MessageId {
        let sent = self.store.send(&queue(name), vec![NewMessage::of(body)]).await.expect("send");
        sent.into_iter().next().expect("an id")
    }

    /// Runs for a while of simulated time, then stops in order.
    async fn run(&self, duration: Duration) {
        let stop = CancellationToken::new();
        let (engine, token) = (self.engine.clone(), stop.clone());
        let running = tokio::spawn(async move { engine.run(token).await });
        self.clock.sleep(duration).await;
        stop.cancel();
        running.await.expect("the engine stops in order");
    }

    async fn counts(&self, name: &str) -> MessageCounts {
        self.store.message_counts(&queue(name)).await.expect("counts")
    }

    fn jobs(&self) -> Vec<Job> {
        self.store.snapshot().jobs
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_becomes_an_object_and_starts_its_rule() {
    let service = build(rule(), FaultPlan::none());
    service.engine.prepare().await.expect("prepared");
    let text = |text: &str| AttributeValue::Text(text.into());
    let attribute = MessageAttribute { data_type: "String".into(), value: text("me") };
    let message = NewMessage { attributes: [("Who".into(), attribute)].into(), ..NewMessage::of("a\nb") };
    let id = service.store.send(&queue("work"), vec![message]).await.expect("send").pop().expect("an id");
    service.run(Duration::from_secs(1)).await;
    let key = ObjectKey::parse(&format!("work/{id}.txt")).expect("a key");
    let object = service.store.head(&bucket("orders"), &key).await.expect("the object");
    assert_eq!(object.attributes.metadata.get("who").map(String::as_str), Some("me"));
    assert_eq!(object.attributes.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(service.store.content(&bucket("results"), &key).expect("a result"), "> a\n> b");
    assert_eq!(service.counts("work").await, MessageCounts::default());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_makes_nothing_twice() {
    for seed in 0..30 {
        let mut rule = rule();
        rule["delete_source"] = true.into();
        let service = build(rule, FaultPlan::none());
        service.engine.prepare().await.expect("prepared");
        for n in 0..30 {
            service.send("work", &n.to_string()).await;
        }
        service.store.set_faults(FaultPlan {
            lost_reply: 0.2,
            unavailable: 0.2,
            lease_loss: 0.5,
            delay: 0.5,
            delay_max: Duration::from_secs(20),
            ..FaultPlan { seed, ..FaultPlan::none() }
        });
        service.run(LONG).await;
        service.store.set_faults(FaultPlan::none());
        service.run(LONG).await;
        let jobs = service.jobs();
        assert_eq!(jobs.len(), 30, "seed {seed}: one job by message");
        assert!(jobs.iter().all(|job| job.status == JobStatus::Completed), "seed {seed}");
        assert_eq!(service.counts("work").await, MessageCounts::default(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_never_become_an_object_goes_the_way_of_its_redrive_policy() {
    let service = build(rule(), FaultPlan::none());
    let settings = MessageQueueSettings::default();
    service.store.create_queue(&queue("letters"), &settings).await.expect("create");
    let redrive = Some(Redrive { dead_letters: queue("letters"), receives_max: 2 });
    service.store.create_queue(&queue("work"), &MessageQueueSettings { redrive, ..settings }).await.expect("create");
    service.engine.prepare().await.expect("prepared");
    let too_large = service.send("work", &"x".repeat(1001)).await;
    service.send("work", &"x".repeat(1000)).await;
    service.run(Duration::from_secs(300)).await;
    assert_eq!(service.counts("work").await, MessageCounts::default());
    assert_eq!(service.jobs().len(), 1, "the one beside it went its way");
    let wanted = Receive { max: 10, visibility: None, wait: None };
    let letters = service.store.receive(&queue("letters"), wanted).await.expect("receive");
    assert_eq!(letters.into_iter().map(|m| m.id).collect::<Vec<_>>(), [too_large]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_there_keeps_its_settings() {
    let service = build(rule(), FaultPlan::none());
    let settings = MessageQueueSettings { delay: Duration::from_secs(7), ..Default::default() };
    service.store.create_queue(&queue("work"), &settings).await.expect("create");
    for _ in 0..2 {
        service.engine.prepare().await.expect("prepared");
    }
    assert_eq!(service.store.message_queue(&queue("work")).await.expect("it is there").settings, settings);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_off_takes_no_messages() {
    let mut rule = rule();
    rule["enabled"] = false.into();
    let service = build(rule, FaultPlan::none());
    service.engine.prepare().await.expect("prepared");
    assert!(matches!(service.store.message_queue(&queue("work")).await, Err(MessageError::NotFound(_))));
}
