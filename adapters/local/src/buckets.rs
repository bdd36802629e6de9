//! Buckets: names with counts.

use crate::failure::{Step, refuse};
use crate::rows::{at, bucket_name};
use crate::writer::Tx;
use filemill_core::limits::BUCKETS_MAX;
use filemill_core::object::BucketName;
use filemill_core::ports::{BlobConflict, BlobError, BucketInfo, InvalidBlob, Missing};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(crate) fn create(tx: &Tx<'_>, bucket: &BucketName) -> Step<(), BlobError> {
    if exists(tx.sql, bucket)? {
        return refuse(BlobError::Conflict(BlobConflict::BucketExists));
    }
    let count: i64 = tx.sql.query_row("SELECT count(*) FROM buckets", [], |row| row.get(0))?;
    if usize::try_from(count).unwrap_or(usize::MAX) >= BUCKETS_MAX {
        return refuse(BlobError::Invalid(InvalidBlob::TooManyBuckets));
    }
    let insert = "INSERT INTO buckets (name, created_at) VALUES (?1, ?2)";
    tx.sql.execute(insert, params![bucket.as_str(), tx.now.as_millis()])?;
    Ok(())
}

pub(crate) fn delete(tx: &Tx<'_>, bucket: &BucketName) -> Step<(), BlobError> {
    need(tx.sql, bucket)?;
    let holds_something = "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)
                               OR EXISTS (SELECT 1 FROM multiparts WHERE bucket = ?1)";
    if tx.sql.query_row(holds_something, [bucket.as_str()], |row| row.get(0))? {
        return refuse(BlobError::Conflict(BlobConflict::BucketNotEmpty));
    }
    tx.sql.execute("DELETE FROM buckets WHERE name = ?1", [bucket.as_str()])?;
    Ok(())
}

pub(crate) fn find(sql: &Connection, bucket: &BucketName) -> Step<Option<BucketInfo>, BlobError> {
    let mut statement = sql.prepare_cached("SELECT name, created_at FROM buckets WHERE name = ?1")?;
    let mut rows = statement.query([bucket.as_str()])?;
    rows.next()?.map(info).transpose()
}

pub(crate) fn all(sql: &Connection) -> Step<Vec<BucketInfo>, BlobError> {
    let mut statement = sql.prepare_cached("SELECT name, created_at FROM buckets ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(info(row)?);
    }
    Ok(found)
}

pub(crate) fn need(sql: &Connection, bucket: &BucketName) -> Step<(), BlobError> {
    if exists(sql, bucket)? { Ok(()) } else { refuse(BlobError::NotFound(Missing::Bucket)) }
}

/// Objects and bytes that came (or went, below zero).
pub(crate) fn count(tx: &Tx<'_>, bucket: &BucketName, objects: i64, bytes: i64) -> rusqlite::Result<()> {
    let update = "UPDATE buckets SET objects = objects + ?2, bytes = bytes + ?3 WHERE name = ?1";
    tx.sql.prepare_cached(update)?.execute(params![bucket.as_str(), objects, bytes])?;
    Ok(())
}

/// Objects and bytes of all buckets.
pub(crate) fn totals(sql: &Connection) -> rusqlite::Result<(i64, i64)> {
    let query = "SELECT coalesce(sum(objects), 0), coalesce(sum(bytes), 0) FROM buckets";
    sql.prepare_cached(query)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn exists(sql: &Connection, bucket: &BucketName) -> rusqlite::Result<bool> {
    let mut statement = sql.prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")?;
    let found: Option<i64> = statement.query_row([bucket.as_str()], |row| row.get(0)).optional()?;
    Ok(found.is_some())
}

fn info(row: &Row<'_>) -> Step<BucketInfo, BlobError> {
    let name: String = row.get("name")?;
    Ok(BucketInfo { name: bucket_name(&name)?, created_at: at(row, "created_at")? })
}
