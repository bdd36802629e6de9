//! What the sweeper asks: overdue uploads, stranded jobs, leftovers of ended jobs, counts.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::alarm::EndedJobs;
use filemill_core::event::NewEvent;
use filemill_core::file::File;
use filemill_core::ids::DeadLetterId;
use filemill_core::job::{Job, JobStatus};
use filemill_core::ports::*;
use filemill_core::upload::{Upload, UploadStatus};
use std::time::Duration;

fn with_status(job: Job, status: JobStatus) -> Job {
    Job { status, ..job }
}

/// S5
pub async fn overdue_uploads_are_the_pending_ones_whose_link_ended(backend: Backend) {
    let (early, late) = (upload("early", 1), upload("late", 100));
    let received = Upload { status: UploadStatus::Received, ..upload("received", 3) };
    let expired = Upload { status: UploadStatus::Expired, ..upload("expired", 2) };
    for upload in [&early, &late, &received, &expired] {
        commit(&backend, [Change::InsertUpload(upload.clone())]).await.expect("insert");
    }
    let at_its_end = backend.state.overdue_uploads(early.expires_at, 10).await.expect("uploads");
    assert_eq!(at_its_end, []);
    let behind = early.expires_at.plus(Duration::from_millis(1));
    assert_eq!(backend.state.overdue_uploads(behind, 10).await.expect("uploads"), [early]);
    let much_later = behind.plus(Duration::from_secs(10_000));
    assert_eq!(backend.state.overdue_uploads(much_later, 10).await.expect("uploads").len(), 2);
    assert_eq!(backend.state.overdue_uploads(much_later, 1).await.expect("uploads").len(), 1);
}

/// S5
pub async fn stranded_jobs_are_the_open_ones_without_a_task(backend: Backend) {
    let (stranded, running) = (job("stranded", 1), with_status(job("running", 2), JobStatus::Running));
    let (with_task, ended) = (job("with task", 3), with_status(job("ended", 4), JobStatus::Failed));
    for lost in [&stranded, &running, &ended] {
        stored_job(&backend, lost, &[]).await;
    }
    stored_job(&backend, &with_task, &[chunk_task(&with_task, 7)]).await;
    let mut found = backend.state.stranded_jobs(10).await.expect("jobs");
    found.sort_by_key(|j| j.id.clone());
    assert_eq!(found, [stranded, running]);
    assert_eq!(backend.state.stranded_jobs(1).await.expect("jobs").len(), 1);
}

/// S5
pub async fn cleaning_takes_what_ended_jobs_left_and_nothing_else(backend: Backend) {
    let (open, ended) = (job("open", 1), with_status(job("ended", 2), JobStatus::Cancelled));
    for job in [&open, &ended] {
        stored_job(&backend, job, &[plan_task(job), chunk_task(job, 1)]).await;
        commit(&backend, [0, 1].map(|i| Change::InsertChunk(chunk_record(job, i)))).await.expect("chunks");
    }
    let mut cleaned = 0;
    while let one @ 1.. = backend.state.clean(100, 1).await.expect("clean") {
        cleaned += one;
    }
    assert_eq!(cleaned, 4, "two tasks and two chunks, one at a time");
    assert_eq!(backend.state.chunks(&ended.id, 1).await.expect("chunks"), []);
    assert_eq!(backend.state.chunks(&open.id, 1).await.expect("chunks").len(), 2);
    for (job, is_there) in [(&open, true), (&ended, false)] {
        assert_eq!(backend.state.task(&plan_task(job).id).await.expect("task").is_some(), is_there);
        assert_eq!(backend.state.job(&job.id).await.expect("job").as_ref(), Some(job));
    }
}

/// S5
pub async fn cleaning_spares_what_a_failed_job_keeps(backend: Backend) {
    let failed = Job { resumable_until: Some(time()), ..with_status(job("a", 1), JobStatus::Failed) };
    stored_job(&backend, &failed, &[chunk_task(&failed, 1)]).await;
    commit(&backend, [Change::InsertChunk(chunk_record(&failed, 0))]).await.expect("a chunk");
    assert_eq!(backend.state.clean(100, 100).await.expect("clean"), 0);
    let over = Job { resumable_until: None, ..next_rev(&failed) };
    commit(&backend, [Change::UpdateJob(Box::new(over))]).await.expect("no longer");
    assert_eq!(backend.state.clean(100, 100).await.expect("clean"), 2);
}

/// S6
pub async fn cleaning_keeps_the_newest_events_and_their_numbers(backend: Backend) {
    for n in 0..10 {
        commit(&backend, [Change::Emit(event(n))]).await.expect("commit");
    }
    let last = backend.state.last_event().await.expect("last event");
    while backend.state.clean(3, 2).await.expect("clean") > 0 {}
    let kept = backend.state.events_after(0, 100).await.expect("events");
    let numbers: Vec<_> = kept.iter().map(|e| e.event.data["number"].as_u64()).collect();
    assert_eq!(numbers, [Some(7), Some(8), Some(9)]);
    while backend.state.clean(0, 100).await.expect("clean") > 0 {}
    assert_eq!(backend.state.last_event().await.expect("last event"), last);
    let next = commit(&backend, [Change::Emit(event(10))]).await.expect("commit").last_event;
    assert!(next > Some(last), "a number is never given twice: {next:?} after {last}");
}

