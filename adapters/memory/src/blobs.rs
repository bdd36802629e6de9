//! The `BlobStore` of the memory adapter.
//!
//! Writes of objects are synced, all else is lazy: what a crash may take here is what it may take anywhere.

use crate::content::{Content, MemoryStage, SliceReader, join, unstage};
use crate::line::{About, Call};
use crate::store::MemoryStore;
use crate::world::{Counter, Object, World};
use async_trait::async_trait;
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::limits::{BUCKETS_MAX, INLINE_BYTES_MAX, PRESIGN_MAX};
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey, Sequencer};
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::PoisonError;

impl World {
    pub fn need_bucket(&self, bucket: &BucketName) -> Result<(), BlobError> {
        let there = self.tables.buckets.contains_key(bucket);
        if there { Ok(()) } else { Err(BlobError::NotFound(Missing::Bucket)) }
    }

    fn create_bucket(&mut self, bucket: &BucketName, now: Timestamp) -> Result<(), BlobError> {
        if self.tables.buckets.contains_key(bucket) {
            return Err(BlobError::Conflict(BlobConflict::BucketExists));
        }
        if self.tables.buckets.len() >= BUCKETS_MAX {
            return Err(BlobError::Invalid(InvalidBlob::TooManyBuckets));
        }
        let info = BucketInfo { name: bucket.clone(), created_at: now };
        self.set(|t| &mut t.buckets, bucket.clone(), Some(info));
        Ok(())
    }

    fn delete_bucket(&mut self, bucket: &BucketName) -> Result<(), BlobError> {
        self.need_bucket(bucket)?;
        let holds_object = self.tables.objects.keys().any(|(b, _)| b == bucket);
        if holds_object || self.tables.multiparts.values().any(|m| m.upload.bucket == *bucket) {
            return Err(BlobError::Conflict(BlobConflict::BucketNotEmpty));
        }
        self.set(|t| &mut t.buckets, bucket.clone(), None);
        Ok(())
    }

    pub fn need_object(&self, bucket: &BucketName, key: &ObjectKey) -> Result<&Object, BlobError> {
        self.need_bucket(bucket)?;
        let object = self.tables.objects.get(&(bucket.clone(), key.clone()));
        object.ok_or(BlobError::NotFound(Missing::Object))
    }

    /// B5: called in the step that writes.
    pub fn check_condition(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        condition: &Precondition,
    ) -> Result<(), BlobError> {
        let there = match self.need_object(bucket, key) {
            Ok(object) => Some(&object.info),
            Err(BlobError::NotFound(Missing::Object)) => None,
            Err(e) => return Err(e),
        };
        let holds = match (condition, there) {
            (Precondition::None, _) => true,
            (Precondition::IfAbsent, there) => there.is_none(),
            (_, None) => return Err(BlobError::NotFound(Missing::Object)),
            (Precondition::IfMatch(etag), Some(there)) => there.etag == *etag,
            (Precondition::IfSequencer(sequencer), Some(there)) => there.sequencer == *sequencer,
        };
        if holds { Ok(()) } else { Err(BlobError::Conflict(BlobConflict::Precondition)) }
    }

    pub fn next_sequencer(&mut self) -> Sequencer {
        Sequencer::from_number(self.next(Counter::Sequencer))
    }

    /// The object and its announcement (B1).
    pub fn publish_object(&mut self, object: Object, now: Timestamp) {
        self.announce(AnnouncementKind::Created, &object.info, now);
        let name = (object.info.bucket.clone(), object.info.key.clone());
        self.set(|t| &mut t.objects, name, Some(object));
    }

    pub fn put(
        &mut self,
        put: PutObject,
        content: Content,
        own_etag: Etag,
        now: Timestamp,
    ) -> Result<ObjectInfo, BlobError> {
        self.check_condition(&put.bucket, &put.key, &put.condition)?;
        let info = ObjectInfo {
            bucket: put.bucket,
            key: put.key,
            size: content.size,
            etag: put.etag.unwrap_or(own_etag),
            sequencer: self.next_sequencer(),
            modified_at: now,
            attributes: put.attributes,
            checksums: put.checksums,
            part_sizes: Vec::new(),
        };
        self.publish_object(Object { info: info.clone(), content }, now);
        Ok(info)
    }

