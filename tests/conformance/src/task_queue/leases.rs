//! Leases: exclusive, fenced, counted, ending, extended, released.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;
use filemill_core::task::{Attempt, FencingToken, Task, TaskError};
use futures::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

async fn with_chunks(backend: &Backend, count: u32) -> filemill_core::job::Job {
    let job = job("a", 1);
    let tasks: Vec<_> = (0..count).map(|i| chunk_task(&job, i)).collect();
    stored_job(backend, &job, &tasks).await;
    job
}

/// Q1
pub async fn of_sixteen_leasers_each_task_goes_to_one(backend: Backend) {
    with_chunks(&backend, 60).await;
    let backend = &backend;
    let leasers = (0..16).map(|n| async move {
        let mut mine = Vec::new();
        loop {
            let leases = lease(backend, n % 5 + 1).await;
            if leases.is_empty() {
                return mine;
            }
            mine.extend(leases);
        }
    });
    let all: Vec<Lease> = join_all(leasers).await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = all.iter().map(|l| l.task.id.clone()).collect();
    assert_eq!((all.len(), ids.len()), (60, 60), "a task was leased twice or not at all");
    assert!(lease(backend, 100).await.is_empty());
}

/// Q1
pub async fn tokens_rise_with_every_lease(backend: Backend) {
    with_chunks(&backend, 1).await;
    let mut before = FencingToken(0);
    for turn in 0..6 {
        let lease = lease_one(&backend).await;
        assert!(lease.token > before, "turn {turn}: {:?} came after {before:?}", lease.token);
        before = lease.token;
        match turn % 3 {
            0 => backend.outside.pass(LEASE).await,
            1 => backend.queue.release(&lease).await.expect("release"),
            _ => {
                let back = Change::ReturnTask(Task { ready_at: time(), ..lease.task.clone() }, lease.token);
                commit(&backend, [back]).await.expect("return");
            }
        }
    }
}

/// Q2
pub async fn a_claim_that_was_lost_stands_in_the_history(backend: Backend) {
    let job = with_chunks(&backend, 1).await;
    let as_worker = |worker: &str| LeaseRequest { worker: worker.into(), ..wanted(1) };
    let lease_as = async |worker| backend.queue.lease(as_worker(worker)).await.expect("lease").pop().expect("a task");
    let first = lease_as("one").await;
    let claim = first.task.claim.clone().expect("a claim");
    assert_eq!((claim.worker.as_str(), claim.at, first.task.history.len()), ("one", first.until.minus(LEASE), 0));
    let stored = backend.state.task(&first.task.id).await.expect("task").expect("it is there");
    assert_eq!(stored.claim.as_ref(), Some(&claim));
    backend.outside.pass(LEASE).await;
    let second = lease_as("two").await;
    assert_eq!(second.task.history, [Attempt { claim, error: None }]);
    backend.queue.release(&second).await.expect("release");
    let third = lease_as("three").await;
    assert_eq!((third.task.history.len(), third.task.attempts), (1, 2), "what was given back is no attempt");
    let error = TaskError::transient("busy", "the store was busy");
    let returned = Task { ready_at: time(), history: third.task.history_with(&error), ..third.task.clone() };
    commit(&backend, [Change::ReturnTask(returned.clone(), third.token)]).await.expect("return");
    let returned = Task { claim: None, ..returned };
    assert_eq!(backend.state.task(&chunk_task(&job, 0).id).await.expect("task"), Some(returned.clone()));
    let fourth = lease_as("four").await;
    assert_eq!(fourth.task.history, returned.history, "its end was told, so it is there once");
    let told: Vec<_> = fourth.task.history.iter().map(|a| (a.claim.worker.as_str(), a.error.is_some())).collect();
    assert_eq!(told, [("one", false), ("three", true)]);
}

/// Q2
pub async fn attempts_rise_at_the_claim(backend: Backend) {
    let job = with_chunks(&backend, 1).await;
    for attempt in 1..=4 {
        let lease = lease_one(&backend).await;
        assert_eq!(lease.task.attempts, attempt);
        let stored = backend.state.task(&chunk_task(&job, 0).id).await.expect("task").expect("it is there");
        assert_eq!(stored.attempts, attempt, "counted before the work began");
        backend.outside.pass(LEASE).await;
    }
}

/// Q3
pub async fn a_lease_is_over_at_its_end(backend: Backend) {
    with_chunks(&backend, 1).await;
    let first = lease_one(&backend).await;
    assert!(lease(&backend, 10).await.is_empty());
    backend.outside.pass(LEASE - Duration::from_millis(1)).await;
    assert!(lease(&backend, 10).await.is_empty(), "it has not come to its end");
    backend.outside.pass(Duration::from_millis(1)).await;
    let second = lease_one(&backend).await;
    assert_eq!(second.task.id, first.task.id);
}

