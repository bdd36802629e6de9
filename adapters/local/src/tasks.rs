//! Task rows: inserted ready, leased, extended, given back, removed.

use crate::failure::{Step, unreadable};
use crate::rows::{at, count, from_json, from_sql, to_json, to_sql};
use filemill_core::ids::JobId;
use filemill_core::ports::StateError;
use filemill_core::rule::QueueName;
use filemill_core::task::{Claim, FencingToken, Task, TaskId, TaskKind};
use filemill_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

const IS_IT: &str = "job = ?1 AND run = ?2 AND kind = ?3 AND chunk = ?4";

pub(crate) fn find(sql: &Connection, id: &TaskId) -> Step<Option<Task>, StateError> {
    let mut statement = sql.prepare_cached(&format!("SELECT * FROM tasks WHERE {IS_IT}"))?;
    let mut rows = statement.query(params![id.job.as_str(), id.run, id.kind.as_str(), id.index])?;
    rows.next()?.map(task).transpose()
}

pub(crate) fn exists(sql: &Connection, id: &TaskId) -> rusqlite::Result<bool> {
    let mut statement = sql.prepare_cached(&format!("SELECT 1 FROM tasks WHERE {IS_IT}"))?;
    statement.exists(params![id.job.as_str(), id.run, id.kind.as_str(), id.index])
}

/// Leased with this token, and the lease is not over.
pub(crate) fn is_held(sql: &Connection, id: &TaskId, token: FencingToken, now: Timestamp) -> rusqlite::Result<bool> {
    let query = format!("SELECT 1 FROM tasks WHERE {IS_IT} AND token = ?5 AND worker IS NOT NULL AND ready_at > ?6");
    let (job, run, kind, index) = (id.job.as_str(), id.run, id.kind.as_str(), id.index);
    sql.prepare_cached(&query)?.exists(params![job, run, kind, index, to_sql(token.0), now.as_millis()])
}

pub(crate) fn insert(sql: &Connection, task: &Task) -> rusqlite::Result<()> {
    let insert = "INSERT INTO tasks
        (job, run, kind, chunk, queue, rank, ready_at, attempts, token, worker, last_error, history)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, NULL, ?9, ?10)";
    sql.prepare_cached(insert)?
        .execute(params![
            task.id.job.as_str(),
            task.id.run,
            task.id.kind.as_str(),
            task.id.index,
            task.queue.as_str(),
            task.id.rank(),
            task.ready_at.as_millis(),
            task.attempts,
            task.last_error.as_ref().map(to_json),
            history(task),
        ])
        .map(drop)
}

/// As the claim made it.
pub(crate) fn lease(sql: &Connection, task: &Task, token: FencingToken) -> rusqlite::Result<()> {
    let update = format!(
        "UPDATE tasks SET token = ?5, worker = ?6, claimed_at = ?7, ready_at = ?8, attempts = ?9, history = ?10 WHERE {IS_IT}"
    );
    let (job, run, kind, index) = (task.id.job.as_str(), task.id.run, task.id.kind.as_str(), task.id.index);
    let (worker, claimed_at) = claim(task).unzip();
    let (ready_at, history) = (task.ready_at.as_millis(), history(task));
    let values = params![job, run, kind, index, to_sql(token.0), worker, claimed_at, ready_at, task.attempts, history];
    sql.prepare_cached(&update)?.execute(values).map(drop)
}

fn claim(task: &Task) -> Option<(&str, i64)> {
    task.claim.as_ref().map(|claim| (claim.worker.as_str(), claim.at.as_millis()))
}

/// Nothing is stored for the many tasks that succeed at once.
fn history(task: &Task) -> Option<String> {
    (!task.history.is_empty()).then(|| to_json(&task.history))
}

