//! A rule over objects that were there before it: each gets one job, whatever crashes or is ordered twice.

use crate::support::{Service, bucket, build, engine_on, hello, key, running};
use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::backfill::{Backfill, BackfillFilter, BackfillStatus};
use filemill_core::job::JobStatus;
use filemill_core::ports::{BlobStore, Precondition};
use filemill_core::rule::{Name, RuleId};
use filemill_engine::CommandError;
use filemill_memory::FaultPlan;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn later() -> Value {
    json!({
        "id": "later", "from": "uploads", "match": { "key": [{ "suffix": ".txt" }] },
        "process": { "kind": "lines.prefix", "text": "# " }, "output": { "bucket": "results", "key": "later/{key}" },
        "retry": { "attempts": 20, "backoff": "1s..1s" },
    })
}

fn rule() -> RuleId {
    Name::parse("later").expect("a name")
}

/// `files` objects that `hello` took, then the engine starts anew with a second rule. Nobody runs yet.
async fn with_older_files(files: usize) -> Service {
    let (engine, store) = build(vec![hello()], true);
    let before = running(engine, store).await;
    for n in 0..files {
        before.put(&format!("{n:04}.txt"), Bytes::from_static(b"x")).await;
    }
    before.put("other.csv", Bytes::from_static(b"x")).await;
    while before.store.snapshot().files.len() < 2 * (files + 1) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let store = before.store.clone();
    drop(before);
    Service::idle(engine_on(&store, vec![hello(), later()], |_| ()), store)
}

async fn ended(service: &Service, order: &Backfill) -> Backfill {
    loop {
        match service.engine.backfill(&order.id).await {
            Ok(now) if now.status != BackfillStatus::Running => return now,
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn jobs_of_rule(service: &Service) -> usize {
    service.store.snapshot().jobs.iter().filter(|job| job.rule == rule()).count()
}

#[tokio::test(start_paused = true)]
async fn a_count_tells_and_an_order_starts_what_it_told() {
    let service = with_older_files(120).await;
    let all = BackfillFilter::default();
    let count = service.engine.count_backfill(&rule(), &all).await.expect("a count");
    assert_eq!((count.files, count.bytes, count.keys.len(), count.is_complete), (120, 120, 10, true));
    assert_eq!(jobs_of_rule(&service), 0, "counting starts nothing");
    let some = BackfillFilter { prefix: Some("000".into()), ..BackfillFilter::default() };
    let order = service.engine.create_backfill(&Principal::service(), &rule(), some, None).await.expect("an order");
    let service = running(service.engine.clone(), service.store.clone()).await;
    let done = ended(&service, &order).await;
    assert_eq!((done.status, done.jobs_started, done.files_seen), (BackfillStatus::Done, 10, 10));
    let order =
        service.engine.create_backfill(&Principal::service(), &rule(), all.clone(), None).await.expect("an order");
    let done = ended(&service, &order).await;
    assert_eq!((done.jobs_started, done.files_seen), (110, 121), "those that have a job are passed over");
    let took = done.finished_at.expect("an end").since(done.created_at);
    assert!(took >= Duration::from_secs(2), "50 a second: {took:?}");
    assert_eq!(service.ended("0000.txt").await.len(), 2);
    assert_eq!(service.engine.count_backfill(&rule(), &all).await.expect("a count").files, 0);
}

#[tokio::test(start_paused = true)]
async fn crashes_and_engines_at_once_give_each_file_one_job() {
    let service = with_older_files(300).await;
    let gone = key("0299.txt");
    service.store.delete(&bucket("uploads"), &gone, Precondition::None).await.expect("deleted");
    let orders = [(); 2].map(|()| BackfillFilter::default());
    let mut ordered = Vec::new();
    for filter in orders {
        let order = service.engine.create_backfill(&Principal::service(), &rule(), filter, Some(20)).await;
        ordered.push(order.expect("an order"));
    }
    let faults = FaultPlan { seed: 7, unavailable: 0.02, lost_reply: 0.05, conflict: 0.2, ..FaultPlan::none() };
    service.store.set_faults(faults);
    for _ in 0..4 {
        let engines = [(); 3].map(|()| engine_on(&service.store, vec![hello(), later()], |_| ()));
        let lives = engines.map(|engine| tokio::spawn(async move { engine.run(CancellationToken::new()).await }));
        tokio::time::sleep(Duration::from_millis(2_700)).await;
        // they die where they stand
        lives.iter().for_each(|life| life.abort());
    }
    service.store.set_faults(FaultPlan::none());
    let service = running(service.engine.clone(), service.store.clone()).await;
    for order in &ordered {
        assert_eq!(ended(&service, order).await.status, BackfillStatus::Done);
    }
    while service.store.snapshot().jobs.iter().any(|job| !job.status.is_terminal()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let jobs = service.store.snapshot().jobs;
    let mut of_rule: Vec<_> = jobs.iter().filter(|job| job.rule == rule()).collect();
    assert!(of_rule.len() >= 299, "{} jobs", of_rule.len());
    of_rule.retain(|job| job.input.key != gone);
    assert_eq!(of_rule.len(), 299);
    assert!(of_rule.iter().all(|job| job.status == JobStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_order_starts_nothing_more() {
    let service = with_older_files(100).await;
    let all = BackfillFilter::default();
    let order = service.engine.create_backfill(&Principal::service(), &rule(), all, Some(10)).await.expect("an order");
    let service = running(service.engine.clone(), service.store.clone()).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let cancelled = service.engine.cancel_backfill(&Principal::service(), &order.id).await.expect("cancelled");
    assert_eq!(cancelled.status, BackfillStatus::Cancelled);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(jobs_of_rule(&service), 30);
    let again = service.engine.cancel_backfill(&Principal::service(), &order.id).await;
    assert!(matches!(again, Err(CommandError::Conflict { code: "not_cancellable", .. })));
    let nobody = Name::parse("nobody").expect("a name");
    let refused = service.engine.create_backfill(&Principal::service(), &nobody, BackfillFilter::default(), None).await;
    assert!(matches!(refused, Err(CommandError::NotFound { what: "rule", .. })));
}
