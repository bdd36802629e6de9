//! Multipart uploads. Completing one copies nothing: the parts' blobs become the object's extents (B7).

use crate::blobs::BlobId;
use crate::buckets;
use crate::extents::{Extent, release_blob};
use crate::failure::{Step, refuse};
use crate::objects::{self, Held, NewObject, Stored};
use crate::rows::{at, bucket_name, checksums_from_json, checksums_to_json, count, crc_to_sql};
use crate::rows::{from_json, from_sql, object_key, to_json, to_sql};
use crate::stage::StagedFile;
use crate::writer::Tx;
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::limits::{OBJECT_BYTES_MAX, PARTS_MAX};
use filemill_core::object::ObjectInfo;
use filemill_core::ports::*;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

pub(crate) fn begin(tx: &Tx<'_>, begin: &BeginMultipart) -> Step<String, BlobError> {
    buckets::need(tx.sql, &begin.bucket)?;
    let insert = "INSERT INTO multiparts (id, bucket, key, begun_at, attributes)
        VALUES (lower(hex(randomblob(16))), ?1, ?2, ?3, ?4) RETURNING id";
    let (bucket, key, now) = (begin.bucket.as_str(), begin.key.as_str(), tx.now.as_millis());
    let mut statement = tx.sql.prepare_cached(insert)?;
    Ok(statement.query_row(params![bucket, key, now, to_json(&begin.attributes)], |row| row.get(0))?)
}

/// The content of a part; empty ones have no file.
pub(crate) struct PartContent {
    pub(crate) id: BlobId,
    pub(crate) file: Option<StagedFile>,
}

pub(crate) struct NewPart {
    pub(crate) number: u32,
    pub(crate) etag: Etag,
    pub(crate) checksums: Checksums,
    pub(crate) content: PartContent,
}

pub(crate) fn check_number(number: u32) -> Result<(), BlobError> {
    if (1..=PARTS_MAX).contains(&number) {
        return Ok(());
    }
    Err(BlobError::Invalid(InvalidBlob::Other(format!("part numbers run from 1 to {PARTS_MAX}; this one is {number}"))))
}

pub(crate) fn put_part(tx: &mut Tx<'_>, upload: &MultipartRef, part: NewPart) -> Step<PartInfo, BlobError> {
    need(tx.sql, upload)?;
    let replaced = part_blob(tx.sql, &upload.id, part.number)?;
    let NewPart { number, etag, checksums, content } = part;
    let size = content.file.as_ref().map_or(0, |file| file.size);
    if let Some(file) = content.file {
        let insert = "INSERT INTO blobs (id, size, crc) VALUES (?1, ?2, ?3)";
        tx.sql.prepare_cached(insert)?.execute(params![content.id.number(), to_sql(size), crc_to_sql(file.crc)])?;
        tx.effects.kept.push(file);
    }
    let upsert = "INSERT OR REPLACE INTO parts (multipart, number, size, etag, checksums, modified_at, blob)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    tx.sql.prepare_cached(upsert)?.execute(params![
        upload.id,
        number,
        to_sql(size),
        etag.as_str(),
        checksums_to_json(&checksums),
        tx.now.as_millis(),
        content.id.number(),
    ])?;
    if let Some(blob) = replaced {
        release_blob(tx, blob)?;
    }
    Ok(PartInfo { number, size, etag, checksums, modified_at: tx.now, handle: content.id.to_string() })
}

pub(crate) fn complete(
    tx: &mut Tx<'_>,
    upload: &MultipartRef,
    complete: &CompleteMultipart,
) -> Step<ObjectInfo, BlobError> {
    let info = need(tx.sql, upload)?;
    let current = objects::check(tx.sql, &upload.bucket, &upload.key, &complete.condition)?;
    let named = named_parts(tx.sql, &upload.id, &complete.parts, complete.min_part_bytes)?;
    let etag = Etag::of_parts(named.iter().map(|part| &part.info.etag));
    let new = NewObject {
        bucket: upload.bucket.clone(),
        key: upload.key.clone(),
        size: total(&named),
        etag,
        attributes: info.attributes,
        checksums: complete.checksums.clone(),
        part_sizes: named.iter().map(|part| part.info.size).collect(),
    };
    Ok(join(tx, &upload.id, new, &named, current)?)
}

