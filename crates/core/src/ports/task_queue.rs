//! Which task to work on next. The state store holds the truth; the queue only rings the bell.
//!
//! Clauses:
//! * Q1 a ready task is leased to one worker at a time; each lease has a higher fencing token than the one before.
//! * Q2 attempts rise at the claim, and the task says who claimed it. A claim whose lease ran out stands in the history of
//!   the next one, without an error.
//! * Q3 a lease that was neither extended nor ended is over at `until`; the task can be leased again.
//! * Q4 `extend` of a lease that is over or was taken by another answers `LeaseLost`.
//! * Q5 a released task is ready at once and the claim does not count.
//! * Q6 lower ranks first; one lease in four goes by age, so that nothing waits for ever.
//! * Q7 of the leases of one call at most `max_chunks` are chunk tasks: those are heavy, all others are light.
//! * Q8 at least once and in no order: callers stand any duplicate.
//! * Q9 a task is counted in the depth of its queue as what it is now: ready, waiting or leased.
//! * Q10 when the store's clock is set, leases and back-offs keep what is left of them.

use super::{BoxError, StateError};
use crate::job::Job;
use crate::rule::QueueName;
use crate::task::{FencingToken, Task, TaskId};
use crate::time::Timestamp;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

#[async_trait]
pub trait TaskQueue: Send + Sync {
    /// Rings for tasks that a commit made ready. Does nothing where `lease` reads the task rows.
    async fn push(&self, tasks: &[TaskId]) -> Result<(), StateError>;

    /// Up to `wanted.max` ready tasks; none if none is ready. Does not wait.
    async fn lease(&self, wanted: LeaseRequest) -> Result<Vec<Lease>, StateError>;

    /// Moves the lease's end to `duration` from now. The answer is the new end.
    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<Timestamp, LeaseError>;

    /// The task was ended by a commit; drop what the queue still holds of it.
    async fn ack(&self, lease: &Lease) -> Result<(), StateError>;

    /// Gives a task back unworked.
    async fn release(&self, lease: &Lease) -> Result<(), StateError>;

    /// What waits and runs, by queue; queues without a task are left out.
    async fn depths(&self) -> Result<BTreeMap<QueueName, QueueDepth>, StateError>;

    /// Returns when a task may be ready that the last `lease` did not already leave behind (a lease that gave all it was
    /// asked for left some); at once if there may be one. Wakes may be spurious; a missed one is made good by the
    /// worker's clock.
    async fn ready(&self);
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Could be leased now.
    pub ready: u64,
    /// Waits for its time: a back-off.
    pub waiting: u64,
    pub leased: u64,
    /// When the oldest ready task became ready.
    pub oldest_ready_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct LeaseRequest {
    pub worker: String,
    pub max: u32,
    pub max_chunks: u32,
    pub duration: Duration,
    /// Most tasks of a queue that may run at a time; queues not named are not limited.
    pub max_running: BTreeMap<QueueName, u32>,
}

/// A claimed task. `job` is there if the queue read it in the same step.
#[derive(Clone, Debug)]
pub struct Lease {
    pub task: Task,
    pub token: FencingToken,
    pub until: Timestamp,
    pub job: Option<Box<Job>>,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("the lease is over")]
    LeaseLost,
    #[error("the queue is unavailable")]
    Unavailable(#[source] BoxError),
}