/// Q10
pub async fn a_clock_that_is_set_moves_no_lease_and_no_back_off(backend: Backend) {
    let job = job("a", 1);
    let mut waiting = chunk_task(&job, 1);
    waiting.ready_at = waiting.ready_at.plus(LEASE * 3);
    stored_job(&backend, &job, &[chunk_task(&job, 0), waiting]).await;
    let held = lease_one(&backend).await;
    for millis in [3_600_000, -2 * 3_600_000, 900_000, 500, 600] {
        backend.outside.set_clock(millis).await;
        assert!(lease(&backend, 10).await.is_empty(), "set by {millis} ms");
    }
    backend.queue.extend(&held, LEASE).await.expect("it is held as before");
    backend.outside.pass(LEASE - Duration::from_millis(1)).await;
    backend.outside.set_clock(3_600_000).await;
    assert!(lease(&backend, 10).await.is_empty(), "it has not come to its end");
    backend.outside.pass(Duration::from_millis(1)).await;
    assert_eq!(lease_one(&backend).await.task.id, held.task.id);
    backend.outside.set_clock(-3_600_000).await;
    backend.outside.pass(LEASE).await;
    assert_eq!(lease_one(&backend).await.task.id, held.task.id);
    backend.outside.pass(LEASE).await;
    assert_eq!(lease(&backend, 10).await.len(), 2, "the back-off is over too");
}

/// Q3
pub async fn an_extended_lease_is_not_given_to_another(backend: Backend) {
    with_chunks(&backend, 1).await;
    let held = lease_one(&backend).await;
    for _ in 0..3 {
        backend.outside.pass(LEASE * 2 / 3).await;
        let until = backend.queue.extend(&held, LEASE).await.expect("extend");
        assert!(until > held.until);
        assert!(lease(&backend, 10).await.is_empty());
    }
    backend.outside.pass(LEASE).await;
    assert_eq!(lease_one(&backend).await.task.id, held.task.id);
}

/// Q4
pub async fn a_lost_lease_cannot_be_extended(backend: Backend) {
    with_chunks(&backend, 1).await;
    let is_lost =
        |outcome: Result<_, LeaseError>| assert!(matches!(outcome, Err(LeaseError::LeaseLost)), "{outcome:?}");
    let over = lease_one(&backend).await;
    backend.outside.pass(LEASE).await;
    is_lost(backend.queue.extend(&over, LEASE).await);
    let taken = lease_one(&backend).await;
    is_lost(backend.queue.extend(&over, LEASE).await);
    backend.queue.extend(&taken, LEASE).await.expect("the holder's own");
    backend.queue.release(&taken).await.expect("release");
    is_lost(backend.queue.extend(&taken, LEASE).await);
    let ended = lease_one(&backend).await;
    commit(&backend, [Change::EndTask(ended.task.id.clone(), ended.token)]).await.expect("end");
    is_lost(backend.queue.extend(&ended, LEASE).await);
}

/// Q5
pub async fn a_released_task_is_ready_at_once_and_does_not_count(backend: Backend) {
    with_chunks(&backend, 1).await;
    for _ in 0..3 {
        let lease = lease_one(&backend).await;
        assert_eq!(lease.task.attempts, 1);
        backend.queue.release(&lease).await.expect("release");
    }
}

/// Q5, Q8: a release that comes late or twice takes nothing from the next holder.
pub async fn a_stale_release_harms_nobody(backend: Backend) {
    with_chunks(&backend, 1).await;
    let old = lease_one(&backend).await;
    backend.queue.release(&old).await.expect("release");
    let new = lease_one(&backend).await;
    backend.queue.release(&old).await.expect("a second release is no error");
    assert!(lease(&backend, 10).await.is_empty(), "the new holder lost its task");
    backend.queue.extend(&new, LEASE).await.expect("the new holder still holds");
}

/// Q8
pub async fn acknowledgements_and_rings_may_come_twice(backend: Backend) {
    let job = with_chunks(&backend, 1).await;
    let task = chunk_task(&job, 0).id;
    let unknown = chunk_task(&job, 77).id;
    for _ in 0..2 {
        backend.queue.push(&[task.clone(), unknown.clone()]).await.expect("push");
    }
    let held = lease_one(&backend).await;
    assert!(lease(&backend, 10).await.is_empty(), "a double ring made a double lease");
    commit(&backend, [Change::EndTask(held.task.id.clone(), held.token)]).await.expect("end");
    for _ in 0..2 {
        backend.queue.ack(&held).await.expect("acknowledge");
    }
    assert!(lease(&backend, 10).await.is_empty());
}

/// Q1: what a lease tells is what is stored.
pub async fn a_lease_carries_its_task_as_stored(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[plan_task(&job)]).await;
    let lease = lease_one(&backend).await;
    let stored = backend.state.task(&lease.task.id).await.expect("task").expect("it is there");
    assert_eq!((&lease.task, lease.until), (&stored, stored.ready_at));
    assert_eq!(lease.until, time().plus(LEASE));
    if let Some(read_along) = lease.job {
        assert_eq!(*read_along, job);
    }
}
