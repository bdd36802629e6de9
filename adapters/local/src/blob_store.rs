//! The `BlobStore` port on the local store.

use crate::announcements;
use crate::blobs::BlobId;
use crate::buckets;
use crate::checksum::crc_of;
use crate::extents;
use crate::failure::{Halt, Step, refuse};
use crate::listing;
use crate::multipart::{self, NewPart, PartContent};
use crate::objects::{self, Stored};
use crate::reading::{Piece, PiecesReader};
use crate::rows::{crc_from_sql, from_sql};
use crate::scrub;
use crate::stage::{Content, LocalStage, spill};
use crate::store::LocalStore;
use crate::sweep;
use async_trait::async_trait;
use bytes::Bytes;
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::limits::{OBJECT_BYTES_MAX, PARTS_MAX};
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[async_trait]
impl BlobStore for LocalStore {
    fn traits(&self) -> StoreTraits {
        StoreTraits { min_part_bytes: 0, max_parts: PARTS_MAX }
    }

    fn room(&self) -> Room {
        self.blobs.room.room()
    }

    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), BlobError> {
        let bucket = bucket.clone();
        self.write(Durability::Synced, move |tx| buckets::create(tx, &bucket)).await
    }

    async fn bucket(&self, bucket: &BucketName) -> Result<Option<BucketInfo>, BlobError> {
        self.look(|sql| buckets::find(sql, bucket))
    }

    async fn buckets(&self) -> Result<Vec<BucketInfo>, BlobError> {
        self.read(buckets::all).await
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), BlobError> {
        let bucket = bucket.clone();
        self.write(Durability::Synced, move |tx| buckets::delete(tx, &bucket)).await
    }

    fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn StageWriter>, BlobError> {
        self.blobs.health.check()?;
        if let Some(size) = expected_bytes.filter(|size| *size > OBJECT_BYTES_MAX) {
            return Err(BlobError::Invalid(InvalidBlob::TooLarge(size)));
        }
        Ok(Box::new(LocalStage::new(self.stages.clone(), expected_bytes)?))
    }

    async fn put(&self, put: PutObject, staged: Staged, durability: Durability) -> Result<ObjectInfo, BlobError> {
        let (size, etag) = (staged.size, staged.etag.clone());
        let content = Content::of(staged, &self.blobs)?;
        self.write(durability, move |tx| objects::put(tx, put, size, etag, content)).await
    }

    async fn copy(
        &self,
        put: PutObject,
        source: (&BucketName, &ObjectKey),
        source_etag: &Etag,
    ) -> Result<ObjectInfo, BlobError> {
        let (bucket, key, etag) = (source.0.clone(), source.1.clone(), source_etag.clone());
        self.write(Durability::Synced, move |tx| objects::copy(tx, put, (&bucket, &key), &etag)).await
    }

    async fn head(&self, bucket: &BucketName, key: &ObjectKey) -> Result<ObjectInfo, BlobError> {
        self.look(|sql| objects::need(sql, bucket, key).map(|stored| stored.info))
    }

    async fn open(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        etag: Option<&Etag>,
        range: Option<Range<u64>>,
    ) -> Result<OpenObject, BlobError> {
        let ticket = self.blobs.pins.ticket();
        let at_once = self.look(|sql| {
            let (stored, range) = find(sql, bucket, key, etag, range.clone())?;
            if stored.blob.is_none() && !range.is_empty() {
                return Ok(None);
            }
            let found = content(sql, &stored, &range)?;
            Ok::<_, Halt<BlobError>>(Some((stored.info, range, found)))
        })?;
        let (info, range, found) = match at_once {
            Some(found) => found,
            // of many blobs
            None => {
                let (bucket, key, etag) = (bucket.clone(), key.clone(), etag.cloned());
                let look_up = move |sql: &Connection| {
                    let (stored, range) = find(sql, &bucket, &key, etag.as_ref(), range)?;
                    let found = content(sql, &stored, &range)?;
                    Ok((stored.info, range, found))
                };
                self.read(look_up).await?
            }
        };
        let body = match found {
            Found::Inline(bytes) => BlobBody::Inline(bytes),
            Found::Files(pieces) => {
                let pin = ticket.pin(pieces.iter().map(|piece| piece.blob).collect());
                BlobBody::Reader(Box::new(PiecesReader::new(Arc::clone(&self.blobs), pieces, pin)))
            }
        };
        Ok(OpenObject { info, range, body })
    }

    async fn list(&self, query: &ListObjects) -> Result<ObjectList, BlobError> {
        let query = query.clone();
        self.read(move |sql| listing::list(sql, &query)).await
    }

    async fn delete(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        condition: Precondition,
    ) -> Result<Option<ObjectInfo>, BlobError> {
        let (bucket, key) = (bucket.clone(), key.clone());
        self.write(Durability::Synced, move |tx| objects::delete(tx, &bucket, &key, &condition)).await
    }

    async fn set_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        tags: BTreeMap<String, String>,
    ) -> Result<(), BlobError> {
        let (bucket, key) = (bucket.clone(), key.clone());
        self.write(Durability::Synced, move |tx| objects::set_tags(tx, &bucket, &key, tags)).await
    }

    async fn begin_multipart(&self, begin: BeginMultipart) -> Result<String, BlobError> {
        self.write(Durability::Synced, move |tx| multipart::begin(tx, &begin)).await
    }

    async fn put_part(
        &self,
        upload: &MultipartRef,
        number: u32,
        staged: Staged,
        etag: Option<Etag>,
        checksums: Checksums,
    ) -> Result<PartInfo, BlobError> {
        multipart::check_number(number)?;
        let etag = etag.unwrap_or_else(|| staged.etag.clone());
        let content = self.part_content(staged).await?;
        let upload = upload.clone();
        let part = NewPart { number, etag, checksums, content };
        self.write(Durability::Synced, move |tx| multipart::put_part(tx, &upload, part)).await
    }

    async fn complete_multipart(
        &self,
        upload: &MultipartRef,
        complete: CompleteMultipart,
    ) -> Result<ObjectInfo, BlobError> {
        let upload = upload.clone();
        self.write(Durability::Synced, move |tx| multipart::complete(tx, &upload, &complete)).await
    }

    async fn abort_multipart(&self, upload: &MultipartRef) -> Result<(), BlobError> {
        let upload = upload.clone();
        self.write(Durability::Synced, move |tx| multipart::abort(tx, &upload)).await
    }

    async fn multipart(&self, upload: &MultipartRef) -> Result<MultipartInfo, BlobError> {
        self.look(|sql| multipart::need(sql, upload))
    }

    async fn parts(&self, upload: &MultipartRef, after: u32, limit: u32) -> Result<Vec<PartInfo>, BlobError> {
        let upload = upload.clone();
        self.read(move |sql| multipart::parts(sql, &upload, after, limit)).await
    }

    async fn multiparts(&self, query: &ListMultiparts) -> Result<Vec<MultipartInfo>, BlobError> {
        let query = query.clone();
        self.read(move |sql| multipart::list(sql, &query)).await
    }

    async fn announcements(&self, limit: u32) -> Result<Vec<Announcement>, BlobError> {
        self.look(|sql| announcements::waiting(sql, limit))
    }

    async fn acknowledge(&self, ids: &[u64]) -> Result<(), BlobError> {
        let ids = ids.to_vec();
        self.write(Durability::Lazy, move |tx| Ok(announcements::acknowledge(tx, &ids)?)).await
    }

    async fn announced(&self) {
        self.bells.announced.wait().await;
    }

    fn presign(&self, request: &PresignRequest, now: Timestamp) -> Result<PresignedRequest, BlobError> {
        self.presigner.presign(request, now)
    }

    async fn sweep(&self) -> Result<u64, BlobError> {
        sweep::sweep(self).await
    }

    async fn scrub(&self, bytes: u64) -> Result<Scrubbed, BlobError> {
        scrub::scrub(self, bytes).await
    }

    async fn scrub_round(&self) -> Result<Option<ScrubRound>, BlobError> {
        scrub::round(self).await
    }

    async fn damage(&self, after: Option<&str>, limit: u32) -> Result<Vec<Damage>, BlobError> {
        let after = after.map(str::to_owned);
        self.read(move |sql| scrub::damage(sql, after.as_deref(), limit)).await
    }

    /// Refused after the store has failed, though it could be counted: who asks wants to know whether to send work here.
    async fn usage(&self) -> Result<StoreUsage, BlobError> {
        self.blobs.health.check()?;
        let blobs = Arc::clone(&self.blobs);
        let announcements_waiting = self.bells.announcements_waiting.load(Ordering::Acquire);
        self.read(move |sql| {
            let (objects, bytes) = buckets::totals(sql)?;
            let room = blobs.room.room();
            let damaged = scrub::damaged_count(sql)?;
            Ok(StoreUsage { objects: from_sql(objects), bytes: from_sql(bytes), announcements_waiting, room, damaged })
        })
        .await
    }
}

