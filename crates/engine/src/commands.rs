//! What doors may order: uploads, cancel, retry, delete. Each checks its request, then makes one durable change.

use crate::dead_letters::{Reopening, hold_version};
use crate::error::CommandError;
use crate::publish::abandon_multiparts;
use crate::{Engine, ingest};
use filemill_core::access::Principal;
use filemill_core::file::File;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::job::Job;
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::notice::NoticeKind;
use filemill_core::notify::UploadNotify;
use filemill_core::object::{Attributes, BucketName, NameError, ObjectKey};
use filemill_core::ports::{
    BeginMultipart, BlobConflict, BlobError, Change, ChangeSet, Durability, Precondition, PresignAction,
    PresignRequest, PresignedRequest, StateError,
};
use filemill_core::redrive::RedriveManner;
use filemill_core::rule::{Rule, RuleId};
use filemill_core::size::json_bytes;
use filemill_core::upload::{Upload, UploadMode, UploadStatus};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// A wish to upload, parsed at the door.
#[derive(Clone, Debug, Default)]
pub struct NewUpload {
    pub filename: String,
    pub content_type: Option<String>,
    /// Agreed: the upload must have exactly this many bytes.
    pub size: Option<u64>,
    pub bucket: Option<BucketName>,
    /// `None`: an unguessable folder and the file name.
    pub key: Option<ObjectKey>,
    pub rule: Option<RuleId>,
    pub options: Map<String, Value>,
    pub metadata: Map<String, Value>,
    pub mode: UploadMode,
    /// Whom to tell of the jobs, besides those that the config names.
    pub notify: Vec<NewReceiver>,
}

/// A webhook that an uploader names.
#[derive(Clone, Debug)]
pub struct NewReceiver {
    pub url: String,
    /// Empty: all that is told of jobs.
    pub on: Vec<NoticeKind>,
}

/// The promise and the links to keep it.
#[derive(Clone, Debug)]
pub struct UploadTicket {
    pub upload: Upload,
    pub request: PresignedRequest,
    /// Multipart only: one per part, the bytes of each part but the last, and how to end or give up the upload.
    pub multipart: Option<MultipartTicket>,
}

#[derive(Clone, Debug)]
pub struct MultipartTicket {
    pub upload_id: String,
    pub part_bytes: u64,
    pub parts: Vec<PresignedRequest>,
    pub abort: PresignedRequest,
}

impl Engine {
    pub async fn create_upload(&self, who: &Principal, new: NewUpload) -> Result<UploadTicket, CommandError> {
        let now = self.now();
        let id = UploadId::new(now, self.inner.ports.chance.bytes());
        let bucket = new.bucket.clone().map_or_else(|| self.usual_bucket_of(who), Ok)?;
        self.check_upload(who, &new, &bucket).await?;
        let key = match new.key.clone() {
            Some(key) => within_limits(who, &bucket, key)?,
            None => key_within(who, &bucket, &format!("{id}/{}", new.filename))
                .map_err(|e| CommandError::invalid("filename", e.to_string()))?,
        };
        let mut upload = Upload {
            id,
            status: UploadStatus::Pending,
            bucket,
            key,
            mode: new.mode,
            rule: new.rule.clone(),
            options: new.options.clone(),
            metadata: new.metadata.clone(),
            multipart: None,
            notify: self.receivers_of(&new)?,
            is_order: false,
            by: who.key.clone(),
            created_at: now,
            expires_at: now.plus(self.inner.config.upload_link_ttl),
        };
        let (request, multipart) = match new.mode {
            UploadMode::Put => (self.put_request(&new, &upload)?, None),
            UploadMode::Post => (self.post_request(&new, &upload)?, None),
            UploadMode::Multipart => {
                let (complete, multipart) = self.begin_multipart_upload(&new, &mut upload).await?;
                (complete, Some(multipart))
            }
        };
        let changes = ChangeSet::new().with(Change::InsertUpload(upload.clone()));
        self.inner.ports.state.commit(changes, Durability::Synced).await?;
        Ok(UploadTicket { upload, request, multipart })
    }

