//! What doors may order: uploads, cancel, retry, delete. Each checks its request, then makes one durable change.

use crate::dead_letters::Reopening;
use crate::error::CommandError;
use crate::publish::abandon_multiparts;
use crate::{Engine, ingest};
use filemill_core::audit::Actor;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::job::Job;
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::notice::NoticeKind;
use filemill_core::notify::UploadNotify;
use filemill_core::object::{Attributes, BucketName, ObjectKey};
use filemill_core::ports::{
    BeginMultipart, BlobError, Change, ChangeSet, Durability, Precondition, PresignAction, PresignRequest,
    PresignedRequest, StateError,
};
use filemill_core::redrive::RedriveManner;
use filemill_core::rule::RuleId;
use filemill_core::size::json_bytes;
use filemill_core::upload::{Upload, UploadMode, UploadStatus};
use serde_json::{Map, Value, json};
use std::io;

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
    pub async fn create_upload(&self, new: NewUpload) -> Result<UploadTicket, CommandError> {
        let now = self.now();
        let id = UploadId::new(now, self.inner.ports.chance.bytes());
        let bucket = new.bucket.clone().unwrap_or_else(|| self.inner.config.default_bucket.clone());
        self.check_upload(&new, &bucket).await?;
        let key = match new.key.clone() {
            Some(key) => key,
            None => ObjectKey::parse(&format!("{id}/{}", new.filename))
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

    async fn check_upload(&self, new: &NewUpload, bucket: &BucketName) -> Result<(), CommandError> {
        if new.filename.is_empty() && new.key.is_none() {
            return Err(CommandError::invalid("filename", "give the name of the file"));
        }
        if self.inner.ports.blobs.bucket(bucket).await?.is_none() {
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
        self.check_upload_rule(new)?;
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

    fn check_upload_rule(&self, new: &NewUpload) -> Result<(), CommandError> {
        let Some(id) = &new.rule else {
            let needless = new.options.is_empty();
            let message = "options belong to a rule; name the rule too";
            return if needless { Ok(()) } else { Err(CommandError::invalid("options", message)) };
        };
        let rule = self.inner.config.rules.get(id).ok_or_else(|| CommandError::not_found("rule", id))?;
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
        let attributes = Attributes { content_type: new.content_type.clone(), ..Attributes::default() };
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
        let request = PresignRequest { bucket: upload.bucket.clone(), key: upload.key.clone(), action, ttl };
        Ok(self.inner.ports.blobs.presign(&request, upload.created_at)?)
    }

    /// A cancelled job starts nothing; what runs for it stops at its next sign of life.
    pub async fn cancel_job(&self, actor: &Actor, id: &JobId) -> Result<Job, CommandError> {
        let audited = || self.audited(actor, "job.cancel", id, Value::Null);
        let job = self.change_job(id, "not_cancellable", || Happening::Cancelled, audited).await?;
        abandon_multiparts(&self.inner.ports, &job).await;
        Ok(job)
    }

    /// A failed or cancelled job runs again from the start, while the version that it is for is still the file's newest.
    pub async fn retry_job(&self, actor: &Actor, id: &JobId) -> Result<Job, CommandError> {
        let job = self.job(id).await?;
        if job.status.is_terminal() {
            self.must_be_newest(&job).await?;
        }
        let audited = || self.audited(actor, "job.retry", id, Value::Null);
        if let Some(letter) = self.open_letter_of(&job).await? {
            let manner = RedriveManner { from_start: true, ..RedriveManner::default() };
            let how = Reopening { by: &actor.name, redrive: None, manner: &manner };
            return self.reopen(&letter, how, || Some(audited())).await;
        }
        self.change_job(id, "not_retryable", || Happening::Retried(None), audited).await
    }

    /// Loads, decides and commits until nobody was faster.
    async fn change_job(
        &self,
        id: &JobId,
        code: &'static str,
        happening: impl Fn() -> Happening,
        audited: impl Fn() -> Change,
    ) -> Result<Job, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let job = self.job(id).await?;
            let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
            let (changes, changed) = match lifecycle::decide(snapshot, happening(), self.now(), 0) {
                Decision::Commit { changes, job: changed, .. } => (changes, changed),
                Decision::Stale(why) => {
                    let message = format!("job {id} is {}: {why}", job.status);
                    return Err(CommandError::Conflict { code, message });
                }
            };
            match self.commit(changes.with(audited()), Durability::Synced).await {
                Ok(_) => return Ok(*changed),
                Err(StateError::Conflict(_)) => continue,
                Err(e) => return Err(e.into()),
            }
        }
        let message = format!("job {id} changes too fast; try again");
        Err(CommandError::Conflict { code: "conflict", message })
    }

    /// Removes the bytes; the record follows from the announcement and is gone from lists when this returns.
    pub async fn delete_file(&self, actor: &Actor, id: &FileId) -> Result<(), CommandError> {
        let file = self.file(id).await?;
        let named = json!({ "bucket": file.bucket, "key": file.key, "etag": file.etag });
        let audited = ChangeSet::new().with(self.audited(actor, "file.delete", id, named));
        self.commit(audited, Durability::Synced).await?;
        match self.inner.ports.blobs.delete(&file.bucket, &file.key, Precondition::None).await {
            Ok(_) => {}
            Err(BlobError::NotFound(_)) => {}
            Err(e) => return Err(e.into()),
        }
        for _ in 0..limits::DECISIONS_MAX {
            ingest::pass(self).await?;
            if self.file(id).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
