//! Announcements: written with the change that they announce, read until acknowledged (B8).
//!
//! An announcement's id is the store's next sequencer, so sequencers rise over all keys, across restarts too.

use crate::failure::{Step, unreadable};
use crate::rows::{at, bucket_name, from_json, from_sql, object_key, owner, sequencer, to_json, to_sql};
use crate::writer::Tx;
use filemill_core::etag::Etag;
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{Announcement, AnnouncementKind, BlobError};
use rusqlite::{Connection, Row, params};

/// The object that something happened to.
pub(crate) struct News<'a> {
    pub(crate) bucket: &'a BucketName,
    pub(crate) key: &'a ObjectKey,
    pub(crate) size: u64,
    pub(crate) etag: &'a Etag,
    pub(crate) attributes: &'a Attributes,
}

impl<'a> News<'a> {
    pub(crate) fn of(info: &'a ObjectInfo) -> Self {
        let ObjectInfo { bucket, key, size, etag, attributes, .. } = info;
        News { bucket, key, size: *size, etag, attributes }
    }
}

/// Answers the sequencer.
pub(crate) fn add(tx: &mut Tx<'_>, kind: AnnouncementKind, news: News<'_>) -> rusqlite::Result<i64> {
    let insert = "INSERT INTO announcements (kind, bucket, key, size, etag, content_type, origin, owner, at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    tx.sql.prepare_cached(insert)?.execute(params![
        kind_name(kind),
        news.bucket.as_str(),
        news.key.as_str(),
        to_sql(news.size),
        news.etag.as_str(),
        news.attributes.content_type,
        news.attributes.origin.as_ref().map(to_json),
        news.attributes.owner.as_ref().map(|owner| owner.as_str()),
        tx.now.as_millis(),
    ])?;
    tx.effects.announced += 1;
    Ok(tx.sql.last_insert_rowid())
}

pub(crate) fn waiting(sql: &Connection, limit: u32) -> Step<Vec<Announcement>, BlobError> {
    let mut statement = sql.prepare_cached("SELECT * FROM announcements ORDER BY id LIMIT ?1")?;
    let mut rows = statement.query([limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(announcement(row)?);
    }
    Ok(found)
}

pub(crate) fn acknowledge(tx: &mut Tx<'_>, ids: &[u64]) -> rusqlite::Result<()> {
    let mut statement = tx.sql.prepare_cached("DELETE FROM announcements WHERE id = ?1")?;
    for id in ids {
        tx.effects.acknowledged += statement.execute([to_sql(*id)])? as u64;
    }
    Ok(())
}

pub(crate) fn count(sql: &Connection) -> rusqlite::Result<u64> {
    sql.query_row("SELECT count(*) FROM announcements", [], |row| row.get(0)).map(from_sql)
}

fn kind_name(kind: AnnouncementKind) -> &'static str {
    match kind {
        AnnouncementKind::Created => "created",
        AnnouncementKind::Removed => "removed",
    }
}

fn announcement(row: &Row<'_>) -> Step<Announcement, BlobError> {
    let text = |column: &str| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let id: i64 = row.get("id")?;
    let origin: Option<String> = row.get("origin")?;
    Ok(Announcement {
        id: from_sql(id),
        kind: match text("kind")? {
            "created" => AnnouncementKind::Created,
            "removed" => AnnouncementKind::Removed,
            other => return Err(unreadable(format_args!("announcement {id} has kind {other:?}"))),
        },
        bucket: bucket_name(text("bucket")?)?,
        key: object_key(text("key")?)?,
        size: from_sql(row.get("size")?),
        etag: Etag::new(text("etag")?),
        sequencer: sequencer(id),
        content_type: row.get("content_type")?,
        origin: origin.as_deref().map(from_json).transpose()?,
        owner: owner(row)?,
        at: at(row, "at")?,
    })
}
