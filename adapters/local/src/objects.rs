//! Objects: the rows that make content visible, in one transaction with its announcement (B1).
//!
//! Everything here checks first and writes afterwards: see the writer's rule about refused requests.

use crate::announcements::{self, News};
use crate::blobs::BlobId;
use crate::buckets;
use crate::extents::{self, Extent};
use crate::failure::{Step, refuse};
use crate::rows::{OBJECT_COLUMNS, checksums_to_json, crc_to_sql, object_info, sequencer, to_json, to_sql};
use crate::stage::Content;
use crate::writer::Tx;
use filemill_core::checksum::{ChecksumScope, Checksums};
use filemill_core::etag::Etag;
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{AnnouncementKind, BlobConflict, BlobError, Missing, Precondition, PutObject};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// An object with where its content is.
pub(crate) struct Stored {
    pub(crate) info: ObjectInfo,
    pub(crate) number: i64,
    pub(crate) blob: Option<BlobId>,
}

/// Content whose blobs have their rows, and the rows their references.
pub(crate) enum Held {
    Empty,
    One(BlobId),
    Many(Vec<Extent>),
}

/// An object about to be visible.
pub(crate) struct NewObject {
    pub(crate) bucket: BucketName,
    pub(crate) key: ObjectKey,
    pub(crate) size: u64,
    pub(crate) etag: Etag,
    pub(crate) attributes: Attributes,
    pub(crate) checksums: Checksums,
    pub(crate) part_sizes: Vec<u64>,
}

