//! What is old goes: objects of buckets that say so, and records that are kept for a time.

use crate::support::{Service, bucket, build, engine_on, hello, key, running};
use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::event::EventKind;
use filemill_core::ids::{DeadLetterId, FileId};
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits;
use filemill_core::ports::{BlobStore, Change, ChangeSet, Durability, FileQuery, StateStore};
use filemill_engine::{BucketSettings, EngineConfig};
use filemill_memory::FaultPlan;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn expires_in_an_hour(config: &mut EngineConfig) {
    let settings = BucketSettings { expire_after: Some(HOUR), ..BucketSettings::default() };
    config.buckets.insert(bucket("uploads"), settings);
    config.reconcile.every = None;
}

async fn objects_in(service: &Service, name: &str) -> usize {
    service.store.snapshot().objects.iter().filter(|o| o.bucket == bucket(name)).count()
}

#[tokio::test(start_paused = true)]
async fn objects_go_at_their_age_with_their_files_and_others_stay() {
    let (_, store) = build(vec![hello()], true);
    let service = running(engine_on(&store, vec![hello()], expires_in_an_hour), store).await;
    for n in 0..1100 {
        service.put(&format!("{n:04}"), Bytes::from_static(b"x")).await;
    }
    tokio::time::sleep(HOUR / 2).await;
    service.put("younger", Bytes::from_static(b"x")).await;
    tokio::time::sleep(HOUR / 2 + Duration::from_secs(120)).await;
    assert_eq!((objects_in(&service, "uploads").await, objects_in(&service, "results").await), (1, 1101));
    let query = FileQuery { bucket: Some(bucket("uploads")), limit: 10, ..FileQuery::default() };
    let files = service.engine.files(&Principal::service(), query.clone()).await.expect("files");
    assert_eq!(files.items.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(), ["younger"]);
    let removals = service.store.snapshot().events.iter().filter(|(_, e)| e.kind == EventKind::FileRemoved).count();
    assert_eq!(removals, 1100, "each is announced and told once");
}