    async fn check_upload(&self, who: &Principal, new: &NewUpload, bucket: &BucketName) -> Result<(), CommandError> {
        if new.filename.is_empty() && new.key.is_none() {
            return Err(CommandError::invalid("filename", "give the name of the file"));
        }
        if !who.reach.touches(bucket) || self.inner.ports.blobs.bucket(bucket).await?.is_none() {
            return Err(CommandError::not_found("bucket", bucket));
        }
        let max = self.inner.config.max_size_of(bucket);
        let max = if new.mode == UploadMode::Multipart { max } else { max.min(limits::SINGLE_PUT_BYTES_MAX) };
        if let Some(size) = new.size.filter(|s| *s > max) {
            let advice = if size <= self.inner.config.max_size_of(bucket) { "; use mode multipart" } else { "" };
            let message = format!("{size} bytes are more than the {max} allowed here{advice}");
            return Err(CommandError::invalid("size", message));
        }
        if json_bytes(&new.metadata) > limits::JOB_METADATA_BYTES_MAX {
            let message = format!("more than {} bytes of JSON", limits::JOB_METADATA_BYTES_MAX);
            return Err(CommandError::invalid("metadata", message));
        }
        if json_bytes(&new.options) > limits::JOB_OPTIONS_BYTES_MAX {
            let message = format!("more than {} bytes of JSON", limits::JOB_OPTIONS_BYTES_MAX);
            return Err(CommandError::invalid("options", message));
        }
        self.check_upload_rule(who, new, bucket)?;
        self.check_room(new.size.unwrap_or(0))
    }

    /// Nobody is promised a place for bytes that would be refused.
    fn check_room(&self, bytes: u64) -> Result<(), CommandError> {
        let room = self.inner.ports.blobs.room();
        if room.takes(bytes) {
            return Ok(());
        }
        let why = format!("no room for {bytes} bytes: {room:?}");
        Err(CommandError::Full(io::Error::new(io::ErrorKind::StorageFull, why).into()))
    }

    fn check_upload_rule(&self, who: &Principal, new: &NewUpload, bucket: &BucketName) -> Result<(), CommandError> {
        let Some(id) = &new.rule else {
            let needless = new.options.is_empty();
            let message = "options belong to a rule; name the rule too";
            return if needless { Ok(()) } else { Err(CommandError::invalid("options", message)) };
        };
        let is_within =
            |rule: &&Arc<Rule>| who.reach.touches(&rule.from) && self.tenant_of(&rule.from) == self.tenant_of(bucket);
        let rule = self.inner.config.rules.get(id).filter(is_within);
        let rule = rule.ok_or_else(|| CommandError::not_found("rule", id))?;
        let prepared = self.inner.ports.processors.prepare(&rule.process_with(&new.options));
        prepared.map(drop).map_err(|e| CommandError::invalid("options", e))
    }

    fn receivers_of(&self, new: &NewUpload) -> Result<Vec<UploadNotify>, CommandError> {
        if new.notify.len() > limits::UPLOAD_RECEIVERS_MAX {
            let message = format!("an upload names up to {} receivers", limits::UPLOAD_RECEIVERS_MAX);
            return Err(CommandError::invalid("notify", message));
        }
        let receiver = |wish: &NewReceiver| {
            if wish.on.iter().any(|kind| !NoticeKind::OF_JOBS.contains(kind)) {
                let known = NoticeKind::OF_JOBS.map(NoticeKind::as_str).join(", ");
                return Err(CommandError::invalid("notify", format!("an upload hears of its jobs only: {known}")));
            }
            let on = if wish.on.is_empty() { NoticeKind::OF_JOBS.to_vec() } else { wish.on.clone() };
            let receiver = self.inner.ports.notifier.receiver_of_upload(&wish.url);
            let receiver = receiver.map_err(|e| CommandError::invalid("notify", e))?;
            Ok(UploadNotify { on, receiver })
        };
        new.notify.iter().map(receiver).collect()
    }

