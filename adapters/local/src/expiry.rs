//! Records that are kept for a time: looked up beside the writer, then removed by it if they are still so (S11).

use crate::failure::Step;
use crate::rows::to_sql;
use crate::writer::Tx;
use filemill_core::ports::{Expired, Expiry, StateError};
use filemill_core::time::Timestamp;
use rusqlite::{Connection, Params, params};

/// By their key.
#[derive(Debug, Default)]
pub(crate) struct Overdue {
    jobs: Vec<i64>,
    jobs_with_letter: Vec<i64>,
    events: Vec<i64>,
    uploads: Vec<String>,
    removed_files: Vec<String>,
}

/// The index of ended jobs is taken only if the query says its condition word by word.
const ENDED_JOB: &str =
    "status IN ('completed', 'failed', 'cancelled') AND (json_extract(document, '$.dead_letter') IS NOT NULL) = ?1
        AND json_extract(document, '$.finished_at') < ?2";
const ENDED_UPLOAD: &str = "status <> 'pending' AND expires_at < ?2";
const REMOVED_FILE: &str = "removed_at < ?2";

/// Up to `limit` of all kinds together.
pub(crate) fn overdue(sql: &Connection, expiry: &Expiry, limit: u32) -> Step<Overdue, StateError> {
    let mut found = Overdue::default();
    let mut left = limit as usize;
    let query = format!("SELECT number FROM jobs INDEXED BY jobs_by_end WHERE {ENDED_JOB} LIMIT ?3");
    for (before, has_letter, jobs) in
        [(expiry.jobs, false, &mut found.jobs), (expiry.jobs_with_letter, true, &mut found.jobs_with_letter)]
    {
        if let Some(before) = before {
            *jobs = keys(sql, &query, params![has_letter, before.to_string(), to_sql(left as u64)])?;
            left -= jobs.len();
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
    for (before, has_letter, jobs) in
        [(expiry.jobs, false, &overdue.jobs), (expiry.jobs_with_letter, true, &overdue.jobs_with_letter)]
    {
        let before = before.map(|at| at.to_string());
        for number in jobs {
            expired.jobs += job.execute(params![has_letter, before, number])? as u64;
        }
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
