//! Leasing straight from the task rows.
//!
//! A task can be leased when its `ready_at` has come, whether it waits or its last lease has run out (Q3). For each
//! queue and kind the first few by rank and by age are looked up, and the leases picked from those: full queues and
//! kinds that are not wanted are not even read.

use crate::effects::TaskNews;
use crate::failure::{Step, refuse};
use crate::rows::{from_sql, maybe_document};
use crate::tasks;
use crate::writer::Tx;
use filemill_core::ports::{Lease, LeaseError, LeaseRequest, QueueDepth, StateError};
use filemill_core::rule::QueueName;
use filemill_core::task::{Claim, FencingToken, Task, TaskKind};
use filemill_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Q6: one lease in four goes by age.
const BY_AGE_EVERY: u64 = 4;
const KINDS: [TaskKind; 3] = [TaskKind::Plan, TaskKind::Chunk, TaskKind::Assemble];

/// Counts that outlive a call; only the writer's thread moves them.
#[derive(Debug)]
pub(crate) struct LeaseCounters {
    /// Rises with each lease, above every token that a row still has (Q1).
    pub(crate) token: u64,
    pub(crate) leases: u64,
}

pub(crate) fn lease(
    tx: &mut Tx<'_>,
    wanted: &LeaseRequest,
    counters: &mut LeaseCounters,
) -> Step<Vec<Lease>, StateError> {
    let mut room = Room::of(tx.sql, wanted, tx.now)?;
    let mut ready = Ready::find(tx.sql, &room, wanted.max, tx.now)?;
    let mut picked = Vec::new();
    while picked.len() < wanted.max as usize {
        let by_age = (counters.leases + 1).is_multiple_of(BY_AGE_EVERY);
        let Some(task) = ready.take(&mut room, by_age) else { break };
        counters.leases += 1;
        let job = maybe_document(tx.sql, "SELECT document FROM jobs WHERE id = ?1", [task.id.job.as_str()])?;
        picked.push((task, job));
    }
    if picked.len() < wanted.max as usize {
        tx.effects.tasks = Some(TaskNews::Drained { next: next_ready(tx.sql, &ready.queues, tx.now)? });
    }
    let until = tx.now.plus(wanted.duration);
    let mut leases = Vec::with_capacity(picked.len());
    for (mut task, job) in picked {
        counters.token += 1;
        let token = FencingToken(counters.token);
        task.claimed(Claim { worker: wanted.worker.clone(), at: tx.now });
        task.ready_at = until;
        tasks::lease(tx.sql, &task, token)?;
        leases.push(Lease { task, token, until, job });
    }
    Ok(leases)
}

pub(crate) fn extend(tx: &Tx<'_>, lease: &Lease, duration: Duration) -> Step<Timestamp, LeaseError> {
    if !tasks::is_held(tx.sql, &lease.task.id, lease.token, tx.now)? {
        return refuse(LeaseError::LeaseLost);
    }
    let until = tx.now.plus(duration);
    tasks::move_end(tx.sql, &lease.task.id, until)?;
    Ok(until)
}

/// A lease that is over is nobody's to give back.
pub(crate) fn release(tx: &mut Tx<'_>, lease: &Lease) -> Step<(), StateError> {
    if tasks::is_held(tx.sql, &lease.task.id, lease.token, tx.now)? {
        tasks::release(tx.sql, &lease.task.id, tx.now)?;
        tx.effects.tasks = Some(TaskNews::Ready);
    }
    Ok(())
}

/// What one call may still lease: chunks (Q7), and tasks of limited queues.
struct Room {
    chunks: u32,
    limited: BTreeMap<QueueName, u32>,
}

impl Room {
    fn of(sql: &Connection, wanted: &LeaseRequest, now: Timestamp) -> rusqlite::Result<Self> {
        let query = "SELECT count(*) FROM tasks WHERE queue = ?1 AND worker IS NOT NULL AND ready_at > ?2";
        let mut statement = sql.prepare_cached(query)?;
        let mut limited = BTreeMap::new();
        for (queue, max) in &wanted.max_running {
            let running: u32 = statement.query_row(params![queue.as_str(), now.as_millis()], |row| row.get(0))?;
            limited.insert(queue.clone(), max.saturating_sub(running));
        }
        Ok(Room { chunks: wanted.max_chunks, limited })
    }

    fn fits(&self, queue: &QueueName, kind: TaskKind) -> bool {
        (kind != TaskKind::Chunk || self.chunks > 0) && self.limited.get(queue).is_none_or(|left| *left > 0)
    }

    fn take(&mut self, task: &Task) {
        if task.id.kind == TaskKind::Chunk {
            self.chunks -= 1;
        }
        if let Some(left) = self.limited.get_mut(&task.queue) {
            *left -= 1;
        }
    }
}

/// Candidates in both orders.
struct Ready {
    queues: BTreeSet<QueueName>,
    by_rank: Vec<Task>,
    by_age: Vec<Task>,
}