impl LocalStore {
    /// Parts are files even when they are small: an object of many parts is read file by file, and pins keep files.
    async fn part_content(&self, staged: Staged) -> Result<PartContent, BlobError> {
        match Content::of(staged, &self.blobs)? {
            Content::Empty => Ok(PartContent { id: self.blobs.next_id(), file: None }),
            Content::File(file) => Ok(PartContent { id: file.id, file: Some(file) }),
            Content::Inline { bytes, .. } => {
                let stages = self.stages.clone();
                let spilled = tokio::task::spawn_blocking(move || spill(&stages, &bytes)).await;
                let file = spilled.map_err(BlobError::unavailable)??;
                Ok(PartContent { id: file.id, file: Some(file) })
            }
        }
    }
}

/// Where the wanted bytes are.
enum Found {
    Inline(Bytes),
    Files(Vec<Piece>),
}

/// The object, if it is the wanted version, and the part of the wanted range that it has.
fn find(
    sql: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
    etag: Option<&Etag>,
    range: Option<Range<u64>>,
) -> Step<(Stored, Range<u64>), BlobError> {
    let stored = objects::need(sql, bucket, key)?;
    if etag.is_some_and(|etag| *etag != stored.info.etag) {
        return refuse(BlobError::Conflict(BlobConflict::Precondition));
    }
    let range = cut(range, stored.info.size)?;
    Ok((stored, range))
}

