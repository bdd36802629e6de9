//! Every condition that a change carries, alone: it holds, or the whole set is refused.

use super::refuses_whole;
use crate::backend::Backend;
use crate::samples::*;
use filemill_core::file::File;
use filemill_core::ports::*;
use filemill_core::upload::{Upload, UploadStatus};
use futures::future::join_all;

/// S2
pub async fn a_file_gives_way_only_to_who_knows_it(backend: Backend) {
    let over = |nth| Some(file("a", nth).sequencer);
    refuses_whole(&backend, || Change::PutFile { file: file("a", 9), over: over(8) }).await;
    commit(&backend, [new_file(file("a", 9))]).await.expect("insert");
    for known in [None, over(8), over(10)] {
        refuses_whole(&backend, || Change::PutFile { file: file("a", 10), over: known.clone() }).await;
    }
    let newer = File { size: 11, removed_at: Some(time()), ..file("a", 10) };
    commit(&backend, [Change::PutFile { file: newer.clone(), over: over(9) }]).await.expect("a later event");
    assert_eq!(backend.state.file(&newer.id).await.expect("file"), Some(newer));
}

/// S2
pub async fn a_version_that_is_there_is_held_and_marked_as_removed_once(backend: Backend) {
    let (nine, ten) = (file("a", 9), file("a", 10));
    let hold = |file: &File| Change::HoldFile(file.id.clone(), file.sequencer.clone());
    let mark = |file: &File| Change::MarkRemoved(File { removed_at: Some(time()), ..file.clone() });
    refuses_whole(&backend, || hold(&nine)).await;
    refuses_whole(&backend, || mark(&nine)).await;
    commit(&backend, [new_file(nine.clone())]).await.expect("insert");
    refuses_whole(&backend, || hold(&ten)).await;
    refuses_whole(&backend, || mark(&ten)).await;
    commit(&backend, [hold(&nine), Change::Emit(event(0))]).await.expect("this version is there");
    assert_eq!(backend.state.file(&nine.id).await.expect("file"), Some(nine.clone()), "holding writes nothing");
    commit(&backend, [mark(&nine)]).await.expect("it is there");
    assert!(backend.state.file(&nine.id).await.expect("file").expect("the record stays").removed_at.is_some());
    refuses_whole(&backend, || mark(&nine)).await;
    refuses_whole(&backend, || hold(&nine)).await;
}

/// S2
pub async fn an_upload_is_inserted_once(backend: Backend) {
    commit(&backend, [Change::InsertUpload(upload("a", 1))]).await.expect("insert");
    refuses_whole(&backend, || Change::InsertUpload(upload("a", 1))).await;
}

/// S2
pub async fn an_upload_gives_way_only_to_who_knows_its_status(backend: Backend) {
    use UploadStatus::{Expired, Pending, Received};
    let update = |status, was| Change::UpdateUpload { upload: Upload { status, ..upload("a", 1) }, was };
    refuses_whole(&backend, || update(Received, Pending)).await;
    commit(&backend, [Change::InsertUpload(upload("a", 1))]).await.expect("insert");
    for (status, was) in [(Expired, Pending), (Received, Expired)] {
        commit(&backend, [update(status, was)]).await.expect("update");
        assert_eq!(backend.state.upload(&upload("a", 1).id).await.expect("upload").expect("one").status, status);
        // a sweeper that looked before
        refuses_whole(&backend, || update(Expired, Pending)).await;
    }
}

/// S2
pub async fn a_job_is_inserted_once(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[]).await;
    refuses_whole(&backend, || Change::InsertJob(Box::new(job.clone()))).await;
    assert_eq!(backend.state.job(&job.id).await.expect("job"), Some(job));
}

/// S2
pub async fn a_job_is_updated_from_the_revision_before(backend: Backend) {
    let job = job("a", 1);
    refuses_whole(&backend, || Change::UpdateJob(Box::new(next_rev(&job)))).await;
    stored_job(&backend, &job, &[]).await;
    let skipped = next_rev(&next_rev(&job));
    for wrong in [&job, &skipped] {
        refuses_whole(&backend, || Change::UpdateJob(Box::new(wrong.clone()))).await;
    }
    commit(&backend, [Change::UpdateJob(Box::new(next_rev(&job)))]).await.expect("update");
    refuses_whole(&backend, || Change::UpdateJob(Box::new(next_rev(&job)))).await;
    commit(&backend, [Change::UpdateJob(Box::new(skipped.clone()))]).await.expect("update");
    assert_eq!(backend.state.job(&job.id).await.expect("job"), Some(skipped));
}

/// S2
pub async fn a_task_is_inserted_once(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[plan_task(&job)]).await;
    refuses_whole(&backend, || Change::InsertTask(plan_task(&job))).await;
    let next_run = filemill_core::job::Job { run: 2, ..job.clone() };
    let others = [plan_task(&next_run), chunk_task(&job, 0), chunk_task(&job, 1)];
    commit(&backend, others.map(Change::InsertTask)).await.expect("another run, kind or index is another task");
}

/// S2, S8
pub async fn a_task_that_is_put_replaces_the_one_that_was_there(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[plan_task(&job)]).await;
    let old = lease_one(&backend).await;
    commit(&backend, [plan_task(&job), chunk_task(&job, 0)].map(Change::PutTask)).await.expect("put");
    refuses_whole(&backend, || Change::EndTask(old.task.id.clone(), old.token)).await;
    let made = lease(&backend, 10).await;
    assert_eq!(made.len(), 2);
    for new in made {
        assert!(new.token > old.token && new.task.attempts == 1 && new.task.history.is_empty(), "{new:?}");
    }
}

/// S2
pub async fn a_chunk_counts_once(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[]).await;
    commit(&backend, [Change::InsertChunk(chunk_record(&job, 3))]).await.expect("insert");
    refuses_whole(&backend, || Change::InsertChunk(chunk_record(&job, 3))).await;
    let next_run = filemill_core::job::Job { run: 2, ..job.clone() };
    commit(&backend, [Change::InsertChunk(chunk_record(&next_run, 3))]).await.expect("another run");
}

/// S2
pub async fn of_sixteen_who_record_a_chunk_one_wins(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[]).await;
    let records =
        (0..16).map(|_| commit(&backend, [Change::InsertChunk(chunk_record(&job, 0)), Change::Emit(event(0))]));
    let outcomes = join_all(records).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(backend.state.events_after(0, 100).await.expect("events").len(), 1);
}
