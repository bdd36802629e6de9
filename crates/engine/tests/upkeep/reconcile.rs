//! The listing is the ledger: what no announcement told is found, and nothing else is touched.

use crate::support::{Service, bucket, build, engine_on, hello, key, running, started};
use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::alarm::{AlarmRule, AlarmStatus, Bound, Metric};
use filemill_core::event::EventKind;
use filemill_core::ids::FileId;
use filemill_core::job::JobStatus;
use filemill_core::ports::{BlobStore, JobQuery, Precondition, StateStore};
use filemill_core::rule::Name;
use filemill_engine::{
    AuditQuery, CommandError, Difference, EngineConfig, ReconcileReport, ReconcileScope, ReconcileStatus,
};
use filemill_memory::FaultPlan;
use serde_json::json;
use std::time::Duration;

const ALL: ReconcileScope = ReconcileScope { bucket: None, is_dry_run: false };

/// From now on every announcement is lost, or none.
fn lose_announcements(service: &Service, is_lost: bool) {
    let lost_announcement = if is_lost { 1.0 } else { 0.0 };
    service.store.set_faults(FaultPlan { lost_announcement, ..FaultPlan::none() });
}

/// Without a schedule, so that a test says when.
async fn unscheduled() -> Service {
    let (_, store) = build(vec![hello()], true);
    running(engine_on(&store, vec![hello()], |config| config.reconcile.every = None), store).await
}

async fn reconciled(service: &Service, scope: &ReconcileScope) -> ReconcileReport {
    service.engine.reconcile(scope, |_| ()).await.expect("a run")
}

fn counts(report: &ReconcileReport) -> (u64, u64, u64) {
    (report.unknown_objects, report.lost_objects, report.repaired)
}

#[tokio::test(start_paused = true)]
async fn an_object_that_nobody_announced_starts_its_jobs_and_is_marked() {
    let service = unscheduled().await;
    lose_announcements(&service, true);
    service.put("a", Bytes::from_static(b"x")).await;
    lose_announcements(&service, false);
    let told = reconciled(&service, &ReconcileScope { is_dry_run: true, ..ALL }).await;
    assert_eq!(counts(&told), (1, 0, 0), "a dry run only tells");
    assert_eq!(told.examples, [(Difference::UnknownObject, bucket("uploads"), key("a"))]);
    assert!(service.store.snapshot().files.is_empty());
    assert_eq!(counts(&reconciled(&service, &ALL).await), (1, 0, 1));
    assert_eq!(service.ended("a").await[0].status, JobStatus::Completed);
    let file = service.engine.file(&Principal::service(), &FileId::of("uploads", "a")).await.expect("a file");
    assert!(file.repaired);
    let result = service.engine.file(&Principal::service(), &FileId::of("results", "a")).await.expect("its result");
    assert!(!result.repaired, "what was announced is not marked");
    assert_eq!(counts(&reconciled(&service, &ALL).await), (0, 0, 0), "a second run finds nothing");
}

