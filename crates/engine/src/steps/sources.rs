//! Other objects for a running transform, as far as its job may read them. Called on a blocking thread.

use super::failure::task_error_of_blob;
use super::watch::Beating;
use super::{Step, Watch};
use filemill_core::access::Reach;
use filemill_core::etag::Etag;
use filemill_core::object::{BucketName, ObjectRef};
use filemill_core::ports::{
    BlobError, BlobStore, Clock, PresignAction, PresignRequest, ProcessError, Pulse, SourceInfo, SourceName, Sources,
};
use filemill_core::task::TaskError;
use std::future::Future;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

pub(super) struct JobSources {
    blobs: Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    default_bucket: BucketName,
    /// All buckets if none are named.
    allowed: Option<Vec<BucketName>>,
    /// What of them is within reach of who ordered the job.
    reader: Reach,
    input: ObjectRef,
    link_ttl: Duration,
    watch: Arc<Watch>,
    runtime: Handle,
}

impl JobSources {
    pub fn of(step: &Step<'_>) -> Self {
        JobSources {
            blobs: step.ports.blobs.clone(),
            clock: step.ports.clock.clone(),
            default_bucket: step.default_bucket.clone(),
            allowed: step.job.sources.clone(),
            reader: step.job.reader.clone(),
            input: step.job.input.clone(),
            link_ttl: step.link_ttl,
            watch: step.watch.clone(),
            runtime: Handle::current(),
        }
    }

    fn bucket<'a>(&'a self, name: &'a SourceName) -> &'a BucketName {
        name.bucket.as_ref().unwrap_or(&self.default_bucket)
    }

    fn wait<T>(&self, call: impl Future<Output = Result<T, BlobError>>) -> Result<T, BlobError> {
        self.watch.beat();
        self.runtime.block_on(call)
    }
}

impl Sources for JobSources {
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        let bucket = self.bucket(source);
        let is_allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(bucket));
        if !is_allowed || !self.reader.covers(bucket, &source.key) {
            return Ok(None);
        }
        match self.wait(self.blobs.head(bucket, &source.key)) {
            Ok(info) if !self.reader.owns(info.attributes.owner.as_ref()) => Ok(None),
            Ok(info) => {
                Ok(Some(SourceInfo { name: source.clone(), size: info.size, etag: info.etag.as_str().to_owned() }))
            }
            Err(BlobError::NotFound(_)) => Ok(None),
            Err(e) => Err(ProcessError::Failed(task_error_of_blob(e))),
        }
    }

    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        let etag = Etag::new(&source.etag);
        let opened = self.wait(self.blobs.open(self.bucket(&source.name), &source.name.key, Some(&etag), None));
        match opened {
            Ok(opened) => Ok(Box::new(Beating { inner: opened.body.into_reader(), watch: self.watch.clone() })),
            Err(BlobError::NotFound(_) | BlobError::Conflict(_)) => {
                let message = format!("{} was replaced or removed while it was read", source.name);
                Err(ProcessError::Failed(TaskError::permanent("source_changed", message)))
            }
            Err(e) => Err(ProcessError::Failed(task_error_of_blob(e))),
        }
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        let request = PresignRequest {
            bucket: self.input.bucket.clone(),
            key: self.input.key.clone(),
            action: PresignAction::Get { file_name: None },
            by: None,
            ttl: self.link_ttl,
        };
        let signed = self.blobs.presign(&request, self.clock.now());
        signed.map(|signed| signed.url).map_err(|e| ProcessError::Failed(task_error_of_blob(e)))
    }
}
