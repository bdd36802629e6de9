//! A finished job's last commit: the result becomes visible and the job completed.
//!
//! Where state and bytes share a disk this is one write. Elsewhere the object comes first: a crash between the two
//! leaves an object that the next attempt replaces by the same bytes.

use crate::counts::Ended;
use crate::{Engine, Ports, state_log};
use filemill_core::job::Job;
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{
    BlobError, Change, ChangeSet, Committed, CompleteMultipart, Durability, Missing, MultipartRef, Precondition,
    Publication, PublicationSource, PutObject, StateError, Unpublishable,
};
use tracing::Instrument;

impl Engine {
    /// Commits, with the deliveries that are due by it, then logs it, counts the jobs that ended and rings whoever waits for what it made.
    pub(crate) async fn commit(&self, mut changes: ChangeSet, durability: Durability) -> Result<Committed, StateError> {
        let ports = &self.inner.ports;
        let due = self.add_deliveries(&mut changes);
        let ready = changes.tasks_made_ready();
        let ended = Ended::by(&changes);
        let lines = state_log::lines_of(&changes);
        let committed = ports.state.commit(changes, durability).await?;
        state_log::write(&lines);
        ended.into_iter().for_each(Ended::count);
        self.add_left_over(&due.left_over, durability).await;
        if !ready.is_empty()
            && let Err(e) = ports.queue.push(&ready).await
        {
            // the bell only: the sweeper's clock finds the tasks
            tracing::warn!(error = %e, "queue did not take new tasks");
        }
        if due.sends {
            self.inner.deliveries.ring();
        }
        if committed.last_event.is_some() {
            self.inner.feed.ring();
        }
        Ok(committed)
    }

    pub(crate) async fn commit_with_results(
        &self,
        job: &Job,
        changes: ChangeSet,
        publications: Vec<Publication>,
        durability: Durability,
    ) -> Result<Committed, CommitError> {
        let span = match publications.is_empty() {
            true => tracing::Span::none(),
            false => tracing::debug_span!("publish", job = %job.id, objects = publications.len()),
        };
        self.publish(job, changes, publications, durability).instrument(span).await
    }

    async fn publish(
        &self,
        job: &Job,
        mut changes: ChangeSet,
        publications: Vec<Publication>,
        durability: Durability,
    ) -> Result<Committed, CommitError> {
        if self.inner.ports.state.publishes() {
            changes.changes.extend(publications.into_iter().map(Change::Publish));
        } else {
            let mut placed = Vec::with_capacity(publications.len());
            // at all places, before the first becomes visible
            for publication in publications {
                let there = there_before(&self.inner.ports, &publication.bucket, &publication.key).await?;
                let owner = there.as_ref().map(|there| there.attributes.owner.as_ref());
                if owner.is_some_and(|owner| !publication.may_replace(owner)) {
                    return Err(StateError::Unpublishable(Unpublishable::Taken).into());
                }
                placed.push((publication, there));
            }
            for (publication, there) in placed {
                publish_first(&self.inner.ports, job, publication, there).await?;
            }
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

/// Replaces only what it saw, so that a worker that was left behind cannot overwrite the result of a newer version.
async fn publish_first(
    ports: &Ports,
    job: &Job,
    publication: Publication,
    there: Option<ObjectInfo>,
) -> Result<(), CommitError> {
    let Publication { bucket, key, attributes, etag, source, .. } = publication;
    let condition = match there {
        // an attempt before this one made it, and then its commit was lost
        Some(there) if there.etag == etag && there.attributes.origin == attributes.origin => return Ok(()),
        Some(there) if is_of_newer_version(ports, job, &there).await? => {
            return Err(StateError::Conflict("the result of a newer version is there".into()).into());
        }
        Some(there) => Precondition::IfSequencer(there.sequencer),
        None => Precondition::IfAbsent,
    };
    let checksums = Default::default();
    let published = match source {
        PublicationSource::Staged(staged) => {
            let put = PutObject { bucket, key, attributes, checksums, etag: Some(etag), condition };
            ports.blobs.put(put, staged, Durability::Synced).await
        }
        PublicationSource::Multipart { id, parts } => {
            let complete = CompleteMultipart { parts, checksums, condition, min_part_bytes: 0 };
            ports.blobs.complete_multipart(&MultipartRef { bucket, key, id }, complete).await
        }
    };
    match published {
        Ok(_) => Ok(()),
        Err(e @ (BlobError::Conflict(_) | BlobError::NotFound(Missing::Object))) => {
            Err(StateError::Conflict(e.to_string()).into())
        }
        Err(e) => Err(e.into()),
    }
}

async fn there_before(ports: &Ports, bucket: &BucketName, key: &ObjectKey) -> Result<Option<ObjectInfo>, BlobError> {
    match ports.blobs.head(bucket, key).await {
        Ok(there) => Ok(Some(there)),
        Err(BlobError::NotFound(_)) => Ok(None),
        Err(e) => Err(e),
    }
}

async fn is_of_newer_version(ports: &Ports, job: &Job, there: &ObjectInfo) -> Result<bool, StateError> {
    let Some(origin) = &there.attributes.origin else { return Ok(false) };
    let other = ports.state.job(&origin.job).await?;
    let is_newer = |other: &Job| {
        (&other.input.bucket, &other.input.key) == (&job.input.bucket, &job.input.key)
            && other.sequencer > job.sequencer
    };
    Ok(other.as_ref().is_some_and(is_newer))
}

/// Gives up the parts of a job that ended without a result. What fails here the sweeper does.
pub(crate) async fn abandon_multiparts(ports: &Ports, job: &Job) {
    for upload in [job.gathering(), job.gathering_rejects()].into_iter().flatten() {
        match ports.blobs.abort_multipart(&upload).await {
            Ok(()) | Err(BlobError::NotFound(_)) => {}
            Err(e) => tracing::warn!(job = %job.id, error = %e, "parts of an ended job were not removed yet"),
        }
    }
}