    /// How to complete it comes first. The size is signed, as a whole and part by part.
    async fn begin_multipart_upload(
        &self,
        new: &NewUpload,
        upload: &mut Upload,
    ) -> Result<(PresignedRequest, MultipartTicket), CommandError> {
        let size = new.size.ok_or_else(|| {
            CommandError::invalid("size", "mode multipart needs the size, so that the parts can be planned")
        })?;
        let smallest = size.div_ceil(u64::from(limits::PARTS_MAX));
        let part_bytes = limits::CHUNK_BYTES_MIN.max(smallest.next_multiple_of(limits::MIB));
        let count = u32::try_from(size.div_ceil(part_bytes).max(1)).unwrap_or(limits::PARTS_MAX);
        let (content_type, owner) = (new.content_type.clone(), upload.by.clone());
        let attributes = Attributes { content_type, owner, ..Attributes::default() };
        let begin = BeginMultipart { bucket: upload.bucket.clone(), key: upload.key.clone(), attributes };
        let multipart = self.inner.ports.blobs.begin_multipart(begin).await?;
        upload.multipart = Some(multipart.clone());
        let parts = (1..=count)
            .map(|number| {
                let content_length = part_bytes.min(size - u64::from(number - 1) * part_bytes);
                self.sign(upload, PresignAction::Part { upload: multipart.clone(), number, content_length })
            })
            .collect::<Result<_, _>>()?;
        let complete = self.sign(upload, PresignAction::Complete { upload: multipart.clone(), size })?;
        let abort = self.sign(upload, PresignAction::Abort { upload: multipart.clone() })?;
        Ok((complete, MultipartTicket { upload_id: multipart, part_bytes, parts, abort }))
    }

    fn put_request(&self, new: &NewUpload, upload: &Upload) -> Result<PresignedRequest, CommandError> {
        let (content_type, content_length) = (new.content_type.clone(), new.size);
        self.sign(upload, PresignAction::Put { content_type, content_length, once: new.key.is_none() })
    }

    fn post_request(&self, new: &NewUpload, upload: &Upload) -> Result<PresignedRequest, CommandError> {
        let (content_type, size) = (new.content_type.clone(), new.size);
        let size_max = self.inner.config.max_size_of(&upload.bucket).min(limits::POST_FORM_BYTES_MAX);
        self.sign(upload, PresignAction::Post { content_type, size, size_max })
    }

    fn sign(&self, upload: &Upload, action: PresignAction) -> Result<PresignedRequest, CommandError> {
        let ttl = self.inner.config.upload_link_ttl;
        let (bucket, key, by) = (upload.bucket.clone(), upload.key.clone(), upload.by.clone());
        let request = PresignRequest { bucket, key, action, by, ttl };
        Ok(self.inner.ports.blobs.presign(&request, upload.created_at)?)
    }

    /// Where uploads go that name no bucket.
    fn usual_bucket_of(&self, who: &Principal) -> Result<BucketName, CommandError> {
        let usual = &self.inner.config.default_bucket;
        if who.reach.touches(usual) {
            return Ok(usual.clone());
        }
        let own: BTreeSet<&BucketName> = who.reach.only.iter().flatten().map(|place| &place.bucket).collect();
        let names: Vec<&str> = own.iter().map(|bucket| bucket.as_str()).collect();
        match own.first() {
            Some(only) if own.len() == 1 => Ok((*only).clone()),
            _ => Err(CommandError::invalid("bucket", format!("name one of {}", names.join(", ")))),
        }
    }

