//! Is the store sound? Rows against rows, rows against files, and what should long be over.
//!
//! Looks at one state and changes nothing; of a store that nobody has open too, whose lock is held meanwhile.

use crate::blobs::{BlobFolder, BlobId, file_bytes};
use crate::failure::StoreFailure;
use crate::rows::from_sql;
use filemill_core::limits::{CHECKUP_EXAMPLES_MAX, MULTIPART_TTL, UPLOAD_GRACE};
use filemill_core::ports::{BlobError, Checkup, CheckupFinding};
use filemill_core::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, named_params};
use std::collections::HashMap;
use std::time::Duration;

/// (its code, what must not be, the query that finds it)
pub const CONTRADICTIONS: &[(&str, &str, &str)] = &[
    (
        "object_without_blob",
        "an object whose blob is not there or has another size",
        "SELECT objects.bucket || '/' || key FROM objects LEFT JOIN blobs ON id = blob
         WHERE blob IS NOT NULL AND blobs.size IS NOT objects.size",
    ),
    (
        "object_not_filled",
        "an object that its extents do not fill",
        "SELECT bucket || '/' || key FROM objects WHERE blob IS NULL
         AND size <> (SELECT coalesce(sum(e.size), 0) FROM extents e JOIN blobs ON id = e.blob AND blobs.size = e.size
                      WHERE object = sequencer)",
    ),
    (
        "extents_of_no_object",
        "extents of no object",
        "SELECT object FROM extents WHERE object NOT IN (SELECT sequencer FROM objects)",
    ),
    (
        "part_without_blob",
        "a part whose blob is not there",
        "SELECT multipart || '/' || number FROM parts WHERE size > 0 AND blob NOT IN (SELECT id FROM blobs)",
    ),
    (
        "part_of_no_upload",
        "a part of no upload",
        "SELECT multipart FROM parts WHERE multipart NOT IN (SELECT id FROM multiparts)",
    ),
    (
        "references_do_not_match",
        "a blob that is held more or less often than it says",
        "WITH held AS (SELECT blob, count(*) AS n FROM
             (SELECT blob FROM objects WHERE blob IS NOT NULL UNION ALL SELECT blob FROM extents
              UNION ALL SELECT blob FROM parts WHERE size > 0) GROUP BY blob)
         SELECT printf('%016x', id) FROM blobs LEFT JOIN held ON blob = id WHERE refs <> coalesce(n, 0)",
    ),
    (
        "bucket_counts_wrong",
        "a bucket that counts wrong",
        "SELECT name FROM buckets WHERE (objects, bytes) <>
         (SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE bucket = name)",
    ),
    (
        "object_without_file",
        "an object that is neither announced nor on record as a file",
        "SELECT bucket || '/' || key FROM objects o WHERE sequencer NOT IN (SELECT id FROM announcements) AND NOT EXISTS
         (SELECT 1 FROM files f WHERE f.bucket = o.bucket AND f.key = o.key
          AND removed_at IS NULL AND f.sequencer = printf('%016X', o.sequencer))",
    ),
    (
        "file_without_object",
        "a file without an object, and no announcement of its removal",
        "SELECT bucket || '/' || key FROM files f WHERE removed_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = f.bucket AND o.key = f.key)
         AND NOT EXISTS (SELECT 1 FROM announcements a WHERE a.bucket = f.bucket AND a.key = f.key AND kind = 'removed')",
    ),
    (
        "job_without_task",
        "an open job without a task",
        "SELECT id FROM jobs WHERE status IN ('queued', 'running') AND id NOT IN (SELECT job FROM tasks)",
    ),
    ("task_without_job", "a task of no job", "SELECT job FROM tasks WHERE job NOT IN (SELECT id FROM jobs)"),
    (
        "record_fields_of_no_record",
        "fields of no record",
        "SELECT kind || '/' || id FROM record_fields f
         WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.kind = f.kind AND r.id = f.id)",
    ),
];

