//! The `TaskQueue` of the memory adapter: leases straight from the task rows.
//!
//! Only `push` rings; a commit alone wakes nobody, as with any queue outside of the database. By plan a ring is not
//! heard, ready tasks come in any order and a lease ends early.

use crate::line::Call;
use crate::store::MemoryStore;
use crate::world::{Counter, TaskRow, World};
use async_trait::async_trait;
use filemill_core::ports::*;
use filemill_core::rule::QueueName;
use filemill_core::task::{Claim, FencingToken, Task, TaskId, TaskKind};
use filemill_core::time::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

/// Q6: one lease in four goes by age.
const BY_AGE_EVERY: u64 = 4;

impl World {
    fn lease(&mut self, wanted: &LeaseRequest, now: Timestamp) -> Vec<Lease> {
        let shuffled = self.dice.roll(self.plan.reorder);
        let room = Room { chunks: wanted.max_chunks, queues: self.queue_room(&wanted.max_running, now) };
        let max = wanted.max as usize;
        let chosen = if shuffled { self.any(max, room, now) } else { self.in_order(max, room, now) };
        self.drained_at = (chosen.len() < max).then_some(now);
        self.leases_given += chosen.len() as u64;
        chosen.into_iter().map(|task| self.claim(task, wanted, now)).collect()
    }

    fn any(&mut self, max: usize, mut room: Room, now: Timestamp) -> Vec<Task> {
        let ready = self.tables.tasks.values().filter(|row| row.is_ready(now));
        let mut ready: Vec<&Task> = ready.map(|row| &row.task).collect();
        self.dice.shuffle(&mut ready);
        ready.into_iter().filter(|task| room.take(task)).take(max).cloned().collect()
    }

    /// Q6: the lowest rank, and the oldest of it; or the oldest of all. What does not fit fits no better later: room
    /// only shrinks.
    fn in_order(&self, max: usize, mut room: Room, now: Timestamp) -> Vec<Task> {
        let ready = || self.tables.tasks.values().filter(|row| row.is_ready(now)).map(|row| &row.task);
        let mut by_rank: BinaryHeap<_> =
            ready().map(|task| Reverse((task.id.rank(), task.ready_at, &task.id))).collect();
        let mut by_age: BinaryHeap<_> = ready().map(|task| Reverse((0, task.ready_at, &task.id))).collect();
        let (mut seen, mut chosen) = (BTreeSet::new(), Vec::new());
        while chosen.len() < max {
            let given = self.leases_given + chosen.len() as u64;
            let order = if (given + 1).is_multiple_of(BY_AGE_EVERY) { &mut by_age } else { &mut by_rank };
            let Some(Reverse((_, _, id))) = order.pop() else { break };
            let task = &self.tables.tasks[id].task;
            if seen.insert(id) && room.take(task) {
                chosen.push(task.clone());
            }
        }
        chosen
    }

    /// When a task may be ready that the last lease did not leave behind.
    fn next_ready(&self) -> Option<Timestamp> {
        let is_news = |at: &Timestamp| self.drained_at.is_none_or(|drained| *at > drained);
        self.tables.tasks.values().map(|row| row.task.ready_at).filter(is_news).min()
    }

