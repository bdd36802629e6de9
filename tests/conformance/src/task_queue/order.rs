//! Order: fair by rank, and by age often enough that nothing waits for ever.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::Change;
use filemill_core::task::{Task, TaskId};
use std::time::Duration;

/// Q6: a small file behind a huge one is not behind it.
pub async fn lower_ranks_are_leased_first(backend: Backend) {
    let huge = job("huge", 1);
    let tasks: Vec<Task> = (0..40).map(|i| chunk_task(&huge, i)).collect();
    stored_job(&backend, &huge, &tasks).await;
    let small = job("small", 2);
    let late = Task { ready_at: time().plus(Duration::from_secs(1)), ..plan_task(&small) };
    stored_job(&backend, &small, std::slice::from_ref(&late)).await;
    backend.outside.pass(Duration::from_secs(2)).await;
    let mut order: Vec<TaskId> = Vec::new();
    for _ in 0..4 {
        order.push(lease_one(&backend).await.task.id);
    }
    assert!(order.contains(&late.id), "the small file waits behind the huge one: {order:?}");
}

/// Q6
pub async fn nothing_waits_for_ever(backend: Backend) {
    let old = job("old", 1);
    stored_job(&backend, &old, &[chunk_task(&old, 9999)]).await;
    let newer = time().plus(Duration::from_secs(1));
    for n in 0..20 {
        let job = job("new", n + 2);
        stored_job(&backend, &job, &[Task { ready_at: newer, ..plan_task(&job) }]).await;
    }
    backend.outside.pass(Duration::from_secs(2)).await;
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(lease_one(&backend).await.task.id);
    }
    assert!(order.contains(&chunk_task(&old, 9999).id), "none of four leases went by age: {order:?}");
}

/// Q6: the same when many are leased at once.
pub async fn a_large_lease_is_fair_too(backend: Backend) {
    let huge = job("huge", 1);
    let mut tasks: Vec<Task> = (0..40).map(|i| chunk_task(&huge, i)).collect();
    tasks.iter_mut().for_each(|t| t.ready_at = time().plus(Duration::from_secs(1)));
    let oldest = chunk_task(&huge, 500);
    tasks.push(oldest.clone());
    stored_job(&backend, &huge, &tasks).await;
    backend.outside.pass(Duration::from_secs(2)).await;
    let leased: Vec<TaskId> = lease(&backend, 12).await.into_iter().map(|l| l.task.id).collect();
    assert_eq!(leased.len(), 12);
    let low_ranks = (0..8).filter(|i| leased.contains(&chunk_task(&huge, *i).id)).count();
    assert_eq!(low_ranks, 8, "three in four go by rank: {leased:?}");
    assert!(leased.contains(&oldest.id), "one in four goes by age: {leased:?}");
}

/// Q3
pub async fn a_task_is_not_leased_before_its_time(backend: Backend) {
    let job = job("a", 1);
    let later = Task { ready_at: time().plus(Duration::from_secs(10)), ..plan_task(&job) };
    stored_job(&backend, &job, &[later]).await;
    assert!(lease(&backend, 10).await.is_empty());
    backend.outside.pass(Duration::from_secs(10)).await;
    let lease = lease_one(&backend).await;
    backend.queue.release(&lease).await.expect("release");
    let again = lease_one(&backend).await;
    commit(&backend, [Change::EndTask(again.task.id.clone(), again.token)]).await.expect("end");
}