/// Makes the parts the object's content and ends the upload; parts that were not named are gone.
pub(crate) fn join(
    tx: &mut Tx<'_>,
    id: &str,
    new: NewObject,
    named: &[Part],
    current: Option<Stored>,
) -> rusqlite::Result<ObjectInfo> {
    let full = named.iter().filter(|part| part.info.size > 0);
    let extents: Vec<Extent> = full.map(|part| Extent { blob: part.blob, size: part.info.size }).collect();
    end(tx, id, named)?;
    objects::publish(tx, new, if extents.is_empty() { Held::Empty } else { Held::Many(extents) }, current)
}

pub(crate) fn abort(tx: &mut Tx<'_>, upload: &MultipartRef) -> Step<(), BlobError> {
    need(tx.sql, upload)?;
    Ok(end(tx, &upload.id, &[])?)
}

/// Removes the upload; the blobs of its parts are released but for those in `kept`, which rise by number.
fn end(tx: &mut Tx<'_>, id: &str, kept: &[Part]) -> rusqlite::Result<()> {
    let all: Vec<(u32, BlobId)> = {
        let mut statement = tx.sql.prepare_cached("SELECT number, blob FROM parts WHERE multipart = ?1")?;
        let rows = statement.query_map([id], |row| Ok((count(row.get(0)?), BlobId::from_number(row.get(1)?))))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (number, blob) in all {
        if kept.binary_search_by_key(&number, |part| part.info.number).is_err() {
            release_blob(tx, blob)?;
        }
    }
    tx.sql.prepare_cached("DELETE FROM parts WHERE multipart = ?1")?.execute([id])?;
    tx.sql.prepare_cached("DELETE FROM multiparts WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// A stored part with its blob.
pub(crate) struct Part {
    pub(crate) info: PartInfo,
    blob: BlobId,
}

pub(crate) fn total(parts: &[Part]) -> u64 {
    parts.iter().map(|part| part.info.size).sum()
}

/// The parts that a completion names, if they are there, in order and large enough.
pub(crate) fn named_parts(
    sql: &Connection,
    id: &str,
    named: &[PartRef],
    min_part_bytes: u64,
) -> Step<Vec<Part>, BlobError> {
    if named.is_empty() || named.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return refuse(BlobError::Invalid(InvalidBlob::PartOrder));
    }
    let mut stored: BTreeMap<u32, Part> = stored_parts(sql, id)?;
    let mut parts = Vec::with_capacity(named.len());
    for part in named {
        match stored.remove(&part.number).filter(|found| is_meant(part, &found.info)) {
            Some(found) => parts.push(found),
            None => return refuse(BlobError::Invalid(InvalidBlob::Part(part.number))),
        }
    }
    let all_but_last = &parts[..parts.len() - 1];
    if let Some(small) = all_but_last.iter().find(|part| part.info.size < min_part_bytes) {
        let (number, size) = (small.info.number, small.info.size);
        return refuse(BlobError::Invalid(InvalidBlob::PartTooSmall { number, size, min: min_part_bytes }));
    }
    match total(&parts) {
        size if size > OBJECT_BYTES_MAX => refuse(BlobError::Invalid(InvalidBlob::TooLarge(size))),
        _ => Ok(parts),
    }
}

fn is_meant(named: &PartRef, stored: &PartInfo) -> bool {
    named.handle.as_ref().is_none_or(|handle| *handle == stored.handle)
        && named.etag.as_ref().is_none_or(|etag| *etag == stored.etag)
}

fn stored_parts(sql: &Connection, id: &str) -> Step<BTreeMap<u32, Part>, BlobError> {
    let mut statement = sql.prepare_cached("SELECT * FROM parts WHERE multipart = ?1")?;
    let mut rows = statement.query([id])?;
    let mut parts = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let part = part(row)?;
        parts.insert(part.info.number, part);
    }
    Ok(parts)
}

pub(crate) fn parts(sql: &Connection, upload: &MultipartRef, after: u32, limit: u32) -> Step<Vec<PartInfo>, BlobError> {
    need(sql, upload)?;
    let query = "SELECT * FROM parts WHERE multipart = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![upload.id, after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(part(row)?.info);
    }
    Ok(found)
}

