//! Limits of one call and of one queue.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;
use filemill_core::rule::{Name, QueueName};
use filemill_core::task::{Task, TaskKind};
use std::collections::BTreeMap;
use std::time::Duration;

fn queue(name: &str) -> QueueName {
    Name::parse(name).expect("a queue name")
}

async fn with_tasks_in(backend: &Backend, name: &str, nth: u64, count: u32) {
    let job = job(name, nth);
    let tasks: Vec<Task> = (0..count).map(|i| Task { queue: queue(name), ..chunk_task(&job, i) }).collect();
    stored_job(backend, &job, &tasks).await;
}

/// Q1
pub async fn a_call_leases_at_most_what_was_wanted(backend: Backend) {
    with_tasks_in(&backend, "default", 1, 10).await;
    assert_eq!(lease(&backend, 0).await.len(), 0);
    assert_eq!(lease(&backend, 3).await.len(), 3);
    assert_eq!(lease(&backend, 100).await.len(), 7);
}

/// Q9
pub async fn a_queue_tells_what_waits_and_what_runs(backend: Backend) {
    assert!(backend.queue.depths().await.expect("depths").is_empty());
    with_tasks_in(&backend, "default", 1, 3).await;
    with_tasks_in(&backend, "other", 2, 1).await;
    let depths = backend.queue.depths().await.expect("depths");
    let other = QueueDepth { ready: 1, oldest_ready_at: Some(time()), ..QueueDepth::default() };
    assert_eq!((depths.len(), depths[&queue("other")]), (2, other));
    let limited = LeaseRequest { max_running: [(queue("other"), 0)].into(), ..wanted(2) };
    let leases = backend.queue.lease(limited).await.expect("lease");
    let hour = Duration::from_secs(3600);
    let later = Task { ready_at: leases[0].until.plus(hour), ..leases[0].task.clone() };
    commit(&backend, [Change::ReturnTask(later, leases[0].token)]).await.expect("return");
    let expected = QueueDepth { ready: 1, waiting: 1, leased: 1, oldest_ready_at: Some(time()) };
    assert_eq!(backend.queue.depths().await.expect("depths")[&queue("default")], expected);
    backend.outside.pass(LEASE).await;
    let depth = backend.queue.depths().await.expect("depths")[&queue("default")];
    assert_eq!((depth.ready, depth.waiting, depth.leased), (2, 1, 0), "a lease that ran out is ready");
}

/// Q7
pub async fn a_call_leases_a_bounded_number_of_chunks(backend: Backend) {
    let job = job("a", 1);
    let tasks: Vec<Task> = (0..6).map(|i| chunk_task(&job, i)).chain([plan_task(&job)]).collect();
    stored_job(&backend, &job, &tasks).await;
    let other = crate::samples::job("b", 2);
    stored_job(&backend, &other, &[plan_task(&other)]).await;
    let leases = backend.queue.lease(LeaseRequest { max_chunks: 2, ..wanted(10) }).await.expect("lease");
    let chunks = leases.iter().filter(|l| l.task.id.kind == TaskKind::Chunk).count();
    assert_eq!((leases.len(), chunks), (4, 2), "two chunks and all that is light");
    let none = backend.queue.lease(LeaseRequest { max_chunks: 0, ..wanted(10) }).await.expect("lease");
    assert!(none.is_empty());
    assert_eq!(lease(&backend, 10).await.len(), 4);
}

/// Q1: a queue's own limit.
pub async fn a_queue_runs_at_most_its_limit(backend: Backend) {
    with_tasks_in(&backend, "narrow", 1, 10).await;
    with_tasks_in(&backend, "wide", 2, 10).await;
    let max_running = BTreeMap::from([(queue("narrow"), 3), (queue("unused"), 0)]);
    let request = || LeaseRequest { max_running: max_running.clone(), ..wanted(100) };
    let first = backend.queue.lease(request()).await.expect("lease");
    let of = |leases: &[Lease], name: &str| leases.iter().filter(|l| l.task.queue == queue(name)).count();
    assert_eq!((of(&first, "narrow"), of(&first, "wide")), (3, 10));
    assert!(backend.queue.lease(request()).await.expect("lease").is_empty(), "three of it run already");

    let mut narrow = first.into_iter().filter(|l| l.task.queue == queue("narrow"));
    let ended = narrow.next().expect("one of three");
    commit(&backend, [Change::EndTask(ended.task.id, ended.token)]).await.expect("end");
    assert_eq!(backend.queue.lease(request()).await.expect("lease").len(), 1, "one ended, one follows");
    backend.queue.release(&narrow.next().expect("two of three")).await.expect("release");
    assert_eq!(backend.queue.lease(request()).await.expect("lease").len(), 1);
    backend.outside.pass(LEASE).await;
    let later = backend.queue.lease(request()).await.expect("lease");
    assert_eq!(of(&later, "narrow"), 3, "leases that are over do not run");
}