#[tokio::test(start_paused = true)]
async fn repairs_are_in_the_audit_log_and_raise_an_alarm_for_a_window() {
    let alarm = AlarmRule {
        id: Name::parse("repairs").expect("a name"),
        metric: Metric::ReconcileRepaired,
        bound: Bound::Above(0.0),
        queue: None,
        rule: None,
        lasts: Duration::ZERO,
        window: Duration::from_secs(900),
        notify: Vec::new(),
        repeat: None,
        resolve: true,
    };
    let (_, store) = build(vec![hello()], true);
    let set = |config: &mut EngineConfig| (config.reconcile.every, config.alarms) = (None, vec![alarm.clone()]);
    let service = running(engine_on(&store, vec![hello()], set), store).await;
    let seen = || async { service.engine.alarms().await.expect("alarms").remove(0) };
    service.put("a", Bytes::from_static(b"x")).await;
    service.ended("a").await;
    lose_announcements(&service, true);
    service.store.delete(&bucket("uploads"), &key("a"), Precondition::None).await.expect("deleted");
    service.put("b", Bytes::from_static(b"x")).await;
    lose_announcements(&service, false);
    assert_eq!(seen().await.value, 0.0, "what is announced is no repair");
    reconciled(&service, &ALL).await;
    service.engine.look_at_alarms().await.expect("a look");
    assert_eq!((seen().await.value, seen().await.state.status), (2.0, AlarmStatus::Raised));
    let query = AuditQuery { action: Some("reconcile.repair".into()), limit: 10, ..AuditQuery::default() };
    let log = service.engine.audit_log(&Principal::service(), &query).await.expect("the log").items;
    let mut told: Vec<_> = log.iter().map(|entry| (entry.target.as_str(), &entry.detail["removed"])).collect();
    told.sort_by_key(|told| told.0);
    assert_eq!(told, [("uploads/a", &json!(true)), ("uploads/b", &json!(false))]);
    tokio::time::sleep(Duration::from_secs(920)).await;
    assert_eq!((seen().await.value, seen().await.state.status), (0.0, AlarmStatus::Ok));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_nobody_announced_replaces_the_one_before() {
    let service = unscheduled().await;
    service.put("a", Bytes::from_static(b"old")).await;
    service.ended("a").await;
    lose_announcements(&service, true);
    let newer = service.put("a", Bytes::from_static(b"new")).await;
    lose_announcements(&service, false);
    assert_eq!(counts(&reconciled(&service, &ALL).await), (1, 0, 1));
    assert_eq!(service.ended("a").await.len(), 2);
    assert_eq!(service.result("a"), &b"> new"[..]);
    let file = service.engine.file(&Principal::service(), &FileId::of("uploads", "a")).await.expect("a file");
    assert_eq!((file.sequencer, file.repaired), (newer.sequencer, true));
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_removal_nobody_announced_is_recorded_as_removed_and_its_jobs_end() {
    let (engine, store) = build(vec![hello()], true);
    engine.prepare().await.expect("buckets");
    // nobody works: the job stays open
    let service = Service::idle(engine, store);
    service.put("a", Bytes::from_static(b"x")).await;
    let query = JobQuery { limit: 10, ..JobQuery::default() };
    service.engine.files(&Principal::service(), Default::default()).await.expect("ingested");
    lose_announcements(&service, true);
    service.store.delete(&bucket("uploads"), &key("a"), Precondition::None).await.expect("deleted");
    lose_announcements(&service, false);
    assert_eq!(counts(&reconciled(&service, &ALL).await), (0, 1, 1));
    let file = service.store.file(&FileId::of("uploads", "a")).await.expect("a store").expect("a record");
    assert!(file.removed_at.is_some() && file.repaired);
    let jobs = service.engine.jobs(&Principal::service(), query.clone()).await.expect("jobs").items;
    assert_eq!(jobs[0].failure.as_ref().map(|f| f.code.as_str()), Some("input_gone"));
    let removals = service.store.snapshot().events;
    assert_eq!(removals.iter().filter(|(_, e)| e.kind == EventKind::FileRemoved).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_under_way_is_not_taken_for_lost() {
    let service = started(vec![hello()], true).await;
    service.store.set_faults(FaultPlan {
        late_announcement: 1.0,
        late_max: Duration::from_secs(25),
        ..FaultPlan::none()
    });
    for n in 0..20 {
        service.put(&format!("{n}"), Bytes::from_static(b"x")).await;
    }
    assert_eq!(counts(&reconciled(&service, &ALL).await), (0, 0, 0));
    assert!(service.store.snapshot().files.iter().all(|file| !file.repaired));
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_a_run_waits_does_not_come_back() {
    let service = unscheduled().await;
    lose_announcements(&service, true);
    service.put("a", Bytes::from_static(b"x")).await;
    lose_announcements(&service, false);
    let deletes = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        service.store.delete(&bucket("uploads"), &key("a"), Precondition::None).await.expect("deleted")
    };
    let (report, _) = tokio::join!(reconciled(&service, &ALL), deletes);
    assert_eq!(counts(&report), (0, 0, 0));
    let snapshot = service.store.snapshot();
    assert!(snapshot.jobs.is_empty() && snapshot.files.iter().all(|file| file.removed_at.is_some()));
}

#[tokio::test(start_paused = true)]
async fn several_engines_at_once_repair_each_difference_once() {
    let service = unscheduled().await;
    for n in 0..50 {
        service.put(&format!("there/{n:02}"), Bytes::from_static(b"x")).await;
    }
    service.ended("there/*").await;
    lose_announcements(&service, true);
    for n in 0..50 {
        service.put(&format!("new/{n:02}"), Bytes::from_static(b"x")).await;
        let gone = key(&format!("there/{n:02}"));
        service.store.delete(&bucket("uploads"), &gone, Precondition::None).await.expect("deleted");
    }
    lose_announcements(&service, false);
    let others = [(); 3].map(|()| engine_on(&service.store, vec![hello()], |_| ()));
    let runs = others.iter().map(|engine| engine.reconcile(&ALL, |_| ()));
    let reports = futures::future::join_all(runs).await;
    let repaired: u64 = reports.iter().map(|report| report.as_ref().expect("a run").repaired).sum();
    assert_eq!(repaired, 100);
    assert_eq!(service.ended("new/*").await.len(), 50);
    let events = service.store.snapshot().events;
    assert_eq!(events.iter().filter(|(_, e)| e.kind == EventKind::FileRemoved).count(), 50);
}

#[tokio::test(start_paused = true)]
async fn more_objects_than_a_page_and_a_bucket_that_only_records_know_are_compared() {
    let service = unscheduled().await;
    for n in 0..1200 {
        service.put(&format!("{n:04}"), Bytes::from_static(b"x")).await;
    }
    // without a listener: these are more events than one holds
    while service.store.snapshot().files.len() < 2400 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    lose_announcements(&service, true);
    for n in 0..1200 {
        let gone = key(&format!("{n:04}"));
        service.store.delete(&bucket("results"), &gone, Precondition::None).await.expect("deleted");
    }
    service.put("0500 ", Bytes::from_static(b"x")).await;
    lose_announcements(&service, false);
    service.store.delete_bucket(&bucket("results")).await.expect("it is empty");
    let report = reconciled(&service, &ALL).await;
    assert_eq!(counts(&report), (1, 1200, 1201));
    assert_eq!((report.objects, report.files), (1201, 2400));
}

#[tokio::test(start_paused = true)]
async fn the_schedule_repairs_by_itself_and_a_run_asked_for_tells_how_it_went() {
    let (_, store) = build(vec![hello()], true);
    let every = Some(Duration::from_secs(60));
    let service = running(engine_on(&store, vec![hello()], |config| config.reconcile.every = every), store).await;
    lose_announcements(&service, true);
    service.put("by schedule", Bytes::from_static(b"x")).await;
    lose_announcements(&service, false);
    assert_eq!(service.ended("by schedule").await[0].status, JobStatus::Completed);
    let asked = service
        .engine
        .ask_reconcile(&Principal::service(), ReconcileScope { bucket: Some(bucket("uploads")), is_dry_run: false })
        .await;
    assert_eq!(asked.expect("a run").status, ReconcileStatus::Waiting);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let run = service.engine.reconcile_run().expect("a run");
    assert_eq!((run.status, run.report.objects), (ReconcileStatus::Done, 1));
    let nowhere = ReconcileScope { bucket: Some(bucket("nowhere")), is_dry_run: false };
    assert!(matches!(
        service.engine.ask_reconcile(&Principal::service(), nowhere).await,
        Err(CommandError::NotFound { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn runs_that_are_asked_for_move_no_run_of_the_schedule() {
    let (_, store) = build(vec![hello()], true);
    let every = Some(Duration::from_secs(60));
    let service = running(engine_on(&store, vec![hello()], |config| config.reconcile.every = every), store).await;
    lose_announcements(&service, true);
    service.put("by schedule", Bytes::from_static(b"x")).await;
    lose_announcements(&service, false);
    let elsewhere = ReconcileScope { bucket: Some(bucket("results")), is_dry_run: false };
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        service.engine.ask_reconcile(&Principal::service(), elsewhere.clone()).await.expect("a run");
    }
    let ended = tokio::time::timeout(Duration::from_secs(1), service.ended("by schedule")).await;
    assert_eq!(ended.expect("the schedule's run was a minute ago")[0].status, JobStatus::Completed);
}
