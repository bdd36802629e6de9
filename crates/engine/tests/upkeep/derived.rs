//! A cap on what is made of one upload: rules that feed rules end there, and each upload has a cap of its own.

use crate::support::{Service, build, engine_on, running};
use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::job::{Job, JobStatus};
use filemill_core::record::RecordKind;
use filemill_core::rule::Name;
use filemill_engine::{CommandError, EngineConfig};
use filemill_memory::{FaultPlan, MemoryStore};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An upload becomes 1 object, that becomes 3, and each of them 3: 13 without a cap.
fn feeding_rules() -> Vec<Value> {
    let rule = |id: &str, from: &str, to: &str, max_generation: u32| {
        json!({
            "id": id, "from": from, "process": { "kind": "lines.prefix", "text": "> " },
            "output": { "bucket": to, "key": format!("{id}/{{key}}") }, "max_generation": max_generation,
            "retry": { "attempts": 50, "backoff": "1s..1s" },
        })
    };
    let mut rules = vec![rule("start", "uploads", "first", 1)];
    rules.extend(["a", "b", "c"].map(|id| rule(id, "first", "second", 2)));
    rules.extend(["x", "y", "z"].map(|id| rule(id, "second", "third", 3)));
    rules
}

/// The start, its three, and one more.
const MAX: usize = 5;

fn capped(config: &mut EngineConfig) {
    config.derived_objects_max = MAX;
}

async fn with_cap(publishes: bool) -> Service {
    let (_, store) = build(feeding_rules(), publishes);
    running(engine_on(&store, feeding_rules(), capped), store).await
}

/// All jobs, once each upload that was made has its first and nothing goes on any more.
async fn calm(store: &MemoryStore, uploads: usize) -> Vec<Job> {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let jobs = store.snapshot().jobs;
        let begun = jobs.iter().filter(|job| job.generation == 0).count();
        if begun >= uploads && jobs.iter().all(|job| job.status.is_terminal()) {
            return jobs;
        }
    }
}

fn is_refused(job: &&Job) -> bool {
    job.failure.as_ref().is_some_and(|failure| failure.code == "too_many_derived")
}