impl Ready {
    fn find(sql: &Connection, room: &Room, max: u32, now: Timestamp) -> Step<Self, StateError> {
        let queues = queues(sql)?;
        let mut ready = Ready { queues, by_rank: Vec::new(), by_age: Vec::new() };
        for queue in &ready.queues {
            for kind in KINDS.into_iter().filter(|kind| room.fits(queue, *kind)) {
                first_ready(sql, &mut ready.by_rank, (queue, kind, now, max), "rank, ready_at")?;
                first_ready(sql, &mut ready.by_age, (queue, kind, now, max), "ready_at")?;
            }
        }
        // taken from the end
        ready.by_rank.sort_by(|a, b| rank_order(b).cmp(&rank_order(a)));
        ready.by_age.sort_by(|a, b| (b.ready_at, &b.id).cmp(&(a.ready_at, &a.id)));
        Ok(ready)
    }

    fn take(&mut self, room: &mut Room, by_age: bool) -> Option<Task> {
        let (from, other) =
            if by_age { (&mut self.by_age, &mut self.by_rank) } else { (&mut self.by_rank, &mut self.by_age) };
        let at = from.iter().rposition(|task| room.fits(&task.queue, task.id.kind))?;
        let task = from.remove(at);
        other.retain(|same| same.id != task.id);
        room.take(&task);
        Some(task)
    }
}

fn rank_order(task: &Task) -> (u32, Timestamp, &filemill_core::task::TaskId) {
    (task.id.rank(), task.ready_at, &task.id)
}

fn first_ready(
    sql: &Connection,
    found: &mut Vec<Task>,
    (queue, kind, now, max): (&QueueName, TaskKind, Timestamp, u32),
    order: &str,
) -> Step<(), StateError> {
    let query =
        format!("SELECT * FROM tasks WHERE queue = ?1 AND kind = ?2 AND ready_at <= ?3 ORDER BY {order} LIMIT ?4");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![queue.as_str(), kind.as_str(), now.as_millis(), max])?;
    while let Some(row) = rows.next()? {
        found.push(tasks::task(row)?);
    }
    Ok(())
}

/// Queues that have a task, by one step through the index for each.
fn queues(sql: &Connection) -> Step<BTreeSet<QueueName>, StateError> {
    let mut statement = sql.prepare_cached("SELECT queue FROM tasks WHERE queue > ?1 ORDER BY queue LIMIT 1")?;
    let mut found = BTreeSet::new();
    let mut last = String::new();
    while let Some(queue) = statement.query_row([&last], |row| row.get::<_, String>(0)).optional()? {
        found.insert(QueueName::parse(&queue).map_err(crate::failure::unreadable)?);
        last = queue;
    }
    Ok(found)
}

/// When a task becomes ready by itself: after a back-off, or because its lease runs out.
fn next_ready(sql: &Connection, queues: &BTreeSet<QueueName>, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let query = "SELECT min(ready_at) FROM tasks WHERE queue = ?1 AND kind = ?2 AND ready_at > ?3";
    let mut statement = sql.prepare_cached(query)?;
    let mut next: Option<i64> = None;
    for queue in queues {
        for kind in KINDS {
            let first: Option<i64> =
                statement.query_row(params![queue.as_str(), kind.as_str(), now.as_millis()], |row| row.get(0))?;
            next = next.into_iter().chain(first).min();
        }
    }
    Ok(next.map(Timestamp::from_millis))
}

pub(crate) fn depths(sql: &Connection, now: Timestamp) -> Step<BTreeMap<QueueName, QueueDepth>, StateError> {
    let query = "SELECT queue, sum(ready_at <= ?1), sum(ready_at > ?1 AND worker IS NULL),
            sum(ready_at > ?1 AND worker IS NOT NULL), min(CASE WHEN ready_at <= ?1 THEN ready_at END)
        FROM tasks GROUP BY queue";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query([now.as_millis()])?;
    let mut depths = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let queue = QueueName::parse(&row.get::<_, String>(0)?).map_err(crate::failure::unreadable)?;
        let (ready, waiting, leased) = (from_sql(row.get(1)?), from_sql(row.get(2)?), from_sql(row.get(3)?));
        let oldest: Option<i64> = row.get(4)?;
        let oldest_ready_at = oldest.map(Timestamp::from_millis);
        depths.insert(queue, QueueDepth { ready, waiting, leased, oldest_ready_at });
    }
    Ok(depths)
}

/// For metrics: ready, leased, and since when the oldest is ready.
pub(crate) fn counts(sql: &Connection, now: Timestamp) -> rusqlite::Result<(u64, u64, Option<Timestamp>)> {
    let now = now.as_millis();
    let leased: i64 =
        sql.query_row("SELECT count(*) FROM tasks WHERE worker IS NOT NULL AND ready_at > ?1", [now], |row| {
            row.get(0)
        })?;
    let (ready, oldest): (i64, Option<i64>) =
        sql.query_row("SELECT count(*), min(ready_at) FROM tasks WHERE ready_at <= ?1", [now], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok((from_sql(ready), from_sql(leased), oldest.map(Timestamp::from_millis)))
}
