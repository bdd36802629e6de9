//! Questions about jobs and their chunks.

use crate::failure::Step;
use crate::filter::Filter;
use crate::rows::{documents, from_sql, maybe_document};
use crate::writer::Tx;
use filemill_core::alarm::EndedJobs;
use filemill_core::chunks::Survey;
use filemill_core::ids::JobId;
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits::PAGE_MAX;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{JobQuery, Page, StateError};
use filemill_core::rule::RuleId;
use filemill_core::task::ChunkRecord;
use filemill_core::time::Timestamp;
use rusqlite::{Connection, params, params_from_iter};
use std::collections::BTreeMap;

const OPEN: &str = "status IN ('queued', 'running')";
/// `Job::is_over` is false: it goes on, or may go on.
const NOT_OVER: &str = "(status IN ('queued', 'running') OR document ->> 'resumable_until' IS NOT NULL)";
/// Jobs looked at in one go, however long the backlog is.
const JOBS_SCAN: u32 = 10_000;
/// What a job leaves: the tables, and what tells their rows apart.
const LEFT_IN: [(&str, &str); 3] =
    [("tasks", "job, run, kind, chunk"), ("chunks", "job, run, chunk"), ("surveys", "job, run")];

pub(crate) fn find(sql: &Connection, id: &JobId) -> Step<Option<Job>, StateError> {
    maybe_document(sql, "SELECT document FROM jobs WHERE id = ?1", [id.as_str()])
}

/// Newest first: ids sort by their time.
pub(crate) fn page(sql: &Connection, query: &JobQuery) -> Step<Page<Job>, StateError> {
    let mut filter = Filter::default();
    filter.add("status = ?", query.status.map(|status| status.as_str().to_owned()));
    filter.add("rule = ?", query.rule.as_ref().map(|rule| rule.to_string()));
    filter.add("bucket = ?", query.bucket.as_ref().map(|bucket| bucket.to_string()));
    filter.add_key(query.key.as_deref());
    filter.add("upload = ?", query.upload.as_ref().map(|upload| upload.to_string()));
    filter.add_reach(&query.reach);
    filter.add("id < ?", query.after.as_ref().map(|after| after.to_string()));
    let select = format!("SELECT document FROM jobs {} ORDER BY id DESC LIMIT {}", filter.clause(), query.limit + 1);
    Ok(page_of(documents(sql, &select, params_from_iter(filter.values))?, query.limit))
}

/// `found` holds one item more than `limit` if there are more.
pub(crate) fn page_of<T>(mut found: Vec<T>, limit: u32) -> Page<T> {
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    Page { items: found, more }
}

/// By rule. Times as text sort by time.
pub(crate) fn ended(sql: &Connection, since: Timestamp) -> Step<BTreeMap<RuleId, EndedJobs>, StateError> {
    let query = "SELECT rule, status, count(*), sum(ifnull(json_extract(document, '$.throttles'), 0) > 0) FROM jobs
        INDEXED BY jobs_by_end WHERE status IN ('completed', 'failed', 'cancelled') AND status <> 'cancelled'
        AND (json_extract(document, '$.dead_letter') IS NOT NULL) IN (0, 1)
        AND json_extract(document, '$.finished_at') >= ?1 GROUP BY rule, status";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query([since.to_string()])?;
    let mut ended: BTreeMap<RuleId, EndedJobs> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (rule, status): (String, String) = (row.get(0)?, row.get(1)?);
        let Ok(rule) = RuleId::parse(&rule) else { continue };
        let counts = ended.entry(rule).or_default();
        let count = from_sql(row.get(2)?);
        if status == JobStatus::Failed.as_str() {
            counts.failed += count
        } else {
            counts.completed += count
        }
        counts.throttled += from_sql(row.get(3)?);
    }
    Ok(ended)
}

pub(crate) fn open_of(sql: &Connection, bucket: &BucketName, key: &ObjectKey) -> Step<Vec<Job>, StateError> {
    let query =
        format!("SELECT document FROM jobs WHERE bucket = ?1 AND key = ?2 AND {OPEN} ORDER BY id LIMIT {PAGE_MAX}");
    documents(sql, &query, params![bucket.as_str(), key.as_str()])
}

/// Open jobs without a task. Looks at a bounded number of open jobs behind `after`, and answers where it stopped
/// unless that was the end.
pub(crate) fn stranded(sql: &Connection, after: &str, limit: u32) -> Step<(Vec<Job>, Option<String>), StateError> {
    let window = format!("SELECT id AS job FROM jobs WHERE {OPEN} AND id > ?1 ORDER BY id LIMIT {JOBS_SCAN}");
    let query = format!(
        "SELECT document FROM jobs WHERE id IN ({window})
            AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.job = jobs.id) ORDER BY id LIMIT ?2"
    );
    let found: Vec<Job> = documents(sql, &query, params![after, limit])?;
    let stopped = end_of(sql, &window, after)?;
    Ok((found, stopped))
}

pub(crate) fn count(sql: &Connection, status: JobStatus) -> rusqlite::Result<u64> {
    let mut statement = sql.prepare_cached("SELECT count(*) FROM jobs WHERE status = ?1")?;
    statement.query_row([status.as_str()], |row| row.get(0)).map(from_sql)
}

pub(crate) fn chunk(sql: &Connection, job: &JobId, run: u32, index: u32) -> Step<Option<ChunkRecord>, StateError> {
    let query = "SELECT document FROM chunks WHERE job = ?1 AND run = ?2 AND chunk = ?3";
    maybe_document(sql, query, params![job.as_str(), run, index])
}

