//! The sweeper's other duties: a lost worker's task is taken up again, a job without tasks goes on.

use crate::support::{Service, bucket, build, engine_on, hello, key, running, started};
use bytes::Bytes;
use filemill_core::job::JobStatus;
use filemill_core::limits::MULTIPART_TTL;
use filemill_core::object::Attributes;
use filemill_core::ports::{
    BeginMultipart, BlobError, BlobStore, Change, ChangeSet, Durability, LeaseRequest, Missing, MultipartRef, Staged,
    StateStore, TaskQueue,
};
use filemill_core::task::TaskKind;
use std::time::Duration;

/// As much as a worker takes that is about to die.
fn everything() -> LeaseRequest {
    LeaseRequest {
        worker: "lost".into(),
        max: 100,
        max_chunks: 100,
        duration: filemill_core::limits::LEASE,
        max_running: Default::default(),
    }
}

/// Five chunks.
fn large() -> Vec<u8> {
    (0..3_000_000u32).map(|i| if i % 61 == 0 { b'\n' } else { b'a' }).collect()
}

/// A service that planned the job of `big` and works on no chunk.
async fn planned() -> Service {
    let (_, store) = build(vec![hello()], true);
    let service = running(engine_on(&store, vec![hello()], |config| config.chunks_max = 0), store).await;
    service.put("big", large().into()).await;
    while service.store.snapshot().tasks.iter().all(|task| task.id.kind != TaskKind::Chunk) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    service
}

#[tokio::test(start_paused = true)]
async fn a_lost_workers_chunks_are_done_within_forty_seconds() {
    let service = planned().await;
    let lost = service.store.lease(everything()).await.expect("leases");
    assert_eq!(lost.len(), 5, "it took all and is never heard of again");
    let lost_at = tokio::time::Instant::now();
    let service = running(engine_on(&service.store, vec![hello()], |_| ()), service.store.clone()).await;
    let job = service.ended("big").await.remove(0);
    assert_eq!((job.status, job.chunks_done), (JobStatus::Completed, 5));
    let took = lost_at.elapsed();
    assert!(took <= Duration::from_secs(40), "{took:?} until the job was done");
    assert_eq!(job.attempts, 12, "plan, assemble, and two for each chunk: the lost one counts");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_chunk_tasks_were_lost_goes_on_and_twin_sweepers_make_no_twin_tasks() {
    let service = planned().await;
    let (engine, store) = (engine_on(&service.store, vec![hello()], |_| ()), service.store.clone());
    drop(service);
    // a damaged store lost every task
    for lease in store.lease(everything()).await.expect("leases") {
        let end = ChangeSet::new().with(Change::EndTask(lease.task.id.clone(), lease.token));
        store.commit(end, Durability::Synced).await.expect("the task is lost");
    }
    assert!(store.snapshot().tasks.is_empty());
    let other = engine_on(&store, vec![hello()], |_| ());
    let (one, two) = tokio::join!(engine.sweep(), other.sweep());
    one.and(two).expect("two sweeps");
    let tasks = store.snapshot().tasks;
    assert_eq!(tasks.iter().filter(|task| task.id.kind == TaskKind::Chunk).count(), 5, "{tasks:?}");
    assert_eq!(tasks.len(), 5);
    let service = running(engine, store).await;
    assert_eq!(service.ended("big").await[0].status, JobStatus::Completed);
}

/// Nobody but its client knows of it: neither a promise nor a job.
#[tokio::test(start_paused = true)]
async fn parts_that_nobody_put_together_go_after_a_day() {
    let service = started(vec![hello()], true).await;
    let begin = || BeginMultipart { bucket: bucket("uploads"), key: key("big"), attributes: Attributes::default() };
    let id = service.store.begin_multipart(begin()).await.expect("an upload");
    let upload = MultipartRef { bucket: bucket("uploads"), key: key("big"), id };
    let staged = Staged::inline(Bytes::from_static(b"part"));
    service.store.put_part(&upload, 1, staged, None, Default::default()).await.expect("a part");
    tokio::time::sleep(MULTIPART_TTL - Duration::from_secs(60)).await;
    service.store.multipart(&upload).await.expect("it may still be put together");
    let young = service.store.begin_multipart(begin()).await.expect("another upload");
    tokio::time::sleep(Duration::from_secs(120)).await;
    let gone = service.store.multipart(&upload).await.expect_err("it was given up");
    assert!(matches!(gone, BlobError::NotFound(Missing::Upload)), "{gone}");
    let left: Vec<String> = service.store.snapshot().multiparts.into_iter().map(|left| left.upload.id).collect();
    assert_eq!(left, [young], "and it alone");
}