/// Rests are there because looking costs something. A pass that took long because it removed much is followed by the next.
#[tokio::test(start_paused = true)]
async fn who_removed_much_does_not_rest_for_it() {
    const KEPT: Duration = Duration::from_secs(300);
    let (_, store) = build(vec![hello()], true);
    let expires_soon = |config: &mut EngineConfig| {
        expires_in_an_hour(config);
        config.buckets.get_mut(&bucket("uploads")).expect("settings").expire_after = Some(KEPT);
    };
    let service = running(engine_on(&store, vec![hello()], expires_soon), store).await;
    for n in 0..1200 {
        service.put(&format!("{n:04}"), Bytes::from_static(b"x")).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    service.put("0000-later", Bytes::from_static(b"x")).await;
    tokio::time::sleep(KEPT - Duration::from_secs(61)).await;
    service.store.set_faults(FaultPlan { seed: 1, delay: 1.0, delay_max: Duration::from_secs(1), ..FaultPlan::none() });
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(objects_in(&service, "uploads").await > 10, "it is slow");
    tokio::time::sleep(Duration::from_secs(280)).await;
    assert_eq!(objects_in(&service, "uploads").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_an_open_job_reads_is_spared_until_the_job_ended() {
    let (_, store) = build(vec![hello()], true);
    let engine = engine_on(&store, vec![hello()], expires_in_an_hour);
    engine.prepare().await.expect("buckets");
    let service = Service::idle(engine, store);
    service.put("a", Bytes::from_static(b"x")).await;
    tokio::time::sleep(2 * HOUR).await;
    service.engine.sweep().await.expect("a sweep");
    assert_eq!(objects_in(&service, "uploads").await, 1, "nobody has recorded it yet");
    service.engine.files(&Principal::service(), FileQuery::default()).await.expect("ingested");
    tokio::time::sleep(HOUR).await;
    service.engine.sweep().await.expect("a sweep");
    assert_eq!(objects_in(&service, "uploads").await, 1, "its job is open");
    let service = running(service.engine.clone(), service.store.clone()).await;
    assert_eq!(service.ended("a").await[0].status, JobStatus::Completed);
    tokio::time::sleep(HOUR).await;
    assert_eq!(objects_in(&service, "uploads").await, 0);
}

#[tokio::test(start_paused = true)]
async fn several_sweepers_expire_an_object_once() {
    let (_, store) = build(vec![hello()], true);
    let service = running(engine_on(&store, vec![hello()], expires_in_an_hour), store).await;
    for n in 0..100 {
        service.put(&format!("{n}"), Bytes::from_static(b"x")).await;
    }
    service.ended("*").await;
    tokio::time::sleep(HOUR - Duration::from_secs(1)).await;
    let engines = [(); 4].map(|()| engine_on(&service.store, vec![hello()], expires_in_an_hour));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let sweeps = futures::future::join_all(engines.iter().map(|engine| engine.sweep())).await;
    assert!(sweeps.iter().all(Result::is_ok), "{sweeps:?}");
    service.engine.files(&Principal::service(), FileQuery::default()).await.expect("ingested");
    let removals = service.store.snapshot().events.iter().filter(|(_, e)| e.kind == EventKind::FileRemoved).count();
    assert_eq!((removals, objects_in(&service, "uploads").await), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn records_go_when_their_time_is_over_and_open_ones_never() {
    let (_, store) = build(vec![hello()], true);
    let engine = engine_on(&store, vec![hello()], |config| {
        config.reconcile.every = None;
        config.retention.jobs = Some(3 * HOUR);
        config.retention.removed_files = Some(HOUR);
        config.retention.uploads = None;
    });
    let service = running(engine, store).await;
    service.put("a", Bytes::from_static(b"x")).await;
    let job = service.ended("a").await.remove(0);
    let open = Job { id: filemill_core::ids::JobId::of("b", "k", "1", "r", job.created_at), rev: 1, ..job.clone() };
    let mut open = Job { status: JobStatus::Queued, finished_at: None, queue: name("nobody"), ..open };
    open.input.key = key("b");
    let task = filemill_core::task::TaskId::plan(&open.id, 1);
    let task = filemill_core::task::Task::new(task, name("nobody"), job.created_at.plus(400 * HOUR));
    let born = ChangeSet::new().with(Change::InsertJob(Box::new(open.clone()))).with(Change::InsertTask(task));
    service.store.commit(born, Durability::Synced).await.expect("an open job");
    let id = FileId::of("uploads", "a");
    service.store.delete(&bucket("uploads"), &key("a"), Default::default()).await.expect("deleted");
    tokio::time::sleep(HOUR / 2).await;
    assert!(service.store.file(&id).await.expect("a store").is_some(), "its tombstone is kept for an hour");
    tokio::time::sleep(HOUR).await;
    assert!(service.store.file(&id).await.expect("a store").is_none());
    assert!(service.store.job(&job.id).await.expect("a store").is_some());
    tokio::time::sleep(3 * HOUR).await;
    assert!(service.store.job(&job.id).await.expect("a store").is_none());
    assert!(service.store.job(&open.id).await.expect("a store").is_some(), "it has not ended");
    let result = service.engine.file(&Principal::service(), &FileId::of("results", "a")).await;
    assert!(result.is_ok(), "a file that is there has its record for ever");
}

/// More than any duty does at a time.
#[tokio::test(start_paused = true)]
async fn what_came_fast_goes_within_one_sweep() {
    let (_, store) = build(vec![hello()], true);
    let day = 24 * HOUR;
    let engine = engine_on(&store, vec![hello()], |config| {
        config.retention.jobs = Some(day);
        config.retention.removed_files = Some(day);
    });
    let service = running(engine, store).await;
    service.put("a", Bytes::from_static(b"x")).await;
    let job = service.ended("a").await.remove(0);
    for n in 0..101 {
        let ended = (0..100).map(|m| {
            let id = filemill_core::ids::JobId::of("b", "k", &format!("{n} {m}"), "r", job.created_at);
            Change::InsertJob(Box::new(Job { id, rev: 1, ..job.clone() }))
        });
        service.store.commit(ChangeSet { changes: ended.collect() }, Durability::Synced).await.expect("ended jobs");
    }
    let made_at = tokio::time::Instant::now();
    service.store.delete(&bucket("uploads"), &key("a"), Default::default()).await.expect("deleted");
    tokio::time::sleep(day - made_at.elapsed() - Duration::from_secs(60)).await;
    assert_eq!(service.store.snapshot().jobs.len(), 10_101);
    tokio::time::sleep(Duration::from_secs(60) + 2 * limits::SWEEP_INTERVAL).await;
    let snapshot = service.store.snapshot();
    assert_eq!(snapshot.jobs.len(), 0);
    assert!(service.store.file(&FileId::of("uploads", "a")).await.expect("a store").is_none(), "others had their turn");
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_stays_as_long_as_its_dead_letter() {
    let (_, store) = build(vec![hello()], true);
    let engine = engine_on(&store, vec![hello()], |config| {
        config.retention.jobs = Some(HOUR);
        config.retention.dead_letters = Some(24 * HOUR);
    });
    let service = running(engine, store).await;
    service.put("a", Bytes::from_static(b"x")).await;
    let completed = service.ended("a").await.remove(0);
    let id = filemill_core::ids::JobId::of("b", "k", "1", "r", completed.created_at);
    let dead_letter = Some(DeadLetterId::of("a task", 1, completed.created_at));
    let failed = Job { id, rev: 1, status: JobStatus::Failed, dead_letter, ..completed.clone() };
    let born = ChangeSet::new().with(Change::InsertJob(Box::new(failed.clone())));
    service.store.commit(born, Durability::Synced).await.expect("a failed job");
    tokio::time::sleep(2 * HOUR).await;
    assert!(service.store.job(&completed.id).await.expect("a store").is_none());
    assert!(service.store.job(&failed.id).await.expect("a store").is_some());
    tokio::time::sleep(24 * HOUR).await;
    assert!(service.store.job(&failed.id).await.expect("a store").is_none());
}

fn name(text: &str) -> filemill_core::rule::QueueName {
    filemill_core::rule::Name::parse(text).expect(text)
}