    fn delete(
        &mut self,
        bucket: &BucketName,
        key: &ObjectKey,
        condition: &Precondition,
        now: Timestamp,
    ) -> Result<Option<ObjectInfo>, BlobError> {
        self.check_condition(bucket, key, condition)?;
        let Some(object) = self.set(|t| &mut t.objects, (bucket.clone(), key.clone()), None) else { return Ok(None) };
        let removed = ObjectInfo { sequencer: self.next_sequencer(), ..object.info.clone() };
        self.announce(AnnouncementKind::Removed, &removed, now);
        Ok(Some(object.info))
    }

    fn open(
        &mut self,
        bucket: &BucketName,
        key: &ObjectKey,
        etag: Option<&Etag>,
        range: Option<Range<u64>>,
    ) -> Result<OpenObject, BlobError> {
        let object = self.need_object(bucket, key)?;
        if etag.is_some_and(|etag| *etag != object.info.etag) {
            return Err(BlobError::Conflict(BlobConflict::Precondition));
        }
        let info = object.info.clone();
        let range = cut_range(range, info.size)?;
        let slices = object.content.slices(&range)?;
        let length = range.end - range.start;
        let breaks_after = self.dice.roll(self.plan.broken_read).then(|| self.dice.below(length + 1));
        let body = match breaks_after {
            None if length <= INLINE_BYTES_MAX => BlobBody::Inline(join(&slices)),
            _ => BlobBody::Reader(Box::new(SliceReader { slices: slices.into(), breaks_after })),
        };
        Ok(OpenObject { info, range, body })
    }

    fn set_tags(
        &mut self,
        bucket: &BucketName,
        key: &ObjectKey,
        tags: BTreeMap<String, String>,
    ) -> Result<(), BlobError> {
        let mut object = self.need_object(bucket, key)?.clone();
        object.info.attributes.tags = tags;
        self.set(|t| &mut t.objects, (bucket.clone(), key.clone()), Some(object));
        Ok(())
    }
}

fn cut_range(range: Option<Range<u64>>, size: u64) -> Result<Range<u64>, BlobError> {
    let Some(range) = range else { return Ok(0..size) };
    let is_all_of_nothing = size == 0 && range.start == 0;
    if range.start >= size && !is_all_of_nothing {
        return Err(BlobError::Invalid(InvalidBlob::Range { size }));
    }
    Ok(range.start..range.end.clamp(range.start, size))
}

impl MemoryStore {
    fn need_room(&self, bytes: u64) -> Result<(), BlobError> {
        let takes = self.room().takes(bytes);
        if takes { Ok(()) } else { Err(BlobError::unavailable(io::Error::from(io::ErrorKind::StorageFull))) }
    }
}

#[async_trait]
impl BlobStore for MemoryStore {
    fn traits(&self) -> StoreTraits {
        StoreTraits { min_part_bytes: self.options.min_part_bytes, max_parts: self.options.max_parts }
    }