/// S11
pub async fn what_ended_long_ago_expires_and_nothing_else(backend: Backend) {
    let at = |secs| time().plus(Duration::from_secs(secs));
    let ended = |name, finished| {
        let job = with_status(job(name, 1), JobStatus::Failed);
        let dead_letter = Some(DeadLetterId::of("a task", 1, finished));
        Job { finished_at: Some(finished), dead_letter, ..job }
    };
    let (old, young, open) = (ended("old", at(10)), ended("young", at(17)), job("open", 1));
    let done = |name, status, secs| Job { status, finished_at: Some(at(secs)), ..job(name, 1) };
    let completed = done("completed", JobStatus::Completed, 17);
    let cancelled = done("cancelled", JobStatus::Cancelled, 17);
    let just_completed = done("just completed", JobStatus::Completed, 20);
    for job in [&old, &young, &open, &completed, &cancelled, &just_completed] {
        stored_job(&backend, job, &[]).await;
    }
    let (pending, received) =
        (upload("pending", 1), Upload { status: UploadStatus::Received, ..upload("received", 2) });
    for upload in [&pending, &received] {
        commit(&backend, [Change::InsertUpload(upload.clone())]).await.expect("insert");
    }
    let removed = |name, secs| File { removed_at: Some(at(secs)), ..file(name, 1) };
    for file in [removed("old", 10), removed("young", 30), file("there", 1)] {
        commit(&backend, [new_file(file)]).await.expect("insert");
    }
    commit(&backend, [Change::Emit(NewEvent { at: at(10), ..event(1) })]).await.expect("an old event");
    commit(&backend, [Change::Emit(NewEvent { at: at(30), ..event(2) })]).await.expect("a young one");

    let nothing = backend.state.expire(&Expiry::default(), 100).await.expect("expire");
    assert_eq!(nothing, Expired::default(), "what has no time is kept");
    let before = Some(at(20));
    let expiry = Expiry {
        jobs: before,
        jobs_with_letter: Some(at(15)),
        events: before,
        uploads: Some(at(100_000)),
        removed_files: before,
    };
    let mut all = Expired::default();
    for _ in 0..7 {
        all += backend.state.expire(&expiry, 1).await.expect("expire");
    }
    assert_eq!(all, Expired { jobs: 3, events: 1, uploads: 1, removed_files: 1 }, "one at a time");
    let jobs = [
        (&old, false),
        (&young, true),
        (&open, true),
        (&completed, false),
        (&cancelled, false),
        (&just_completed, true),
    ];
    for (job, is_there) in jobs {
        assert_eq!(backend.state.job(&job.id).await.expect("job").is_some(), is_there, "{job:?}");
    }
    for (upload, is_there) in [(&pending, true), (&received, false)] {
        assert_eq!(backend.state.upload(&upload.id).await.expect("upload").is_some(), is_there, "{upload:?}");
    }
    for (name, is_there) in [("old", false), ("young", true), ("there", true)] {
        assert_eq!(backend.state.file(&file(name, 1).id).await.expect("file").is_some(), is_there, "{name}");
    }
    assert_eq!(backend.state.events_after(0, 100).await.expect("events").len(), 1);
}

/// S5
pub async fn counts_tell_what_waits_and_what_runs(backend: Backend) {
    let empty = backend.state.counts().await.expect("counts");
    assert_eq!((empty.jobs_queued, empty.tasks_ready, empty.tasks_leased, empty.oldest_ready_at), (0, 0, 0, None));
    let (a, b) = (job("a", 1), with_status(job("b", 2), JobStatus::Running));
    let mut later = chunk_task(&a, 5);
    later.ready_at = time().plus(Duration::from_secs(1000));
    stored_job(&backend, &a, &[plan_task(&a), chunk_task(&a, 1), later]).await;
    stored_job(&backend, &b, &[]).await;
    stored_job(&backend, &with_status(job("c", 3), JobStatus::Completed), &[]).await;
    lease_one(&backend).await;
    let counts = backend.state.counts().await.expect("counts");
    assert_eq!((counts.jobs_queued, counts.jobs_running), (1, 1));
    assert_eq!((counts.tasks_ready, counts.tasks_leased), (1, 1));
    assert_eq!(counts.oldest_ready_at, Some(time()));
}

/// S13
pub async fn ended_jobs_are_counted_by_their_last_end(backend: Backend) {
    let second = |n| time().plus(Duration::from_secs(n));
    let ends = [
        ("a", JobStatus::Completed, 10, 0),
        ("b", JobStatus::Failed, 20, 0),
        ("c", JobStatus::Failed, 30, 2),
        ("d", JobStatus::Cancelled, 30, 0),
    ];
    for (nth, (name, status, at, throttles)) in (1..).zip(ends) {
        let ended = Job { status, finished_at: Some(second(at)), throttles, ..job(name, nth) };
        stored_job(&backend, &ended, &[]).await;
    }
    stored_job(&backend, &job("open", 9), &[]).await;
    for (since, counts) in [(0, Some((1, 2, 1))), (20, Some((0, 2, 1))), (31, None)] {
        let found = backend.state.ended_jobs(second(since)).await.expect("ended jobs");
        let found: Vec<EndedJobs> = found.into_values().collect();
        let counts = counts.map(|(completed, failed, throttled)| EndedJobs { completed, failed, throttled });
        assert_eq!(found, Vec::from_iter(counts), "since {since}");
    }
}
