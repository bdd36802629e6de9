//! What doors may ask. Reads only.

use crate::error::CommandError;
use crate::{Engine, EngineConfig};
use filemill_core::file::File;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::job::{Job, JobStatus};
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{
    FileQuery, JobQuery, Page, PresignAction, PresignRequest, ProcessorSpec, StateCounts, StoreUsage,
};
use filemill_core::rule::Rule;
use filemill_core::time::Timestamp;
use filemill_core::upload::Upload;
use std::sync::Arc;

/// A link made because somebody asked; never stored.
#[derive(Clone)]
pub struct Link {
    pub url: String,
    pub expires_at: Timestamp,
}

/// Both stores answered.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    pub state: StateCounts,
    pub store: StoreUsage,
}

impl Engine {
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    pub fn now(&self) -> Timestamp {
        self.inner.ports.clock.now()
    }

    pub fn rules(&self) -> &[Arc<Rule>] {
        self.inner.config.rules.all()
    }

    pub fn processors(&self) -> impl Iterator<Item = &ProcessorSpec> + '_ {
        self.inner.ports.processors.specs()
    }

    pub async fn job(&self, id: &JobId) -> Result<Job, CommandError> {
        self.inner.ports.state.job(id).await?.ok_or_else(|| CommandError::not_found("job", id))
    }

    pub async fn jobs(&self, query: &JobQuery) -> Result<Page<Job>, CommandError> {
        Ok(self.inner.ports.state.jobs(query).await?)
    }

    pub async fn file(&self, id: &FileId) -> Result<File, CommandError> {
        let file = self.inner.ports.state.file(id).await?.filter(|f| f.removed_at.is_none());
        file.ok_or_else(|| CommandError::not_found("file", id))
    }

    pub async fn files(&self, query: &FileQuery) -> Result<Page<File>, CommandError> {
        Ok(self.inner.ports.state.files(query).await?)
    }

    pub async fn upload(&self, id: &UploadId) -> Result<Upload, CommandError> {
        self.inner.ports.state.upload(id).await?.ok_or_else(|| CommandError::not_found("upload", id))
    }

    /// A link to the job's result. `Conflict` with code `no_result` unless the job is completed and its result is still
    /// the one under its key.
    pub async fn result_link(&self, id: &JobId) -> Result<Link, CommandError> {
        let job = self.job(id).await?;
        match (&job.output, job.status) {
            (Some(output), JobStatus::Completed) => {
                let there = self.inner.ports.blobs.head(&output.bucket, &output.key).await.map_err(|e| match e {
                    filemill_core::ports::BlobError::NotFound(_) => CommandError::not_found("result", id),
                    e => e.into(),
                })?;
                if there.etag != output.etag {
                    let message = format!("the result of job {id} was replaced by a later one under the same key");
                    return Err(CommandError::Conflict { code: "no_result", message });
                }
                self.download_link_to(&output.bucket, &output.key, job.result_name.as_deref())
            }
            (_, status) => Err(CommandError::Conflict {
                code: "no_result",
                message: format!("job {id} is {status}; only a completed job has a result"),
            }),
        }
    }

    pub async fn download_link(&self, id: &FileId) -> Result<Link, CommandError> {
        let file = self.file(id).await?;
        self.download_link_to(&file.bucket, &file.key, None)
    }

    /// A browser calls it `name`, or what its key ends in.
    fn download_link_to(&self, bucket: &BucketName, key: &ObjectKey, name: Option<&str>) -> Result<Link, CommandError> {
        let file_name = name.or_else(|| key.rsplit('/').next()).filter(|n| !n.is_empty()).map(str::to_owned);
        let request = PresignRequest {
            bucket: bucket.clone(),
            key: key.clone(),
            action: PresignAction::Get { file_name },
            ttl: self.inner.config.download_link_ttl,
        };
        let signed = self.inner.ports.blobs.presign(&request, self.now())?;
        Ok(Link { url: signed.url, expires_at: signed.expires_at })
    }

    pub async fn health(&self) -> Result<Health, CommandError> {
        let (state, store) = tokio::join!(self.inner.ports.state.counts(), self.inner.ports.blobs.usage());
        Ok(Health { state: state?, store: store? })
    }
}
