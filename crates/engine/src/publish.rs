//! A finished job's last commit: the result becomes visible and the job completed.
//!
//! Where state and bytes share a disk this is one write. Elsewhere the object comes first: a crash between the two
//! leaves an object that the next attempt replaces by the same bytes.

use crate::{Engine, Ports};
use filemill_core::job::Job;
use filemill_core::ports::{
    BlobError, Change, ChangeSet, Committed, CompleteMultipart, Durability, Missing, MultipartRef, Precondition,
    Publication, PublicationSource, PutObject, StateError,
};

impl Engine {
    /// Commits, then rings whoever waits for what the commit made.
    pub(crate) async fn commit(&self, changes: ChangeSet, durability: Durability) -> Result<Committed, StateError> {
        let ports = &self.inner.ports;
        let ready = changes.tasks_made_ready();
        let committed = ports.state.commit(changes, durability).await?;
        if !ready.is_empty()
            && let Err(e) = ports.queue.push(&ready).await
        {
            // the bell only: the sweeper's clock finds the tasks
            tracing::warn!(error = %e, "queue did not take new tasks");
        }
        if committed.last_event.is_some() {
            self.inner.feed.ring();
        }
        Ok(committed)
    }

    pub(crate) async fn commit_with_result(
        &self,
        mut changes: ChangeSet,
        publication: Publication,
        durability: Durability,
    ) -> Result<Committed, CommitError> {
        if self.inner.ports.state.publishes() {
            changes.push(Change::Publish(publication));
        } else {
            publish_first(&self.inner.ports, publication).await?;
        }
        Ok(self.commit(changes, durability).await?)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

async fn publish_first(ports: &Ports, publication: Publication) -> Result<(), BlobError> {
    let Publication { bucket, key, attributes, etag, source, .. } = publication;
    match source {
        PublicationSource::Staged(staged) => {
            let put = PutObject {
                bucket,
                key,
                attributes,
                checksums: Default::default(),
                etag: Some(etag),
                condition: Precondition::None,
            };
            ports.blobs.put(put, staged, Durability::Synced).await.map(drop)
        }
        PublicationSource::Multipart { id, parts } => {
            let upload = MultipartRef { bucket, key, id };
            let condition = Precondition::None;
            let complete = CompleteMultipart { parts, checksums: Default::default(), condition, min_part_bytes: 0 };
            match ports.blobs.complete_multipart(&upload, complete).await {
                // an attempt before this one completed it, and then its commit was lost
                Err(BlobError::NotFound(Missing::Upload)) => {
                    let object = ports.blobs.head(&upload.bucket, &upload.key).await?;
                    let own = object.etag == etag;
                    if own { Ok(()) } else { Err(BlobError::NotFound(Missing::Upload)) }
                }
                other => other.map(drop),
            }
        }
    }
}

/// Gives up the parts of a job that ended without a result. What fails here the sweeper does.
pub(crate) async fn abandon_multipart(ports: &Ports, job: &Job) {
    let Some(id) = job.multipart.clone() else { return };
    let upload = MultipartRef { bucket: job.target.bucket.clone(), key: job.target.key.clone(), id };
    match ports.blobs.abort_multipart(&upload).await {
        Ok(()) | Err(BlobError::NotFound(_)) => {}
        Err(e) => tracing::warn!(job = %job.id, error = %e, "parts of an ended job were not removed yet"),
    }
}