fn results(store: &MemoryStore) -> usize {
    store.snapshot().objects.iter().filter(|object| object.attributes.origin.is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn rules_that_feed_rules_end_at_the_cap_of_their_upload() {
    for publishes in [true, false] {
        let service = with_cap(publishes).await;
        service.put("one", Bytes::from_static(b"x")).await;
        let jobs = calm(&service.store, 1).await;
        assert_eq!(results(&service.store), MAX);
        let refused: Vec<&Job> = jobs.iter().filter(is_refused).collect();
        assert_eq!((jobs.len(), refused.len()), (13, 8), "each that was not begun is there and tells why");
        assert!(refused.iter().all(|job| job.status == JobStatus::Failed && job.generation == 2));
        assert!(refused[0].failure.as_ref().expect("a reason").message.contains("5 objects"));
        assert_eq!(jobs.iter().map(|job| &job.original).collect::<BTreeSet<_>>().len(), 1);

        let again = service.engine.retry_job(&Principal::service(), &refused[0].id).await;
        assert!(matches!(again, Err(CommandError::Conflict { code: "not_retryable", .. })), "{again:?}");
        service.put("two", Bytes::from_static(b"x")).await;
        calm(&service.store, 2).await;
        assert_eq!(results(&service.store), 2 * MAX, "another upload has a cap of its own");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_replaced_counts_anew_and_its_results_take_the_same_places() {
    let service = with_cap(true).await;
    for version in 1..=3 {
        service.put("one", Bytes::from(vec![b'x'; version])).await;
        let jobs = calm(&service.store, version).await;
        let newest = jobs.iter().filter(|job| job.generation == 0).max_by_key(|job| &job.sequencer).expect("a job");
        let of_newest: Vec<&Job> = jobs.iter().filter(|job| job.original == newest.original).collect();
        assert_eq!((of_newest.len(), of_newest.iter().copied().filter(is_refused).count()), (13, 8));
    }
}

#[tokio::test(start_paused = true)]
async fn engines_at_once_crashes_and_lost_replies_keep_one_cap() {
    for seed in 0..8 {
        let (_, store) = build(feeding_rules(), seed % 2 == 0);
        let service = Service::idle(engine_on(&store, feeding_rules(), capped), store);
        service.engine.prepare().await.expect("buckets");
        for name in ["one", "two"] {
            service.put(name, Bytes::from_static(b"x")).await;
        }
        let faults = FaultPlan { seed, unavailable: 0.02, lost_reply: 0.1, conflict: 0.2, ..FaultPlan::none() };
        service.store.set_faults(faults);
        for _ in 0..4 {
            let engines = [(); 3].map(|()| engine_on(&service.store, feeding_rules(), capped));
            let lives = engines.map(|engine| tokio::spawn(async move { engine.run(CancellationToken::new()).await }));
            tokio::time::sleep(Duration::from_millis(1_700)).await;
            // they die where they stand
            lives.iter().for_each(|life| life.abort());
        }
        service.store.set_faults(FaultPlan::none());
        let service = running(service.engine.clone(), service.store.clone()).await;
        let jobs = calm(&service.store, 2).await;
        let counts = (jobs.len(), jobs.iter().filter(is_refused).count(), results(&service.store));
        assert_eq!(counts, (26, 16, 2 * MAX), "seed {seed}");
    }
}

/// All of them are written at about the same time and want into the same set.
#[tokio::test(start_paused = true)]
async fn as_many_results_as_an_upload_can_have_at_once_all_find_their_place() {
    let mut rules = feeding_rules();
    let narrow = rules[1].clone();
    rules.extend((0..29).map(|n| {
        let mut rule = narrow.clone();
        rule["id"] = format!("wide-{n}").into();
        rule["output"]["key"] = format!("wide-{n}/{{key}}").into();
        rule
    }));
    let (engine, store) = build(rules, true);
    let service = running(engine, store).await;
    service.put("one", Bytes::from_static(b"x")).await;
    let jobs = calm(&service.store, 1).await;
    assert_eq!((jobs.len(), results(&service.store)), (1 + 32 + 32 * 3, 1 + 32 + 32 * 3));
    assert!(jobs.iter().all(|job| job.status == JobStatus::Completed));
}

/// What was passed over by a rule when it came is under the same cap when a backfill brings it.
#[tokio::test(start_paused = true)]
async fn a_backfill_keeps_the_cap() {
    let early = feeding_rules()[..4].to_vec();
    let (_, store) = build(early.clone(), true);
    let before = running(engine_on(&store, early, capped), store).await;
    before.put("one", Bytes::from_static(b"x")).await;
    assert_eq!(calm(&before.store, 1).await.len(), 4);
    let store = before.store.clone();
    drop(before);
    let service = running(engine_on(&store, feeding_rules(), capped), store).await;
    for rule in ["x", "y", "z"].map(|id| Name::parse(id).expect("a name")) {
        let all = Default::default();
        service.engine.create_backfill(&Principal::service(), &rule, all, None).await.expect("an order");
    }
    let jobs = calm(&service.store, 1).await;
    assert_eq!((jobs.len(), jobs.iter().filter(is_refused).count(), results(&service.store)), (13, 8, MAX));
}

#[tokio::test(start_paused = true)]
async fn the_count_goes_when_the_jobs_of_its_upload_are_old() {
    let service = with_cap(true).await;
    service.put("one", Bytes::from_static(b"x")).await;
    calm(&service.store, 1).await;
    let store = service.store.clone();
    drop(service);
    let service = Service::idle(engine_on(&store, feeding_rules(), capped), store);
    let counts = || service.store.snapshot().records.iter().filter(|r| r.kind == RecordKind::DerivedObjects).count();
    service.engine.sweep().await.expect("a sweep");
    assert_eq!(counts(), 1);
    tokio::time::sleep(Duration::from_secs(91 * 86_400)).await;
    service.engine.sweep().await.expect("a sweep");
    assert_eq!(counts(), 0);
}
