//! Jobs, tasks, files and bytes for the cases, and short forms of the calls that most cases make.

use crate::backend::Backend;
use bytes::Bytes;
use filemill_core::access::Reach;
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::event::{EventKind, NewEvent};
use filemill_core::file::File;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::job::{Job, JobStatus, Target};
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey, ObjectRef, Sequencer};
use filemill_core::ports::*;
use filemill_core::reject::RejectTolerance;
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{Name, Process};
use filemill_core::task::{ChunkRecord, Task, TaskId};
use filemill_core::time::Timestamp;
use filemill_core::upload::{Upload, UploadMode, UploadStatus};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

pub const LEASE: Duration = Duration::from_secs(30);

pub fn time() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

pub fn bucket() -> BucketName {
    BucketName::parse("uploads").expect("a bucket name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key")
}

/// Bytes that differ from place to place, so that a shifted range shows.
pub fn bytes(length: usize, salt: u64) -> Vec<u8> {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut made: Vec<u8> = Vec::with_capacity(length + 8);
    while made.len() < length {
        made.extend_from_slice(&next().to_le_bytes());
    }
    made.truncate(length);
    made
}

/// Staged through a writer, as a door or a step does it: in pieces and off the async threads.
pub async fn staged(backend: &Backend, content: &[u8]) -> Staged {
    let blobs = backend.blobs.clone();
    let content = content.to_vec();
    let work = tokio::task::spawn_blocking(move || {
        let mut writer = blobs.stage(Some(content.len() as u64)).expect("stage");
        for piece in content.chunks(100_000) {
            writer.write_all(piece).expect("write");
        }
        writer.finish().expect("finish")
    });
    work.await.expect("staging does not panic")
}

pub fn put_of(name: &str) -> PutObject {
    PutObject {
        bucket: bucket(),
        key: key(name),
        attributes: Attributes::default(),
        checksums: Checksums::default(),
        etag: None,
        condition: Precondition::None,
    }
}

pub async fn put(backend: &Backend, name: &str, content: &[u8]) -> ObjectInfo {
    let staged = staged(backend, content).await;
    backend.blobs.put(put_of(name), staged, Durability::Synced).await.expect("put")
}

/// The whole object.
pub async fn get(backend: &Backend, name: &str) -> Result<Vec<u8>, BlobError> {
    let opened = backend.blobs.open(&bucket(), &key(name), None, None).await?;
    read(opened).await
}

/// Reads off the async threads; an error of kind `InvalidData` is `Corrupt`.
pub async fn read(opened: OpenObject) -> Result<Vec<u8>, BlobError> {
    let work = tokio::task::spawn_blocking(move || {
        let mut content = Vec::new();
        match opened.body.into_reader().read_to_end(&mut content) {
            Ok(_) => Ok(content),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Err(BlobError::Corrupt(e.to_string())),
            Err(e) => Err(BlobError::unavailable(e)),
        }
    });
    work.await.expect("reading does not panic")
}

/// A backend with the bucket that most cases use.
pub async fn with_bucket(backend: Backend) -> Backend {
    backend.blobs.create_bucket(&bucket()).await.expect("create bucket");
    backend
}

pub async fn all_announcements(backend: &Backend) -> Vec<Announcement> {
    backend.blobs.announcements(1000).await.expect("announcements")
}

pub async fn acknowledge_all(backend: &Backend) {
    let ids: Vec<u64> = all_announcements(backend).await.iter().map(|a| a.id).collect();
    backend.blobs.acknowledge(&ids).await.expect("acknowledge");
}

pub async fn begin(backend: &Backend, name: &str) -> MultipartRef {
    let begin = BeginMultipart { bucket: bucket(), key: key(name), attributes: Attributes::default() };
    let id = backend.blobs.begin_multipart(begin).await.expect("begin");
    MultipartRef { bucket: bucket(), key: key(name), id }
}

pub async fn put_part(backend: &Backend, upload: &MultipartRef, number: u32, content: &[u8]) -> PartInfo {
    let staged = staged(backend, content).await;
    backend.blobs.put_part(upload, number, staged, None, Checksums::default()).await.expect("put part")
}

pub fn named(part: &PartInfo) -> PartRef {
    PartRef { number: part.number, handle: Some(part.handle.clone()), etag: Some(part.etag.clone()) }
}

pub fn completion(parts: Vec<PartRef>) -> CompleteMultipart {
    CompleteMultipart { parts, checksums: Checksums::default(), condition: Precondition::None, min_part_bytes: 0 }
}

/// A length that the backend takes for any part.
pub fn part_length(backend: &Backend) -> usize {
    usize::try_from(backend.blobs.traits().min_part_bytes.max(100 * 1024)).expect("a part's length")
}

