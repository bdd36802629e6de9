//! Change sets as wholes: applied or not, bounded, seen whole.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::chunks::Survey;
use filemill_core::limits::CHANGES_MAX;
use filemill_core::ports::*;
use filemill_core::upload::{Upload, UploadStatus};
use futures::future::join_all;

/// S1
pub async fn a_set_of_every_kind_is_applied_whole(backend: Backend) {
    let backend = with_bucket(backend).await;
    let (old, new) = (job("old", 1), job("new", 2));
    stored_job(&backend, &old, &[plan_task(&old), chunk_task(&old, 1), chunk_task(&old, 2)]).await;
    let mut leases = lease(&backend, 3).await;
    leases.sort_by_key(|l| l.task.id.clone());
    let [plan, one, two] = leases.try_into().expect("three tasks");
    let mut returned = one.task.clone();
    returned.ready_at = time().plus(std::time::Duration::from_secs(3600));
    let received = upload("new", 1);
    let expired = Upload { status: UploadStatus::Expired, ..upload("another", 2) };
    commit(&backend, [Change::InsertUpload(upload("another", 2))]).await.expect("insert");
    let committed = commit(
        &backend,
        [
            new_file(file("new", 1)),
            Change::InsertUpload(received.clone()),
            Change::UpdateUpload { upload: expired.clone(), was: UploadStatus::Pending },
            Change::InsertJob(Box::new(new.clone())),
            Change::InsertTask(plan_task(&new)),
            Change::UpdateJob(Box::new(next_rev(&old))),
            Change::EndTask(plan.task.id.clone(), plan.token),
            Change::ReturnTask(returned.clone(), one.token),
            Change::HoldTask(two.task.id.clone(), two.token),
            Change::InsertChunk(chunk_record(&old, 0)),
            Change::InsertSurvey { job: old.id.clone(), run: 1, survey: Survey::default() },
            Change::Emit(event(1)),
        ],
    )
    .await
    .expect("commit");
    assert_eq!(backend.state.survey(&old.id, 1).await.expect("survey"), Some(Survey::default()));
    assert_eq!(committed.last_event, Some(backend.state.last_event().await.expect("last event")));
    let state = &backend.state;
    assert_eq!(state.file(&file("new", 1).id).await.expect("file"), Some(file("new", 1)));
    assert_eq!(state.upload(&received.id).await.expect("upload"), Some(received));
    assert_eq!(state.upload(&expired.id).await.expect("upload"), Some(expired));
    assert_eq!(state.job(&new.id).await.expect("job"), Some(new.clone()));
    assert_eq!(state.job(&old.id).await.expect("job"), Some(next_rev(&old)));
    assert_eq!(state.task(&plan_task(&new).id).await.expect("task"), Some(plan_task(&new)));
    assert_eq!(state.task(&plan.task.id).await.expect("task"), None);
    let returned = filemill_core::task::Task { claim: None, ..returned };
    assert_eq!(state.task(&one.task.id).await.expect("task"), Some(returned));
    assert_eq!(state.task(&two.task.id).await.expect("task"), Some(two.task));
    assert_eq!(state.chunk(&old.id, 1, 0).await.expect("chunk"), Some(chunk_record(&old, 0)));
}

/// S1
pub async fn an_empty_set_changes_nothing(backend: Backend) {
    let committed = commit(&backend, []).await.expect("commit");
    assert!(committed.last_event.is_none() && committed.published.is_empty());
}

/// S3
pub async fn a_set_has_a_largest_size(backend: Backend) {
    let of = |count: u64| ChangeSet { changes: (0..count).map(|n| new_file(file(&n.to_string(), 1))).collect() };
    let too_large = backend.state.commit(of(CHANGES_MAX as u64 + 1), Durability::Synced).await;
    assert!(matches!(too_large, Err(StateError::Invalid(_))), "{too_large:?}");
    let none = backend.state.files(&FileQuery { limit: 10, ..FileQuery::default() }).await.expect("files");
    assert!(none.items.is_empty());
    backend.state.commit(of(CHANGES_MAX as u64), Durability::Synced).await.expect("the largest");
    let all = backend.state.files(&FileQuery { limit: 1000, ..FileQuery::default() }).await.expect("files");
    assert_eq!(all.items.len(), CHANGES_MAX);
}

/// S4: whoever lost the reply sends it again, and it counts once.
pub async fn a_set_sent_twice_is_applied_once(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[chunk_task(&job, 0)]).await;
    let lease = lease_one(&backend).await;
    let done = || {
        [
            Change::EndTask(lease.task.id.clone(), lease.token),
            Change::InsertChunk(chunk_record(&job, 0)),
            Change::UpdateJob(Box::new(next_rev(&job))),
            Change::Emit(event(1)),
        ]
    };
    let first = commit(&backend, done()).await.expect("commit");
    let again = commit(&backend, done()).await;
    assert!(matches!(again, Err(StateError::Conflict(_))), "{again:?}");
    assert_eq!(backend.state.job(&job.id).await.expect("job").map(|j| j.rev), Some(2));
    assert_eq!(Some(backend.state.last_event().await.expect("last event")), first.last_event);
    assert_eq!(backend.state.chunks(&job.id, 1).await.expect("chunks").len(), 1);
}

/// S5
pub async fn a_reader_sees_a_set_whole(backend: Backend) {
    let (mut a, mut b) = (job("a", 1), job("b", 2));
    stored_job(&backend, &a, &[]).await;
    stored_job(&backend, &b, &[]).await;
    let writing = async {
        for _ in 0..50 {
            (a, b) = (next_rev(&a), next_rev(&b));
            let both = [Change::UpdateJob(Box::new(a.clone())), Change::UpdateJob(Box::new(b.clone()))];
            backend.state.commit(set(both), Durability::Lazy).await.expect("commit");
        }
    };
    let reading = async {
        for _ in 0..100 {
            let page = backend.state.jobs(&JobQuery { limit: 10, ..JobQuery::default() }).await.expect("jobs");
            let revs: Vec<u64> = page.items.iter().map(|j| j.rev).collect();
            assert_eq!((revs.len(), revs[0]), (2, revs[1]), "half of a set is visible");
            tokio::task::yield_now().await;
        }
    };
    futures::join!(writing, reading);
}

/// S5: what a commit wrote is there for whoever asks next.
pub async fn a_committed_set_is_read_at_once(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[]).await;
    let mut now = job;
    for durability in [Durability::Lazy, Durability::Synced, Durability::Lazy, Durability::Lazy] {
        now = next_rev(&now);
        backend.state.commit(set([Change::UpdateJob(Box::new(now.clone()))]), durability).await.expect("commit");
        assert_eq!(backend.state.job(&now.id).await.expect("job"), Some(now.clone()));
    }
}

/// S1, S2
pub async fn of_sixteen_updates_of_a_revision_one_wins(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[]).await;
    let (backend, job) = (&backend, &job);
    let updates = (0..16).map(|n| async move {
        let update = filemill_core::job::Job { attempts: n, ..next_rev(job) };
        commit(backend, [Change::UpdateJob(Box::new(update)), Change::Emit(event(u64::from(n)))]).await
    });
    let outcomes = join_all(updates).await;
    let winners: Vec<usize> = (0..16).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let stored = backend.state.job(&job.id).await.expect("job").expect("it is there");
    assert_eq!((stored.rev, stored.attempts as usize), (2, winners[0]));
    assert_eq!(backend.state.events_after(0, 100).await.expect("events").len(), 1);
}