fn content(sql: &Connection, stored: &Stored, range: &Range<u64>) -> Step<Found, BlobError> {
    if range.is_empty() {
        return Ok(Found::Inline(Bytes::new()));
    }
    let Some(blob) = stored.blob else {
        return Ok(Found::Files(extents::pieces(sql, stored.number, range)?));
    };
    match inline(sql, blob)? {
        None => Ok(Found::Files(vec![Piece { blob, size: stored.info.size, range: range.clone() }])),
        Some(bytes) if bytes.len() as u64 == stored.info.size => {
            let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            Ok(Found::Inline(bytes.slice(at(range.start)..at(range.end))))
        }
        Some(_) => refuse(BlobError::Corrupt(format!("blob {blob} has another length"))),
    }
}

/// The bytes of a small blob, checked (B4).
fn inline(sql: &Connection, blob: BlobId) -> Step<Option<Bytes>, BlobError> {
    let mut statement = sql.prepare_cached("SELECT data, crc FROM blobs WHERE id = ?1")?;
    let row: Option<(Option<Vec<u8>>, i64)> =
        statement.query_row([blob.number()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match row {
        None => refuse(BlobError::Corrupt(format!("blob {blob} is missing"))),
        Some((None, _)) => Ok(None),
        Some((Some(data), crc)) if crc_of(&data) == crc_from_sql(crc) => Ok(Some(data.into())),
        Some(_) => refuse(BlobError::Corrupt(format!("blob {blob} is not what was stored"))),
    }
}

/// The part of the wanted range that the object has.
fn cut(range: Option<Range<u64>>, size: u64) -> Step<Range<u64>, BlobError> {
    let Some(range) = range else { return Ok(0..size) };
    let fits = range.start < size || (range.start == 0 && size == 0);
    if !fits || range.end < range.start {
        return Err(Halt::Refused(BlobError::Invalid(InvalidBlob::Range { size })));
    }
    Ok(range.start..range.end.min(size))
}