pub(crate) fn move_end(sql: &Connection, id: &TaskId, until: Timestamp) -> rusqlite::Result<()> {
    let update = format!("UPDATE tasks SET ready_at = ?5 WHERE {IS_IT}");
    let (job, run, kind, index) = (id.job.as_str(), id.run, id.kind.as_str(), id.index);
    sql.prepare_cached(&update)?.execute(params![job, run, kind, index, until.as_millis()]).map(drop)
}

pub(crate) fn release(sql: &Connection, id: &TaskId, now: Timestamp) -> rusqlite::Result<()> {
    let update = format!(
        "UPDATE tasks SET worker = NULL, claimed_at = NULL, ready_at = ?5, attempts = max(attempts - 1, 0) WHERE {IS_IT}"
    );
    let (job, run, kind, index) = (id.job.as_str(), id.run, id.kind.as_str(), id.index);
    sql.prepare_cached(&update)?.execute(params![job, run, kind, index, now.as_millis()]).map(drop)
}

pub(crate) fn give_back(sql: &Connection, task: &Task) -> rusqlite::Result<()> {
    let update = format!(
        "UPDATE tasks SET worker = NULL, claimed_at = NULL, ready_at = ?5, attempts = ?6, last_error = ?7, queue = ?8,
            history = ?9 WHERE {IS_IT}"
    );
    let (job, run, kind, index) = (task.id.job.as_str(), task.id.run, task.id.kind.as_str(), task.id.index);
    let last_error = task.last_error.as_ref().map(to_json);
    let (ready_at, queue) = (task.ready_at.as_millis(), task.queue.as_str());
    let values = params![job, run, kind, index, ready_at, task.attempts, last_error, queue, history(task)];
    sql.prepare_cached(&update)?.execute(values).map(drop)
}

pub(crate) fn remove(sql: &Connection, id: &TaskId) -> rusqlite::Result<()> {
    let mut statement = sql.prepare_cached(&format!("DELETE FROM tasks WHERE {IS_IT}"))?;
    statement.execute(params![id.job.as_str(), id.run, id.kind.as_str(), id.index]).map(drop)
}

/// The workers of an earlier process died with it: their leases run out now. Their claims still count and go into the
/// tasks' histories.
pub(crate) fn end_leases(sql: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    let update = "UPDATE tasks SET ready_at = ?1 WHERE worker IS NOT NULL AND ready_at > ?1";
    sql.execute(update, [now.as_millis()])
}

/// Q10
pub(crate) fn move_all(sql: &Connection, millis: i64) -> rusqlite::Result<usize> {
    sql.execute("UPDATE tasks SET ready_at = ready_at + ?1", [millis])
}

pub(crate) fn highest_token(sql: &Connection) -> rusqlite::Result<u64> {
    sql.query_row("SELECT coalesce(max(token), 0) FROM tasks", [], |row| row.get(0)).map(from_sql)
}

pub(crate) fn task(row: &Row<'_>) -> Step<Task, StateError> {
    let text = |column: &str| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let wrong = |what: &str| unreadable(format_args!("a stored task's {what}"));
    let last_error: Option<String> = row.get("last_error")?;
    let history: Option<String> = row.get("history")?;
    let claimed_at: Option<i64> = row.get("claimed_at")?;
    let worker: Option<String> = row.get("worker")?;
    let claim = worker.zip(claimed_at).map(|(worker, at)| Claim { worker, at: Timestamp::from_millis(at) });
    let id = TaskId {
        job: JobId::parse(text("job")?).ok_or_else(|| wrong("job"))?,
        run: count(row.get("run")?),
        kind: TaskKind::parse(text("kind")?).ok_or_else(|| wrong("kind"))?,
        index: count(row.get("chunk")?),
    };
    Ok(Task {
        id,
        queue: QueueName::parse(text("queue")?).map_err(unreadable)?,
        attempts: count(row.get("attempts")?),
        ready_at: at(row, "ready_at")?,
        last_error: last_error.as_deref().map(from_json).transpose()?,
        claim,
        history: history.as_deref().map_or_else(|| Ok(Vec::new()), from_json)?,
    })
}
