//! How stored columns become types and back. A stored name or document that no longer parses is corruption, not a panic.

use crate::failure::{Step, StoreFailure, unreadable};
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::ids::KeyId;
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey, Sequencer};
use filemill_core::time::Timestamp;
use rusqlite::{Row, RowIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("types of core have text keys and cannot fail to serialise")
}

pub(crate) fn from_json<T: DeserializeOwned, E: From<StoreFailure>>(text: &str) -> Step<T, E> {
    serde_json::from_str(text).map_err(|e| unreadable(format_args!("a stored document: {e}")))
}

/// SQLite's integers are signed; sizes and numbers of ours stay below 2^63.
pub(crate) fn to_sql(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(crate) fn from_sql(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

pub(crate) fn count(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

/// A checksum uses all 64 bits.
pub(crate) fn crc_to_sql(crc: u64) -> i64 {
    i64::from_ne_bytes(crc.to_ne_bytes())
}

pub(crate) fn crc_from_sql(n: i64) -> u64 {
    u64::from_ne_bytes(n.to_ne_bytes())
}

pub(crate) fn at(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

pub(crate) fn bucket_name<E: From<StoreFailure>>(text: &str) -> Step<BucketName, E> {
    BucketName::parse(text).map_err(unreadable)
}

pub(crate) fn object_key<E: From<StoreFailure>>(text: &str) -> Step<ObjectKey, E> {
    ObjectKey::parse(text).map_err(unreadable)
}

/// From the column of that name.
pub(crate) fn owner<E: From<StoreFailure>>(row: &Row<'_>) -> Step<Option<KeyId>, E> {
    let text: Option<String> = row.get("owner")?;
    let read = |text: String| KeyId::parse(&text).ok_or_else(|| unreadable(format_args!("an owner {text:?}")));
    text.map(read).transpose()
}

/// Stored as nothing while there is nothing to store.
pub(crate) fn checksums_to_json(checksums: &Checksums) -> Option<String> {
    (*checksums != Checksums::default()).then(|| to_json(checksums))
}

pub(crate) fn checksums_from_json<E: From<StoreFailure>>(text: Option<&str>) -> Step<Checksums, E> {
    text.map_or_else(|| Ok(Checksums::default()), from_json)
}

pub(crate) const OBJECT_COLUMNS: &str =
    "bucket, key, sequencer, size, etag, modified_at, attributes, checksums, part_sizes";

/// An object from a row with [`OBJECT_COLUMNS`].
pub(crate) fn object_info<E: From<StoreFailure>>(row: &Row<'_>) -> Step<ObjectInfo, E> {
    let text = |column: &str| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
    let attributes: Attributes = from_json(text("attributes")?.unwrap_or("{}"))?;
    let part_sizes = text("part_sizes")?.map_or_else(|| Ok(Vec::new()), from_json)?;
    Ok(ObjectInfo {
        bucket: bucket_name(text("bucket")?.unwrap_or_default())?,
        key: object_key(text("key")?.unwrap_or_default())?,
        size: from_sql(row.get("size")?),
        etag: Etag::new(text("etag")?.unwrap_or_default()),
        sequencer: sequencer(row.get("sequencer")?),
        modified_at: at(row, "modified_at")?,
        attributes,
        checksums: checksums_from_json(text("checksums")?)?,
        part_sizes,
    })
}

pub(crate) fn sequencer(number: i64) -> Sequencer {
    Sequencer::from_number(from_sql(number))
}

/// A document from a row's only column.
pub(crate) fn document<T: DeserializeOwned, E: From<StoreFailure>>(row: &Row<'_>) -> Step<T, E> {
    from_json(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)
}

/// All documents that a query gives.
pub(crate) fn documents<T, E, P>(sql: &rusqlite::Connection, query: &str, params: P) -> Step<Vec<T>, E>
where
    T: DeserializeOwned,
    E: From<StoreFailure>,
    P: rusqlite::Params,
{
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(document(row)?);
    }
    Ok(found)
}

/// The first of them.
pub(crate) fn maybe_document<T, E, P>(sql: &rusqlite::Connection, query: &str, params: P) -> Step<Option<T>, E>
where
    T: DeserializeOwned,
    E: From<StoreFailure>,
    P: rusqlite::Params,
{
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(document).transpose()
}
