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
/// Open jobs looked at for a task in one go, so that a long backlog costs a bounded time.
const STRANDED_SCAN: u32 = 10_000;

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
    let window = format!("SELECT id FROM jobs WHERE {OPEN} AND id > ?1 ORDER BY id LIMIT {STRANDED_SCAN}");
    let query = format!(
        "SELECT document FROM jobs WHERE id IN ({window})
            AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.job = jobs.id) ORDER BY id LIMIT ?2"
    );
    let found: Vec<Job> = documents(sql, &query, params![after, limit])?;
    let (seen, last): (i64, Option<String>) =
        sql.query_row(&format!("SELECT count(*), max(id) FROM ({window})"), [after], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok((found, last.filter(|_| seen >= i64::from(STRANDED_SCAN))))
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

/// Ended jobs, up to `limit`, that still have tasks, chunk records or a survey.
pub(crate) fn ended_with_leftovers(sql: &Connection, limit: u32) -> Step<Vec<String>, StateError> {
    let query = format!(
        "SELECT job FROM (SELECT DISTINCT job FROM chunks UNION SELECT DISTINCT job FROM tasks UNION SELECT job FROM surveys)
         WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job AND {NOT_OVER}) LIMIT ?1"
    );
    let mut statement = sql.prepare_cached(&query)?;
    let rows = statement.query_map([limit], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Removes up to `limit` tasks, chunk records and surveys of these jobs, unless one was opened again.
pub(crate) fn clean(tx: &Tx<'_>, ended: &[String], limit: u32) -> rusqlite::Result<u64> {
    let mut left = i64::from(limit);
    for job in ended {
        for (table, identity) in
            [("tasks", "job, run, kind, chunk"), ("chunks", "job, run, chunk"), ("surveys", "job, run")]
        {
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