pub fn job(name: &str, nth: u64) -> Job {
    let at = time().plus(Duration::from_millis(nth));
    let sequencer = Sequencer::from_number(nth);
    Job {
        id: JobId::of("uploads", name, sequencer.as_str(), "hello", at),
        rev: 1,
        status: JobStatus::Queued,
        rule: Name::parse("hello").expect("a rule id"),
        process: Process { kind: "lines.prefix".into(), options: serde_json::Map::new() },
        input: ObjectRef { bucket: bucket(), key: key(name), size: 10, etag: Etag::new("0123456789abcdef") },
        sequencer,
        target: Target { bucket: BucketName::parse("results").expect("a bucket name"), key: key(name) },
        output: None,
        queue: Name::parse("default").expect("a queue name"),
        retry: RetryPolicy::default(),
        delete_source: false,
        run: 1,
        plan: None,
        multipart: None,
        reject_multipart: None,
        chunks_planned: 0,
        chunks_done: 0,
        bytes_in: 0,
        bytes_out: 0,
        rejects: 0,
        records: 0,
        tolerance: RejectTolerance::default(),
        reject_file: None,
        summary: serde_json::Map::new(),
        result_name: None,
        sources: None,
        reader: Reach::everything(),
        owner: None,
        attempts: 0,
        failure: None,
        dead_letter: None,
        resumable_until: None,
        upload: None,
        metadata: serde_json::Map::new(),
        throttles: 0,
        redriven: false,
        notify: Vec::new(),
        generation: 0,
        original: None,
        created_at: at,
        started_at: None,
        finished_at: None,
    }
}

pub fn next_rev(job: &Job) -> Job {
    Job { rev: job.rev + 1, ..job.clone() }
}

pub fn chunk_task(job: &Job, index: u32) -> Task {
    Task::new(TaskId::chunk(&job.id, job.run, index), job.queue.clone(), time())
}

pub fn plan_task(job: &Job) -> Task {
    Task::new(TaskId::plan(&job.id, job.run), job.queue.clone(), time())
}

pub fn chunk_record(job: &Job, index: u32) -> ChunkRecord {
    let part = Some(PartRef { number: index + 1, handle: Some(format!("part-{index}")), etag: None });
    let summary = serde_json::json!({ "cells": 3 }).as_object().cloned().unwrap_or_default();
    let report = ChunkReport { records: 4, summary, ..ChunkReport::default() };
    let reject_part = Some(PartRef { number: index + 1, handle: None, etag: Some(Etag::new("0123")) });
    let (job, run) = (job.id.clone(), job.run);
    ChunkRecord { job, run, index, part, bytes_in: 5, bytes_out: 7, rejects: 1, reject_part, reject_bytes: 9, report }
}

pub fn new_file(file: File) -> Change {
    Change::PutFile { file, over: None }
}

pub fn file(name: &str, nth: u64) -> File {
    File {
        id: FileId::of("uploads", name),
        bucket: bucket(),
        key: key(name),
        size: 10,
        etag: Etag::new("0123456789abcdef"),
        content_type: Some("text/plain".into()),
        sequencer: Sequencer::from_number(nth),
        upload: None,
        origin: None,
        owner: None,
        created_at: time(),
        removed_at: None,
        repaired: false,
    }
}

pub fn upload(name: &str, nth: u64) -> Upload {
    let created_at = time().plus(Duration::from_secs(nth));
    Upload {
        id: UploadId::new(created_at, [nth as u8; 10]),
        status: UploadStatus::Pending,
        bucket: bucket(),
        key: key(name),
        mode: UploadMode::Put,
        rule: None,
        options: serde_json::Map::new(),
        metadata: serde_json::Map::new(),
        multipart: None,
        notify: Vec::new(),
        is_order: false,
        by: None,
        created_at,
        expires_at: created_at.plus(Duration::from_secs(900)),
    }
}

pub fn event(number: u64) -> NewEvent {
    let data = serde_json::json!({ "number": number });
    NewEvent { kind: EventKind::JobCreated, at: time(), job: None, file: None, upload: None, owner: None, data }
}

pub fn set<const N: usize>(changes: [Change; N]) -> ChangeSet {
    ChangeSet { changes: changes.into() }
}

pub async fn commit<const N: usize>(backend: &Backend, changes: [Change; N]) -> Result<Committed, StateError> {
    backend.state.commit(set(changes), Durability::Synced).await
}

/// A stored job with these tasks, all ready.
pub async fn stored_job(backend: &Backend, job: &Job, tasks: &[Task]) {
    let mut changes = set([Change::InsertJob(Box::new(job.clone()))]);
    tasks.iter().for_each(|t| changes.push(Change::InsertTask(t.clone())));
    backend.state.commit(changes, Durability::Synced).await.expect("store a job");
}

pub fn wanted(max: u32) -> LeaseRequest {
    LeaseRequest { worker: "worker".into(), max, max_chunks: max, duration: LEASE, max_running: BTreeMap::new() }
}

pub async fn lease(backend: &Backend, max: u32) -> Vec<Lease> {
    backend.queue.lease(wanted(max)).await.expect("lease")
}

pub async fn lease_one(backend: &Backend) -> Lease {
    lease(backend, 1).await.pop().expect("a task is ready")
}

pub fn inline(content: &'static [u8]) -> Staged {
    Staged::inline(Bytes::from_static(content))
}

/// All of a bucket in one page.
pub fn whole(bucket: &BucketName) -> ListObjects {
    ListObjects {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        owner: None,
        after: None,
        limit: 1000,
    }
}

/// What is listed.
pub async fn keys(backend: &Backend) -> Vec<String> {
    let list = backend.blobs.list(&whole(&bucket())).await.expect("list");
    list.objects.iter().map(|o| o.key.as_str().to_owned()).collect()
}
