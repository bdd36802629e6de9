//! Changes that need a lease: held with the token that is newest, and not over.

use super::refuses_whole;
use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;
use filemill_core::task::{FencingToken, Task, TaskError, TaskId};
use std::time::Duration;

/// The three changes that a holder may commit.
const HOLDERS: [fn(&Task, FencingToken) -> Change; 3] = [
    |task, token| Change::HoldTask(task.id.clone(), token),
    |task, token| Change::ReturnTask(task.clone(), token),
    |task, token| Change::EndTask(task.id.clone(), token),
];

async fn leased(backend: &Backend) -> Lease {
    let job = job("a", 1);
    stored_job(backend, &job, &[plan_task(&job)]).await;
    lease_one(backend).await
}

async fn refuses_all(backend: &Backend, task: &Task, token: FencingToken) {
    let before = backend.state.task(&task.id).await.expect("task");
    for change in HOLDERS {
        refuses_whole(backend, || change(task, token)).await;
    }
    assert_eq!(backend.state.task(&task.id).await.expect("task"), before);
}

/// S8
pub async fn a_task_that_is_not_leased_is_held_by_nobody(backend: Backend) {
    let job = job("a", 1);
    refuses_all(&backend, &plan_task(&job), FencingToken(0)).await;
    stored_job(&backend, &job, &[plan_task(&job)]).await;
    for token in 0..3 {
        refuses_all(&backend, &plan_task(&job), FencingToken(token)).await;
    }
}

/// S8
pub async fn another_token_holds_nothing(backend: Backend) {
    let lease = leased(&backend).await;
    for token in [lease.token.0 - 1, lease.token.0 + 1] {
        refuses_all(&backend, &lease.task, FencingToken(token)).await;
    }
    commit(&backend, [Change::HoldTask(lease.task.id.clone(), lease.token)]).await.expect("the right one");
}

/// S8
pub async fn a_lease_that_is_over_holds_nothing(backend: Backend) {
    let lease = leased(&backend).await;
    backend.outside.pass(LEASE).await;
    refuses_all(&backend, &lease.task, lease.token).await;
}

/// S8: fencing. Who was paused comes back too late.
pub async fn a_lease_that_another_took_holds_nothing(backend: Backend) {
    let old = leased(&backend).await;
    backend.outside.pass(LEASE).await;
    let new = lease_one(&backend).await;
    refuses_all(&backend, &old.task, old.token).await;
    commit(&backend, [Change::EndTask(new.task.id.clone(), new.token)]).await.expect("the newest holds it");
    refuses_all(&backend, &old.task, old.token).await;
}

/// S8
pub async fn a_released_lease_holds_nothing(backend: Backend) {
    let lease = leased(&backend).await;
    backend.queue.release(&lease).await.expect("release");
    refuses_all(&backend, &lease.task, lease.token).await;
}

/// S8
pub async fn an_extended_lease_is_held_to_its_new_end(backend: Backend) {
    let lease = leased(&backend).await;
    backend.outside.pass(LEASE / 2).await;
    backend.queue.extend(&lease, LEASE).await.expect("extend");
    backend.outside.pass(LEASE / 2 + LEASE / 4).await;
    commit(&backend, [Change::HoldTask(lease.task.id.clone(), lease.token)]).await.expect("it is still held");
    backend.outside.pass(LEASE).await;
    refuses_all(&backend, &lease.task, lease.token).await;
}

/// S8
pub async fn a_returned_task_waits_for_its_time(backend: Backend) {
    let lease_before = leased(&backend).await;
    let wait = Duration::from_secs(100);
    let mut task = lease_before.task.clone();
    task.ready_at = backend_now(&lease_before).plus(wait);
    task.last_error = Some(TaskError::transient("busy", "the store was busy").with_detail("again"));
    commit(&backend, [Change::ReturnTask(task.clone(), lease_before.token)]).await.expect("return");
    task.claim = None;
    assert_eq!(backend.state.task(&task.id).await.expect("task"), Some(task.clone()));
    refuses_all(&backend, &task, lease_before.token).await;
    backend.outside.pass(wait - Duration::from_millis(1)).await;
    assert!(lease(&backend, 10).await.is_empty(), "its time has not come");
    backend.outside.pass(Duration::from_millis(1)).await;
    let again = lease_one(&backend).await;
    assert_eq!((again.task.attempts, &again.task.last_error), (2, &task.last_error));
}

/// The store's time when the lease was given.
fn backend_now(lease: &Lease) -> filemill_core::time::Timestamp {
    lease.until.minus(LEASE)
}

/// S8
pub async fn an_ended_task_is_gone(backend: Backend) {
    let lease_before = leased(&backend).await;
    commit(&backend, [Change::EndTask(lease_before.task.id.clone(), lease_before.token)]).await.expect("end");
    assert_eq!(backend.state.task(&lease_before.task.id).await.expect("task"), None);
    backend.outside.pass(LEASE * 2).await;
    assert!(lease(&backend, 10).await.is_empty());
}

/// S8: a task that is made again is another one to old holders.
pub async fn a_task_made_again_does_not_know_old_tokens(backend: Backend) {
    let old = leased(&backend).await;
    commit(&backend, [Change::EndTask(old.task.id.clone(), old.token)]).await.expect("end");
    let id: TaskId = old.task.id.clone();
    commit(&backend, [Change::InsertTask(Task::new(id, old.task.queue.clone(), time()))]).await.expect("make again");
    refuses_all(&backend, &old.task, old.token).await;
    let new = lease_one(&backend).await;
    assert!(new.token > old.token, "{:?} came after {:?}", new.token, old.token);
    refuses_all(&backend, &old.task, old.token).await;
}