pub(crate) fn find(sql: &Connection, bucket: &BucketName, key: &ObjectKey) -> Step<Option<Stored>, BlobError> {
    let query = format!("SELECT {OBJECT_COLUMNS}, blob FROM objects WHERE bucket = ?1 AND key = ?2");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![bucket.as_str(), key.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let blob: Option<i64> = row.get("blob")?;
    let number = row.get("sequencer")?;
    Ok(Some(Stored { info: object_info(row)?, number, blob: blob.map(BlobId::from_number) }))
}

pub(crate) fn need(sql: &Connection, bucket: &BucketName, key: &ObjectKey) -> Step<Stored, BlobError> {
    match find(sql, bucket, key)? {
        Some(stored) => Ok(stored),
        None => {
            buckets::need(sql, bucket)?;
            refuse(BlobError::NotFound(Missing::Object))
        }
    }
}

/// What is there now, if the bucket is and the condition holds.
pub(crate) fn check(
    sql: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
    condition: &Precondition,
) -> Step<Option<Stored>, BlobError> {
    buckets::need(sql, bucket)?;
    let current = find(sql, bucket, key)?;
    match (condition, &current) {
        (Precondition::None, _) | (Precondition::IfAbsent, None) => Ok(current),
        (Precondition::IfMatch(etag), Some(stored)) if stored.info.etag == *etag => Ok(current),
        (Precondition::IfSequencer(sequencer), Some(stored)) if stored.info.sequencer == *sequencer => Ok(current),
        (Precondition::IfMatch(_) | Precondition::IfSequencer(_), None) => refuse(BlobError::NotFound(Missing::Object)),
        _ => refuse(BlobError::Conflict(BlobConflict::Precondition)),
    }
}

pub(crate) fn put(
    tx: &mut Tx<'_>,
    put: PutObject,
    size: u64,
    etag: Etag,
    content: Content,
) -> Step<ObjectInfo, BlobError> {
    let current = check(tx.sql, &put.bucket, &put.key, &put.condition)?;
    let held = hold(tx, content)?;
    let PutObject { bucket, key, attributes, checksums, etag: given, .. } = put;
    let etag = given.unwrap_or(etag);
    let new = NewObject { bucket, key, size, etag, attributes, checksums, part_sizes: Vec::new() };
    Ok(publish(tx, new, held, current)?)
}

pub(crate) fn copy(
    tx: &mut Tx<'_>,
    put: PutObject,
    source: (&BucketName, &ObjectKey),
    source_etag: &Etag,
) -> Step<ObjectInfo, BlobError> {
    let from = need(tx.sql, source.0, source.1)?;
    if from.info.etag != *source_etag {
        return refuse(BlobError::Conflict(BlobConflict::Precondition));
    }
    let current = check(tx.sql, &put.bucket, &put.key, &put.condition)?;
    let held = extents::share(tx.sql, &from)?;
    let PutObject { bucket, key, attributes, checksums, etag, .. } = put;
    let checksums = if checksums.is_empty() { of_the_whole(from.info.checksums) } else { checksums };
    let (size, etag) = (from.info.size, etag.unwrap_or(from.info.etag));
    let new = NewObject { bucket, key, size, etag, attributes, checksums, part_sizes: Vec::new() };
    Ok(publish(tx, new, held, current)?)
}

/// A checksum of parts' checksums says nothing about a copy, which has no parts.
fn of_the_whole(checksums: Checksums) -> Checksums {
    if checksums.scope == ChecksumScope::Composite { Checksums::default() } else { checksums }
}

pub(crate) fn delete(
    tx: &mut Tx<'_>,
    bucket: &BucketName,
    key: &ObjectKey,
    condition: &Precondition,
) -> Step<Option<ObjectInfo>, BlobError> {
    let Some(stored) = check(tx.sql, bucket, key, condition)? else { return Ok(None) };
    announcements::add(tx, AnnouncementKind::Removed, News::of(&stored.info))?;
    let remove = "DELETE FROM objects WHERE bucket = ?1 AND key = ?2";
    tx.sql.prepare_cached(remove)?.execute(params![bucket.as_str(), key.as_str()])?;
    extents::release(tx, &stored)?;
    buckets::count(tx, bucket, -1, -to_sql(stored.info.size))?;
    Ok(Some(stored.info))
}

pub(crate) fn set_tags(
    tx: &Tx<'_>,
    bucket: &BucketName,
    key: &ObjectKey,
    tags: BTreeMap<String, String>,
) -> Step<(), BlobError> {
    let stored = need(tx.sql, bucket, key)?;
    let attributes = Attributes { tags, ..stored.info.attributes };
    let update = "UPDATE objects SET attributes = ?3 WHERE bucket = ?1 AND key = ?2";
    tx.sql.prepare_cached(update)?.execute(params![bucket.as_str(), key.as_str(), to_json(&attributes)])?;
    Ok(())
}

/// The rows of new content.
pub(crate) fn hold(tx: &mut Tx<'_>, content: Content) -> rusqlite::Result<Held> {
    let insert = "INSERT INTO blobs (id, size, crc, data) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = tx.sql.prepare_cached(insert)?;
    match content {
        Content::Empty => Ok(Held::Empty),
        Content::Inline { id, crc, bytes } => {
            statement.execute(params![id.number(), to_sql(bytes.len() as u64), crc_to_sql(crc), &bytes[..]])?;
            Ok(Held::One(id))
        }
        Content::File(file) => {
            let none: Option<&[u8]> = None;
            statement.execute(params![file.id.number(), to_sql(file.size), crc_to_sql(file.crc), none])?;
            let id = file.id;
            tx.effects.kept.push(file);
            Ok(Held::One(id))
        }
    }
}

/// Makes the object visible in place of `current`, and announces it.
pub(crate) fn publish(
    tx: &mut Tx<'_>,
    new: NewObject,
    held: Held,
    current: Option<Stored>,
) -> rusqlite::Result<ObjectInfo> {
    let number = announcements::add(
        tx,
        AnnouncementKind::Created,
        News { bucket: &new.bucket, key: &new.key, size: new.size, etag: &new.etag, attributes: &new.attributes },
    )?;
    let blob = extents::attach(tx.sql, number, held)?;
    let NewObject { bucket, key, size, etag, attributes, checksums, part_sizes } = new;
    let upsert = "INSERT OR REPLACE INTO objects
        (bucket, key, sequencer, size, etag, modified_at, blob, attributes, checksums, part_sizes)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    tx.sql.prepare_cached(upsert)?.execute(params![
        bucket.as_str(),
        key.as_str(),
        number,
        to_sql(size),
        etag.as_str(),
        tx.now.as_millis(),
        blob.map(BlobId::number),
        to_json(&attributes),
        checksums_to_json(&checksums),
        (!part_sizes.is_empty()).then(|| to_json(&part_sizes)),
    ])?;
    let (objects, bytes) = current.as_ref().map_or((1, 0), |old| (0, to_sql(old.info.size)));
    buckets::count(tx, &bucket, objects, to_sql(size) - bytes)?;
    if let Some(old) = current {
        extents::release(tx, &old)?;
    }
    let sequencer = sequencer(number);
    Ok(ObjectInfo { bucket, key, size, etag, sequencer, modified_at: tx.now, attributes, checksums, part_sizes })
}
