//! Questions about files and about uploads, the promises that files come from.

use crate::failure::Step;
use crate::filter::Filter;
use crate::jobs::page_of;
use crate::listing::behind_all_with;
use crate::rows::{documents, maybe_document};
use filemill_core::file::File;
use filemill_core::ids::{FileId, KeyId, UploadId};
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{FileQuery, Page, StateError};
use filemill_core::time::Timestamp;
use filemill_core::upload::Upload;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

pub(crate) fn file(sql: &Connection, id: &FileId) -> Step<Option<File>, StateError> {
    maybe_document(sql, "SELECT document FROM files WHERE id = ?1", [id.as_str()])
}

/// Bucket by bucket, so that a prefix is a range of the index in each.
pub(crate) fn page(sql: &Connection, query: &FileQuery) -> Step<Page<File>, StateError> {
    let wanted = query.limit as usize + 1;
    let mut found = Vec::new();
    let mut bucket = first_bucket(sql, query)?;
    while let Some(name) = bucket {
        if query.reach.touches(&name) {
            let limit = wanted - found.len();
            found.extend(of_bucket(sql, &name, query, limit)?);
        }
        if found.len() >= wanted || query.bucket.is_some() {
            break;
        }
        bucket = bucket_from(sql, &name, ">")?;
    }
    Ok(page_of(found, query.limit))
}

fn first_bucket(sql: &Connection, query: &FileQuery) -> rusqlite::Result<Option<String>> {
    match (&query.bucket, &query.after) {
        (Some(bucket), Some((after, _))) if after > bucket => Ok(None),
        (Some(bucket), _) => Ok(Some(bucket.to_string())),
        (None, Some((after, _))) => bucket_from(sql, after, ">="),
        (None, None) => bucket_from(sql, "", ">="),
    }
}

fn bucket_from(sql: &Connection, from: &str, compare: &str) -> rusqlite::Result<Option<String>> {
    let query =
        format!("SELECT bucket FROM files WHERE removed_at IS NULL AND bucket {compare} ?1 ORDER BY bucket LIMIT 1");
    sql.prepare_cached(&query)?.query_row([from], |row| row.get(0)).optional()
}

fn of_bucket(sql: &Connection, bucket: &str, query: &FileQuery, limit: usize) -> Step<Vec<File>, StateError> {
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let end = behind_all_with(prefix);
    let after = query.after.as_ref().filter(|(name, _)| name.as_str() == bucket).map(|(_, key)| key.as_str());
    let mut filter = Filter::default();
    filter.add("removed_at IS NULL AND bucket = ?", Some(bucket.to_owned()));
    // the index is entered at the later of both starts
    let start = after.map_or(prefix, |after| after.max(prefix));
    filter.add("key >= ?", Some(start.to_owned()));
    filter.add("key < ?", end);
    filter.add("key > ?", after.map(str::to_owned));
    filter.add_reach(&query.reach);
    let select = format!("SELECT document FROM files {} ORDER BY key LIMIT {limit}", filter.clause());
    documents(sql, &select, params_from_iter(filter.values))
}

pub(crate) fn upload(sql: &Connection, id: &UploadId) -> Step<Option<Upload>, StateError> {
    maybe_document(sql, "SELECT document FROM uploads WHERE id = ?1", [id.as_str()])
}

/// Upload ids sort by their time.
pub(crate) fn upload_for(
    sql: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
    by: Option<&KeyId>,
) -> Step<Option<Upload>, StateError> {
    let query = "SELECT document FROM uploads
        WHERE bucket = ?1 AND key = ?2 AND status <> 'received' AND document ->> 'by' IS ?3 ORDER BY id DESC LIMIT 1";
    maybe_document(sql, query, params![bucket.as_str(), key.as_str(), by.map(|by| by.as_str())])
}

pub(crate) fn overdue_uploads(sql: &Connection, before: Timestamp, limit: u32) -> Step<Vec<Upload>, StateError> {
    let query = "SELECT document FROM uploads
        WHERE status = 'pending' AND expires_at < ?1 ORDER BY expires_at LIMIT ?2";
    documents(sql, query, params![before.as_millis(), limit])
}