    /// A cancelled job starts nothing; what runs for it stops at its next sign of life.
    pub async fn cancel_job(&self, who: &Principal, id: &JobId) -> Result<Job, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let job = self.job(who, id).await?;
            let way = ("job.cancel", "not_cancellable");
            if let Some(cancelled) = self.change_job(who, &job, way, Happening::Cancelled).await? {
                abandon_multiparts(&self.inner.ports, &cancelled).await;
                return Ok(cancelled);
            }
        }
        Err(too_fast(id))
    }

    /// A failed or cancelled job runs again from the start, while the version that it is for is still the file's newest.
    pub async fn retry_job(&self, who: &Principal, id: &JobId) -> Result<Job, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let job = self.job(who, id).await?;
            if job.status.is_terminal() {
                self.must_be_newest(&job).await?;
            }
            if let Some(letter) = self.open_letter_of(&job).await? {
                let audited = || Some(self.audited_at(who, &job.input.bucket, "job.retry", id, Value::Null));
                let manner = RedriveManner { from_start: true, ..RedriveManner::default() };
                let how = Reopening { by: &who.name, redrive: None, manner: &manner };
                return self.reopen(&letter, how, audited).await;
            }
            // of the job as it was looked at: it may have died again meanwhile, with a letter that must end too
            let way = ("job.retry", "not_retryable");
            if let Some(opened) = self.change_job(who, &job, way, Happening::Retried(None)).await? {
                return Ok(opened);
            }
        }
        Err(too_fast(id))
    }

    /// Decides and commits. None: somebody was faster.
    async fn change_job(
        &self,
        who: &Principal,
        job: &Job,
        (action, code): (&'static str, &'static str),
        happening: Happening,
    ) -> Result<Option<Job>, CommandError> {
        let snapshot = Snapshot { job, held: None, chunk_recorded: false };
        let (mut changes, changed) = match lifecycle::decide(snapshot, happening, self.now(), 0) {
            Decision::Commit { changes, job: changed, .. } => (changes, changed),
            Decision::Stale(why) => {
                let message = format!("job {} is {}: {why}", job.id, job.status);
                return Err(CommandError::Conflict { code, message });
            }
        };
        if job.status.is_terminal() && !changed.status.is_terminal() {
            changes.push(hold_version(job));
        }
        let audited = self.audited_at(who, &job.input.bucket, action, &job.id, Value::Null);
        match self.commit(changes.with(audited), Durability::Synced).await {
            Ok(_) => Ok(Some(*changed)),
            Err(StateError::Conflict(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// The record may be older than the object: what was not recorded yet is not what somebody wants removed.
    async fn must_be_there_still(&self, file: &File) -> Result<(), CommandError> {
        match self.inner.ports.blobs.head(&file.bucket, &file.key).await {
            Ok(there) if there.sequencer != file.sequencer => Err(was_replaced(file)),
            Ok(_) | Err(BlobError::NotFound(_)) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes the bytes; the record follows from the announcement and is gone from lists when this returns.
    pub async fn delete_file(&self, who: &Principal, id: &FileId) -> Result<(), CommandError> {
        let file = self.file(who, id).await?;
        self.must_be_there_still(&file).await?;
        let named = json!({ "bucket": file.bucket, "key": file.key, "etag": file.etag });
        let audited = ChangeSet::new().with(self.audited_at(who, &file.bucket, "file.delete", id, named));
        self.commit(audited, Durability::Synced).await?;
        let this_version = Precondition::IfSequencer(file.sequencer.clone());
        match self.inner.ports.blobs.delete(&file.bucket, &file.key, this_version).await {
            Ok(_) | Err(BlobError::NotFound(_)) => {}
            Err(BlobError::Conflict(BlobConflict::Precondition)) => return Err(was_replaced(&file)),
            Err(e) => return Err(e.into()),
        }
        for _ in 0..limits::DECISIONS_MAX {
            ingest::pass(self).await?;
            if self.file(who, id).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn too_fast(id: &JobId) -> CommandError {
    CommandError::Conflict { code: "conflict", message: format!("job {id} changes too fast; try again") }
}

fn was_replaced(file: &File) -> CommandError {
    let message = format!("file {} was replaced a moment ago; look at the new version before you remove it", file.id);
    CommandError::Conflict { code: "file_replaced", message }
}

/// The service's own key for something, where this key may put it.
pub(crate) fn key_within(who: &Principal, bucket: &BucketName, name: &str) -> Result<ObjectKey, NameError> {
    let prefixes = who.reach.prefixes_in(bucket).unwrap_or_default();
    ObjectKey::parse(&format!("{}{name}", prefixes.first().copied().unwrap_or_default()))
}

fn within_limits(who: &Principal, bucket: &BucketName, key: ObjectKey) -> Result<ObjectKey, CommandError> {
    if who.reach.covers(bucket, &key) {
        return Ok(key);
    }
    let prefixes = who.reach.prefixes_in(bucket).unwrap_or_default();
    Err(CommandError::invalid("key", format!("your keys in {bucket} begin with {}", prefixes.join(" or "))))
}
