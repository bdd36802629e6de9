//! Records that are kept for a time: looked up beside the writer, then removed by it if they are still so (S11).

use crate::failure::Step;
use crate::rows::to_sql;
use crate::writer::Tx;
use filemill_core::job::JobStatus;
use filemill_core::ports::{Expired, Expiry, StateError};
use filemill_core::time::Timestamp;
use rusqlite::{Connection, Params, params};

/// By their key.
#[derive(Debug, Default)]
pub(crate) struct Overdue {
    jobs: Vec<(JobStatus, i64)>,
    events: Vec<i64>,
    uploads: Vec<String>,
    removed_files: Vec<String>,
}

/// The index of ended jobs is taken only if the query says its condition word by word.
const ENDED_JOB: &str =
    "status IN ('completed', 'failed', 'cancelled') AND status = ?1 AND json_extract(document, '$.finished_at') < ?2";
const ENDED_UPLOAD: &str = "status <> 'pending' AND expires_at < ?2";
const REMOVED_FILE: &str = "removed_at < ?2";

/// Up to `limit` of all kinds together.
pub(crate) fn overdue(sql: &Connection, expiry: &Expiry, limit: u32) -> Step<Overdue, StateError> {
    let mut found = Overdue::default();
    let mut left = limit as usize;
    let query = format!("SELECT number FROM jobs INDEXED BY jobs_by_end WHERE {ENDED_JOB} LIMIT ?3");
    for status in JobStatus::ALL {
        if let Some(before) = expiry.jobs_of(status) {
            let jobs = keys(sql, &query, params![status.as_str(), before.to_string(), to_sql(left as u64)])?;
            left -= jobs.len();
            found.jobs.extend(jobs.into_iter().map(|number| (status, number)))
        }
    }
    if let Some(before) = expiry.events {
        // the oldest come first; if those are young, so are all
        let query = "SELECT seq FROM (SELECT seq, at FROM events ORDER BY seq LIMIT ?2) WHERE at < ?1";
        found.events = keys(sql, query, params![before.as_millis(), to_sql(left as u64)])?;
        left -= found.events.len();
    }
    if let Some(before) = expiry.uploads {
        let query =
            "SELECT id FROM uploads INDEXED BY uploads_ended WHERE status <> 'pending' AND expires_at < ?1 LIMIT ?2";
        found.uploads = keys(sql, query, params![before.as_millis(), to_sql(left as u64)])?;
        left -= found.uploads.len();
    }
    if let Some(before) = expiry.removed_files {
        let query = "SELECT id FROM files WHERE removed_at < ?1 ORDER BY removed_at LIMIT ?2";
        found.removed_files = keys(sql, query, params![before.as_millis(), to_sql(left as u64)])?;
    }
    Ok(found)
}

fn keys<K: rusqlite::types::FromSql>(sql: &Connection, query: &str, values: impl Params) -> Step<Vec<K>, StateError> {
    let mut statement = sql.prepare_cached(query)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whatever changed meanwhile stays.
pub(crate) fn remove(tx: &Tx<'_>, overdue: &Overdue, expiry: &Expiry) -> rusqlite::Result<Expired> {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    let mut expired = Expired::default();
    let mut job = tx.sql.prepare_cached(&format!("DELETE FROM jobs WHERE number = ?3 AND {ENDED_JOB}"))?;
    for (status, number) in &overdue.jobs {
        let before = expiry.jobs_of(*status).map(|at| at.to_string());
        expired.jobs += job.execute(params![status.as_str(), before, number])? as u64;
    }
    let mut event = tx.sql.prepare_cached("DELETE FROM events WHERE seq = ?1")?;
    for seq in &overdue.events {
        expired.events += event.execute([seq])? as u64;
    }
    let mut upload = tx.sql.prepare_cached(&format!("DELETE FROM uploads WHERE id = ?1 AND {ENDED_UPLOAD}"))?;
    for id in &overdue.uploads {
        expired.uploads += upload.execute(params![id, millis(expiry.uploads)])? as u64;
    }
    let mut file = tx.sql.prepare_cached(&format!("DELETE FROM files WHERE id = ?1 AND {REMOVED_FILE}"))?;
    for id in &overdue.removed_files {
        expired.removed_files += file.execute(params![id, millis(expiry.removed_files)])? as u64;
    }
    Ok(expired)
}