    fn room(&self) -> Room {
        self.room
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(Room::Unlimited, |free| Room::Bytes { free, reserve: 1 })
    }

    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), BlobError> {
        self.write("create_bucket", Durability::Synced, |w, now| w.create_bucket(bucket, now)).await
    }

    async fn bucket(&self, bucket: &BucketName) -> Result<Option<BucketInfo>, BlobError> {
        self.read("bucket", |w, _| Ok(w.tables.buckets.get(bucket).cloned())).await
    }

    async fn buckets(&self) -> Result<Vec<BucketInfo>, BlobError> {
        self.read("buckets", |w, _| Ok(w.tables.buckets.values().cloned().collect())).await
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), BlobError> {
        self.write("delete_bucket", Durability::Synced, |w, _| w.delete_bucket(bucket)).await
    }

    fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn StageWriter>, BlobError> {
        self.need_room(expected_bytes.unwrap_or(0))?;
        let world = &mut *self.world();
        let breaks = world.dice.roll(world.plan.broken_write);
        let breaks_after = breaks.then(|| world.dice.below(expected_bytes.unwrap_or(64) + 1));
        Ok(Box::new(MemoryStage::new(&self.staged, breaks_after)))
    }

    async fn put(&self, put: PutObject, staged: Staged, durability: Durability) -> Result<ObjectInfo, BlobError> {
        self.need_room(staged.size)?;
        let (content, own_etag) = unstage(staged)?;
        let info = self.write("put", durability, |w, now| w.put(put, content, own_etag, now)).await;
        self.announced.notify_waiters();
        info
    }

    async fn copy(
        &self,
        put: PutObject,
        source: (&BucketName, &ObjectKey),
        source_etag: &Etag,
    ) -> Result<ObjectInfo, BlobError> {
        let copied = self.write("copy", Durability::Synced, |w, now| {
            let object = w.need_object(source.0, source.1)?;
            if object.info.etag != *source_etag {
                return Err(BlobError::Conflict(BlobConflict::Precondition));
            }
            let (content, own_etag) = (object.content.clone(), object.info.etag.clone());
            w.put(put, content, own_etag, now)
        });
        let info = copied.await;
        self.announced.notify_waiters();
        info
    }

    async fn head(&self, bucket: &BucketName, key: &ObjectKey) -> Result<ObjectInfo, BlobError> {
        self.read("head", |w, _| Ok(w.need_object(bucket, key)?.info.clone())).await
    }

    async fn open(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        etag: Option<&Etag>,
        range: Option<Range<u64>>,
    ) -> Result<OpenObject, BlobError> {
        let about = About::Object { key: key.clone(), range: range.clone() };
        self.read(Call { name: "open", about }, |w, _| w.open(bucket, key, etag, range)).await
    }

    async fn list(&self, query: &ListObjects) -> Result<ObjectList, BlobError> {
        self.read("list", |w, _| w.list(query)).await
    }

    async fn delete(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        condition: Precondition,
    ) -> Result<Option<ObjectInfo>, BlobError> {
        let deleted = self.write("delete", Durability::Synced, |w, now| w.delete(bucket, key, &condition, now)).await;
        self.announced.notify_waiters();
        deleted
    }

    async fn set_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        tags: BTreeMap<String, String>,
    ) -> Result<(), BlobError> {
        self.write("set_tags", Durability::Synced, |w, _| w.set_tags(bucket, key, tags)).await
    }

    async fn begin_multipart(&self, begin: BeginMultipart) -> Result<String, BlobError> {
        self.write("begin_multipart", Durability::Lazy, |w, now| w.begin_multipart(begin, now)).await
    }

    async fn put_part(
        &self,
        upload: &MultipartRef,
        number: u32,
        staged: Staged,
        etag: Option<Etag>,
        checksums: Checksums,
    ) -> Result<PartInfo, BlobError> {
        if !(1..=self.options.max_parts).contains(&number) {
            return Err(BlobError::Invalid(InvalidBlob::Part(number)));
        }
        self.need_room(staged.size)?;
        let (content, own_etag) = unstage(staged)?;
        let etag = etag.unwrap_or(own_etag);
        let put = |w: &mut World, now| w.put_part(upload, number, content, etag, checksums, now);
        let about = About::Part { key: upload.key.clone(), number };
        self.write(Call { name: "put_part", about }, Durability::Lazy, put).await
    }

    async fn complete_multipart(
        &self,
        upload: &MultipartRef,
        complete: CompleteMultipart,
    ) -> Result<ObjectInfo, BlobError> {
        let min = self.options.min_part_bytes;
        let completion = |w: &mut World, now| w.complete_multipart(upload, complete, min, now);
        let info = self.write("complete_multipart", Durability::Synced, completion).await;
        self.announced.notify_waiters();
        info
    }

    async fn abort_multipart(&self, upload: &MultipartRef) -> Result<(), BlobError> {
        self.write("abort_multipart", Durability::Lazy, |w, _| {
            w.need_multipart(upload)?;
            w.drop_multipart(&upload.id);
            Ok(())
        })
        .await
    }

    async fn multipart(&self, upload: &MultipartRef) -> Result<MultipartInfo, BlobError> {
        self.read("multipart", |w, _| w.need_multipart(upload)).await
    }

    async fn parts(&self, upload: &MultipartRef, after: u32, limit: u32) -> Result<Vec<PartInfo>, BlobError> {
        self.read("parts", |w, _| {
            w.need_multipart(upload)?;
            Ok(w.parts_of(&upload.id, after).take(limit as usize).map(|p| p.info.clone()).collect())
        })
        .await
    }

    async fn multiparts(&self, query: &ListMultiparts) -> Result<Vec<MultipartInfo>, BlobError> {
        self.read("multiparts", |w, _| Ok(w.list_multiparts(query))).await
    }

    async fn announcements(&self, limit: u32) -> Result<Vec<Announcement>, BlobError> {
        self.read("announcements", |w, now| Ok(w.waiting_announcements(limit, now))).await
    }

    async fn acknowledge(&self, ids: &[u64]) -> Result<(), BlobError> {
        self.write("acknowledge", Durability::Lazy, |w, _| w.acknowledge(ids)).await
    }

    async fn announced(&self) {
        self.wait_for_announcement().await;
    }

    /// A link that nobody serves: its form is right, its signature is none.
    fn presign(&self, request: &PresignRequest, now: Timestamp) -> Result<PresignedRequest, BlobError> {
        let method = match request.action {
            PresignAction::Get { .. } => "GET",
            PresignAction::Put { .. } | PresignAction::Part { .. } => "PUT",
            PresignAction::Post { .. } | PresignAction::Complete { .. } => "POST",
            PresignAction::Abort { .. } => "DELETE",
        };
        let ttl = request.ttl.min(PRESIGN_MAX);
        let key: String = request.key.bytes().map(|b| format!("%{b:02X}")).collect();
        let url = format!("http://memory.invalid/{}/{key}?X-Amz-Expires={}", request.bucket, ttl.as_secs());
        Ok(PresignedRequest {
            method,
            url,
            headers: BTreeMap::new(),
            fields: BTreeMap::new(),
            expires_at: now.plus(ttl),
        })
    }

    /// Nothing is ever left: bytes live exactly as long as something refers to them.
    async fn sweep(&self) -> Result<u64, BlobError> {
        self.read("sweep", |_, _| Ok(0)).await
    }

    /// All of it at once: nothing here is slow.
    async fn scrub(&self, _bytes: u64) -> Result<Scrubbed, BlobError> {
        self.read("scrub", |w, now| Ok(self.scrub_all(w, now))).await
    }

    async fn scrub_round(&self) -> Result<Option<ScrubRound>, BlobError> {
        self.read("scrub_round", |_, _| Ok(self.scrub.lock().unwrap_or_else(PoisonError::into_inner).round)).await
    }

    async fn damage(&self, after: Option<&str>, limit: u32) -> Result<Vec<Damage>, BlobError> {
        self.read("damage", |w, _| {
            let all = self.damage_now(w).into_iter().filter(|damage| Some(damage.blob.as_str()) > after);
            Ok(all.take(limit as usize).collect())
        })
        .await
    }

    async fn usage(&self) -> Result<StoreUsage, BlobError> {
        self.read("usage", |w, _| {
            Ok(StoreUsage {
                objects: w.tables.objects.len() as u64,
                bytes: w.tables.objects.values().map(|o| o.info.size).sum(),
                announcements_waiting: w.tables.announcements.len() as u64,
                room: self.room(),
                damaged: self.damage_now(w).len() as u64,
            })
        })
        .await
    }
}