/// Ended before `:before`: by then the sweeper should have been there several times.
const LEFTOVERS: &[(&str, &str, &str)] = &[
    (
        "chunks_of_ended_job",
        "chunk records or surveys of a job that ended, or of none",
        "SELECT DISTINCT c.job FROM (SELECT job FROM chunks UNION SELECT job FROM surveys) c LEFT JOIN jobs ON id = c.job
         WHERE id IS NULL OR (status NOT IN ('queued', 'running') AND document ->> 'resumable_until' IS NULL
             AND json_extract(document, '$.finished_at') < :before)",
    ),
    (
        "task_of_ended_job",
        "a task of a job that ended",
        "SELECT DISTINCT job FROM tasks JOIN jobs ON id = job
         WHERE status NOT IN ('queued', 'running') AND document ->> 'resumable_until' IS NULL
             AND json_extract(document, '$.finished_at') < :before",
    ),
    (
        "parts_of_ended_job",
        "a multipart upload of a job that ended, or of none",
        "SELECT multiparts.id FROM multiparts LEFT JOIN jobs ON jobs.id = json_extract(attributes, '$.origin.job')
         WHERE json_extract(attributes, '$.origin.job') IS NOT NULL AND begun_at < :before_millis AND (jobs.id IS NULL
             OR (status NOT IN ('queued', 'running') AND document ->> 'resumable_until' IS NULL
                 AND json_extract(document, '$.finished_at') < :before))",
    ),
    (
        "multipart_forgotten",
        "a multipart upload that should have been aborted for its age",
        "SELECT id FROM multiparts WHERE json_extract(attributes, '$.origin.job') IS NULL
         AND begun_at < :before_millis - :multipart_millis",
    ),
    (
        "upload_not_expired",
        "a promise to upload that should have expired",
        "SELECT id FROM uploads WHERE status = 'pending' AND expires_at < :before_millis - :grace_millis",
    ),
    (
        "announcement_waits",
        "an announcement that nobody took",
        "SELECT bucket || '/' || key FROM announcements WHERE at < :before_millis",
    ),
    (
        "damaged",
        "stored bytes that scrubbing found damaged",
        "SELECT printf('%016x', blob) FROM damage WHERE blob IN (SELECT id FROM blobs)",
    ),
];

/// The sweeper comes every few seconds, and a start may have a lot to do.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// `sql` sees one state; a ticket for pins is out, or nobody else has the store.
pub(crate) fn check_up(
    sql: &Connection,
    blobs: &BlobFolder,
    has_row_now: &dyn Fn(BlobId) -> bool,
    now: Timestamp,
) -> Result<Checkup, BlobError> {
    let mut checkup = Checkup::default();
    let of_sql = |e: rusqlite::Error| BlobError::from(StoreFailure::from(e));
    let broken = "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
    let integrity = [("state_file_damaged", "what SQLite finds wrong with the state file", broken)];
    for (code, what, query) in integrity.iter().chain(CONTRADICTIONS).chain(LEFTOVERS) {
        add(&mut checkup, code, what, texts(sql, query, now).map_err(of_sql)?);
    }
    let (missing, misfit, unknown) = against_files(sql, blobs, has_row_now)?;
    add(&mut checkup, "row_without_file", "a blob whose file is not there", missing);
    add(&mut checkup, "file_has_other_length", "a blob whose file has another length", misfit);
    add(&mut checkup, "file_without_row", "a blob file that no row names", unknown);
    Ok(checkup)
}

fn add(checkup: &mut Checkup, code: &str, what: &str, found: Vec<String>) {
    checkup.checks += 1;
    if found.is_empty() {
        return;
    }
    let count = found.len() as u64;
    let examples = found.into_iter().take(CHECKUP_EXAMPLES_MAX).collect();
    checkup.findings.push(CheckupFinding { code: code.to_owned(), what: what.to_owned(), count, examples });
}

/// The first column, as text.
fn texts(sql: &Connection, query: &str, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    let before = now.minus(PATIENCE);
    let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    let (before_text, before_millis) = (before.to_string(), before.as_millis());
    let (multipart, grace) = (millis(MULTIPART_TTL), millis(UPLOAD_GRACE));
    let mut statement = sql.prepare(query)?;
    let all = named_params! { ":before": before_text, ":before_millis": before_millis,
    ":multipart_millis": multipart, ":grace_millis": grace };
    for (name, value) in all {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(match row.get_ref(0)? {
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        });
    }
    Ok(found)
}

type Names = Vec<String>;

/// Rows without their file, with one of another length, and files without a row. Files are listed first: one that is then
/// neither staged nor condemned has a row, if it is to have one.
fn against_files(
    sql: &Connection,
    blobs: &BlobFolder,
    has_row_now: &dyn Fn(BlobId) -> bool,
) -> Result<(Names, Names, Names), BlobError> {
    let of_sql = |e: rusqlite::Error| BlobError::from(StoreFailure::from(e));
    let (mut missing, mut misfit, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = rows_with_files(sql).map_err(of_sql)?;
    for shard in BlobFolder::shards() {
        for blob in blobs.files_of_shard(shard).map_err(StoreFailure::from)? {
            match rows.remove(&blob) {
                Some(size) => {
                    let length = std::fs::metadata(blobs.path(blob)).map(|m| m.len()).unwrap_or(0);
                    if length != file_bytes(size) {
                        misfit.push(blob.to_string());
                    }
                }
                // made since the rows were looked up, or about to go
                None if blobs.is_staged(blob) || blobs.pins.is_condemned(blob) || has_row_now(blob) => {}
                None => unknown.push(blob.to_string()),
            }
        }
    }
    missing.extend(rows.keys().map(BlobId::to_string));
    Ok((missing, misfit, unknown))
}

fn rows_with_files(sql: &Connection) -> rusqlite::Result<HashMap<BlobId, u64>> {
    let mut statement = sql.prepare("SELECT id, size FROM blobs WHERE data IS NULL")?;
    let rows = statement.query_map([], |row| Ok((BlobId::from_number(row.get(0)?), from_sql(row.get(1)?))))?;
    rows.collect()
}