    /// How many more tasks of each limited queue may run.
    fn queue_room(&self, max_running: &BTreeMap<QueueName, u32>, now: Timestamp) -> BTreeMap<QueueName, u32> {
        let running = |queue: &QueueName| {
            let count = self.tables.tasks.values().filter(|r| r.task.queue == *queue && r.is_running(now)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        max_running.iter().map(|(queue, max)| (queue.clone(), max.saturating_sub(running(queue)))).collect()
    }

    /// Q1 and Q2.
    fn claim(&mut self, mut task: Task, wanted: &LeaseRequest, now: Timestamp) -> Lease {
        let token = FencingToken(self.next(Counter::Token));
        let until = now.plus(wanted.duration);
        task.claimed(Claim { worker: wanted.worker.clone(), at: now });
        task.ready_at = self.lease_end(wanted.duration, now);
        let row = TaskRow { task: task.clone(), token, leased: true };
        self.set(|t| &mut t.tasks, task.id.clone(), Some(row));
        task.ready_at = until;
        let job = self.tables.jobs.get(&task.id.job).cloned().map(Box::new);
        Lease { task, token, until, job }
    }

    /// When the lease really ends: earlier than promised, if the plan says so.
    fn lease_end(&mut self, duration: Duration, now: Timestamp) -> Timestamp {
        now.plus(self.dice.wait(self.plan.lease_loss, duration).unwrap_or(duration))
    }

    fn extend(&mut self, lease: &Lease, duration: Duration, now: Timestamp) -> Result<Timestamp, LeaseError> {
        let mut row = self.held(lease, now).ok_or(LeaseError::LeaseLost)?;
        row.task.ready_at = self.lease_end(duration, now);
        self.set(|t| &mut t.tasks, lease.task.id.clone(), Some(row));
        Ok(now.plus(duration))
    }

    /// Q5. A lease that is over is nobody's to give back.
    fn release(&mut self, lease: &Lease, now: Timestamp) {
        let Some(mut row) = self.held(lease, now) else { return };
        row.leased = false;
        row.task.ready_at = now;
        row.task.attempts = row.task.attempts.saturating_sub(1);
        row.task.claim = None;
        self.set(|t| &mut t.tasks, lease.task.id.clone(), Some(row));
    }

    fn held(&self, lease: &Lease, now: Timestamp) -> Option<TaskRow> {
        self.tables.tasks.get(&lease.task.id).filter(|row| row.is_held(lease.token, now)).cloned()
    }
}

/// What one call may still lease: chunks (Q7), and tasks of limited queues.
struct Room {
    chunks: u32,
    queues: BTreeMap<QueueName, u32>,
}

impl Room {
    /// False where the task does not fit.
    fn take(&mut self, task: &Task) -> bool {
        let is_heavy = task.id.kind == TaskKind::Chunk;
        let fits = (!is_heavy || self.chunks > 0) && self.queues.get(&task.queue).is_none_or(|left| *left > 0);
        if fits {
            self.chunks -= u32::from(is_heavy);
            self.queues.entry(task.queue.clone()).and_modify(|left| *left -= 1);
        }
        fits
    }
}

impl MemoryStore {
    /// A ring that the plan lets be heard.
    fn ring(&self) {
        let heard = {
            let world = &mut *self.world();
            let heard = !world.dice.roll(world.plan.lost_ring);
            world.drained_at = world.drained_at.filter(|_| !heard);
            heard
        };
        if heard {
            self.ready.notify_waiters();
        }
    }
}

#[async_trait]
impl TaskQueue for MemoryStore {
    async fn push(&self, _tasks: &[TaskId]) -> Result<(), StateError> {
        self.read("push", |_, _| Ok(())).await?;
        self.ring();
        Ok(())
    }

    async fn lease(&self, wanted: LeaseRequest) -> Result<Vec<Lease>, StateError> {
        self.write("lease", Durability::Lazy, |w, now| Ok(w.lease(&wanted, now))).await
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<Timestamp, LeaseError> {
        self.write(Call::under("extend", lease), Durability::Lazy, |w, now| w.extend(lease, duration, now)).await
    }

    async fn ack(&self, _lease: &Lease) -> Result<(), StateError> {
        self.read("ack", |_, _| Ok(())).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StateError> {
        self.write(Call::under("release", lease), Durability::Lazy, |w, now| {
            w.release(lease, now);
            Ok(())
        })
        .await?;
        self.ring();
        Ok(())
    }

    async fn depths(&self) -> Result<BTreeMap<QueueName, QueueDepth>, StateError> {
        self.read("depths", |w, now| {
            let mut depths: BTreeMap<QueueName, QueueDepth> = BTreeMap::new();
            for row in w.tables.tasks.values() {
                let depth = depths.entry(row.task.queue.clone()).or_default();
                if row.is_running(now) {
                    depth.leased += 1;
                } else if row.is_ready(now) {
                    depth.ready += 1;
                    depth.oldest_ready_at = depth.oldest_ready_at.into_iter().chain([row.task.ready_at]).min();
                } else {
                    depth.waiting += 1;
                }
            }
            Ok(depths)
        })
        .await
    }

    async fn ready(&self) {
        let ring = self.ready.notified();
        tokio::pin!(ring);
        ring.as_mut().enable();
        let next = self.world().next_ready();
        let now = self.now();
        match next {
            Some(at) if at <= now => {}
            Some(at) => tokio::select! {
                biased;
                () = &mut ring => {}
                () = self.clock.sleep(at.since(now)) => {}
            },
            None => ring.await,
        }
    }
}