/// The upload, if the id is one of this bucket and key.
pub(crate) fn need(sql: &Connection, upload: &MultipartRef) -> Step<MultipartInfo, BlobError> {
    let query = "SELECT * FROM multiparts WHERE id = ?1 AND bucket = ?2 AND key = ?3";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![upload.id, upload.bucket.as_str(), upload.key.as_str()])?;
    match rows.next()? {
        Some(row) => info(row),
        None => refuse(BlobError::NotFound(Missing::Upload)),
    }
}

pub(crate) fn list(sql: &Connection, query: &ListMultiparts) -> Step<Vec<MultipartInfo>, BlobError> {
    if let Some(bucket) = &query.bucket {
        buckets::need(sql, bucket)?;
    }
    let (after_key, after_id) = match &query.after {
        None => (None, None),
        Some((key, id)) => (Some(key.as_str()), id.as_deref()),
    };
    let select = "SELECT * FROM multiparts
        WHERE (?1 IS NULL OR bucket = ?1)
          AND substr(CAST(key AS BLOB), 1, length(CAST(?2 AS BLOB))) = CAST(?2 AS BLOB)
          AND (?3 IS NULL OR key > ?3 OR (key = ?3 AND ?4 IS NOT NULL AND id > ?4))
          AND (?5 IS NULL OR begun_at < ?5)
        ORDER BY key, id LIMIT ?6";
    let mut statement = sql.prepare_cached(select)?;
    let mut rows = statement.query(params![
        query.bucket.as_ref().map(|bucket| bucket.as_str()),
        query.prefix,
        after_key,
        after_id,
        query.begun_before.map(|time| time.as_millis()),
        query.limit,
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(info(row)?);
    }
    Ok(found)
}

fn part_blob(sql: &Connection, id: &str, number: u32) -> rusqlite::Result<Option<BlobId>> {
    let mut statement = sql.prepare_cached("SELECT blob FROM parts WHERE multipart = ?1 AND number = ?2")?;
    statement.query_row(params![id, number], |row| row.get(0).map(BlobId::from_number)).optional()
}

fn part(row: &Row<'_>) -> Step<Part, BlobError> {
    let (etag, checksums): (String, Option<String>) = (row.get("etag")?, row.get("checksums")?);
    let blob = BlobId::from_number(row.get("blob")?);
    let info = PartInfo {
        number: count(row.get("number")?),
        size: from_sql(row.get("size")?),
        etag: Etag::new(&etag),
        checksums: checksums_from_json(checksums.as_deref())?,
        modified_at: at(row, "modified_at")?,
        handle: blob.to_string(),
    };
    Ok(Part { info, blob })
}

fn info(row: &Row<'_>) -> Step<MultipartInfo, BlobError> {
    let (bucket, key): (String, String) = (row.get("bucket")?, row.get("key")?);
    let attributes: String = row.get("attributes")?;
    let upload = MultipartRef { bucket: bucket_name(&bucket)?, key: object_key(&key)?, id: row.get("id")? };
    Ok(MultipartInfo { upload, attributes: from_json(&attributes)?, begun_at: at(row, "begun_at")? })
}