pub(crate) fn chunks(sql: &Connection, job: &JobId, run: u32) -> Step<Vec<ChunkRecord>, StateError> {
    let query = "SELECT document FROM chunks WHERE job = ?1 AND run = ?2 ORDER BY chunk";
    documents(sql, query, params![job.as_str(), run])
}

pub(crate) fn survey(sql: &Connection, job: &JobId, run: u32) -> Step<Option<Survey>, StateError> {
    maybe_document(sql, "SELECT document FROM surveys WHERE job = ?1 AND run = ?2", params![job.as_str(), run])
}

pub(crate) fn has_survey(sql: &Connection, job: &JobId, run: u32) -> rusqlite::Result<bool> {
    sql.prepare_cached("SELECT 1 FROM surveys WHERE job = ?1 AND run = ?2")?.exists(params![job.as_str(), run])
}

pub(crate) fn insert_survey(sql: &Connection, job: &JobId, run: u32, document: &str) -> rusqlite::Result<()> {
    let insert = "INSERT INTO surveys (job, run, document) VALUES (?1, ?2, ?3)";
    sql.prepare_cached(insert)?.execute(params![job.as_str(), run, document]).map(drop)
}

/// How far each table was looked through for leftovers; anew from the beginning behind its end.
pub(crate) type LookedThrough = [String; LEFT_IN.len()];

/// Jobs that are over and left something. Looks at a bounded number of jobs in each table, and answers how far it came.
pub(crate) fn ended_with_leftovers(
    sql: &Connection,
    looked: &LookedThrough,
    limit: u32,
) -> Step<(Vec<String>, LookedThrough), StateError> {
    let (mut ended, mut further) = (Vec::new(), LookedThrough::default());
    for ((table, _), (after, further)) in LEFT_IN.iter().zip(looked.iter().zip(&mut further)) {
        let window = format!("SELECT DISTINCT job FROM {table} WHERE job > ?1 ORDER BY job LIMIT {JOBS_SCAN}");
        let query = format!(
            "SELECT job FROM ({window}) WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job AND {NOT_OVER}) LIMIT ?2"
        );
        let mut statement = sql.prepare_cached(&query)?;
        let rows = statement.query_map(params![after, limit], |row| row.get(0))?;
        let found: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
        // where as many were found as may be, there may be more of them
        let is_done = found.len() < limit as usize;
        *further = if is_done { end_of(sql, &window, after)?.unwrap_or_default() } else { after.clone() };
        ended.extend(found);
    }
    Ok((ended, further))
}

/// Where a window of jobs behind `after` ends, unless it is the last one.
fn end_of(sql: &Connection, window: &str, after: &str) -> Step<Option<String>, StateError> {
    let query = format!("SELECT count(*), max(job) FROM ({window})");
    let (seen, last): (u32, Option<String>) =
        sql.prepare_cached(&query)?.query_row([after], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(last.filter(|_| seen >= JOBS_SCAN))
}

/// Removes up to `limit` tasks, chunk records and surveys of these jobs, unless one was opened again.
pub(crate) fn clean(tx: &Tx<'_>, ended: &[String], limit: u32) -> rusqlite::Result<u64> {
    let mut left = i64::from(limit);
    for job in ended {
        for (table, identity) in LEFT_IN {
            let delete = format!(
                "DELETE FROM {table} WHERE ({identity}) IN (
                    SELECT {identity} FROM {table} WHERE job = ?1
                        AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND {NOT_OVER}) LIMIT ?2)"
            );
            left -= tx.sql.prepare_cached(&delete)?.execute(params![job, left])? as i64;
        }
    }
    Ok(from_sql(i64::from(limit) - left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::migrate;

    /// A backlog longer than what is looked at in one go, with leftovers of jobs that ended in its middle and at its end.
    #[test]
    fn leftovers_behind_a_long_backlog_are_found_within_a_few_looks() {
        let mut db = Connection::open_in_memory().expect("database");
        migrate(&mut db).expect("a schema");
        let (middle, last) = (JOBS_SCAN + 5, 2 * JOBS_SCAN + 10);
        {
            let tx = db.transaction().expect("a transaction");
            let job = "INSERT INTO jobs (id, rev, status, rule, bucket, key, document) VALUES (?1, 1, ?2, 'r', 'b', 'k', '{}')";
            let task = "INSERT INTO tasks (job, run, kind, chunk, queue, rank, ready_at, attempts, token)
                VALUES (?1, 1, 'plan', 0, 'q', 0, 0, 0, 0)";
            for n in 0..=last {
                let status = if n == middle || n == last { "failed" } else { "queued" };
                let id = format!("{n:09}");
                tx.prepare_cached(job).expect("job").execute(params![id, status]).expect("a job");
                tx.prepare_cached(task).expect("task").execute([id]).expect("a task");
            }
            tx.commit().expect("a backlog");
        }
        let (mut looked, mut found) = (LookedThrough::default(), Vec::new());
        for _ in 0..4 {
            let (ended, further) = ended_with_leftovers(&db, &looked, 100).unwrap_or_else(|_| panic!("a look"));
            found.push(ended);
            looked = further;
        }
        let names = |n: u32| vec![format!("{n:09}")];
        assert_eq!(found, [vec![], names(middle), names(last), vec![]], "and then from the beginning");
        let (ended, further) = ended_with_leftovers(&db, &[format!("{:09}", middle - 1), "".into(), "".into()], 1)
            .unwrap_or_else(|_| panic!("a look"));
        assert_eq!((ended, &further[0]), (names(middle), &format!("{:09}", middle - 1)), "there may be more of them");
    }
}
