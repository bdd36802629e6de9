//! Open jobs of a version that is no longer there end, each with its reason.

use crate::Engine;
use crate::publish::abandon_multiparts;
use filemill_core::file::File;
use filemill_core::job::Job;
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::object::{BucketName, ObjectKey, Sequencer};
use filemill_core::ports::{Announcement, AnnouncementKind, StateError};

/// Versions of an object that have nothing left to read.
pub(super) struct Gone<'a> {
    bucket: &'a BucketName,
    key: &'a ObjectKey,
    up_to: &'a Sequencer,
    is_included: bool,
    why: Happening,
}

impl<'a> Gone<'a> {
    /// All before this change.
    pub(super) fn before(change: &'a Announcement) -> Self {
        let why = match change.kind {
            AnnouncementKind::Created => Happening::Superseded,
            AnnouncementKind::Removed => Happening::InputRemoved,
        };
        Gone { bucket: &change.bucket, key: &change.key, up_to: &change.sequencer, is_included: false, why }
    }

    /// This version, and all before it.
    pub(super) fn version(file: &'a File) -> Self {
        let why = Happening::InputRemoved;
        Gone { bucket: &file.bucket, key: &file.key, up_to: &file.sequencer, is_included: true, why }
    }

    fn holds(&self, version: &Sequencer) -> bool {
        version < self.up_to || (self.is_included && version == self.up_to)
    }
}

pub(super) async fn end_jobs(engine: &Engine, gone: &Gone<'_>) -> Result<(), StateError> {
    for job in engine.inner.ports.state.open_jobs_of(gone.bucket, gone.key).await? {
        if gone.holds(&job.sequencer) {
            end(engine, job, &gone.why).await?;
        }
    }
    Ok(())
}

async fn end(engine: &Engine, mut job: Job, why: &Happening) -> Result<(), StateError> {
    let ports = &engine.inner.ports;
    for _ in 0..limits::DECISIONS_MAX {
        let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
        let decision = lifecycle::decide(snapshot, why.clone(), engine.now(), 0);
        let Decision::Commit { changes, durability, .. } = decision else { return Ok(()) };
        match engine.commit(changes, durability).await {
            Ok(_) => {
                abandon_multiparts(ports, &job).await;
                return Ok(());
            }
            Err(StateError::Conflict(_)) => match ports.state.job(&job.id).await? {
                Some(newer) => job = newer,
                None => return Ok(()),
            },
            Err(e) => return Err(e),
        }
    }
    Err(StateError::Conflict(format!("job {} changes too fast", job.id)))
}
