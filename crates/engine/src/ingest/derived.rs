//! The cap on what is made of one upload: a job that starts from a result must have room for its own.
//!
//! The set of what was made is stored with the jobs, in one commit under its revision: whoever lost a race, or comes again
//! after a lost reply, reads it anew. A job without room is born failed, so that somebody can see where it ended.

use super::birth::{Birth, original_of};
use crate::Engine;
use filemill_core::derived::DerivedObjects;
use filemill_core::ids::{FileId, OriginalId};
use filemill_core::job::{Failure, Job};
use filemill_core::lifecycle::TOO_MANY_DERIVED;
use filemill_core::ports::{Announcement, Change, ChangeSet, StateError};
use filemill_core::record::{RecordKind, Recorded, Revised};
use std::collections::BTreeSet;

/// What was made of the upload that an object comes from, as the commit under way will leave it.
pub(super) struct Derived<'a> {
    engine: &'a Engine,
    input: FileId,
    stored: Revised<DerivedObjects>,
    grew: bool,
}

impl<'a> Derived<'a> {
    /// None for an upload itself: as many jobs start from it as there may be rules.
    pub async fn from(engine: &'a Engine, a: &Announcement) -> Result<Option<Self>, StateError> {
        if a.origin.is_none() {
            return Ok(None);
        }
        let original = original_of(a);
        let stored = engine.inner.ports.state.record(RecordKind::DerivedObjects, original.as_str()).await?;
        let stored = match stored {
            Some(record) => record.read().map_err(StateError::Corrupt)?,
            None => Revised { rev: 0, value: DerivedObjects::of(original) },
        };
        Ok(Some(Derived { engine, input: FileId::of(&a.bucket, &a.key), stored, grew: false }))
    }

    /// The birth, or that of a failed job if there is no room for what it would write.
    pub fn admit(&mut self, birth: Birth) -> Birth {
        if birth.obstacle.is_some() {
            return birth;
        }
        let before = self.stored.value.objects.len();
        let max = self.engine.inner.config.derived_objects_max;
        let fits = self.stored.value.admit(self.objects_of(&birth.job), max);
        self.grew |= self.stored.value.objects.len() > before;
        Birth { obstacle: (!fits).then(|| too_many(max)), ..birth }
    }

    /// The set, if it grew.
    pub fn change(self) -> Option<Change> {
        let Revised { rev, value } = self.stored;
        self.grew.then(|| Change::PutRecord(Box::new(value.record(rev + 1))))
    }

    /// What it starts from and what it may write.
    fn objects_of(&self, job: &Job) -> BTreeSet<FileId> {
        let transform = self.engine.inner.ports.processors.prepare(&job.process);
        let may_reject = transform.is_ok_and(|transform| transform.may_reject());
        let rejects = may_reject.then(|| FileId::of(&job.target.bucket, &job.target.reject_key()));
        let result = FileId::of(&job.target.bucket, &job.target.key);
        [self.input.clone(), result].into_iter().chain(rejects).collect()
    }
}

fn too_many(max: usize) -> Failure {
    let message = format!(
        "at most {max} objects may come of one upload, and this would go beyond: what is made of it keeps starting rules"
    );
    Failure { code: TOO_MANY_DERIVED.into(), message, detail: None }
}

/// Jobs of a commit that had no room. Told once they are stored.
pub(super) struct Refused {
    jobs: u64,
    original: Option<OriginalId>,
}

impl Refused {
    pub fn of(changes: &ChangeSet) -> Self {
        let is_refused = |job: &&Job| job.failure.as_ref().is_some_and(|f| f.code == TOO_MANY_DERIVED);
        let born = changes.changes.iter().filter_map(|change| match change {
            Change::InsertJob(job) => Some(&**job),
            _ => None,
        });
        let refused: Vec<&Job> = born.filter(is_refused).collect();
        Refused { jobs: refused.len() as u64, original: refused.first().and_then(|job| job.original.clone()) }
    }

    pub fn tell(self) {
        let Some(original) = self.original else { return };
        metrics::counter!("filemill_derived_refused_total").increment(self.jobs);
        tracing::warn!(%original, jobs = self.jobs, "jobs born failed: their upload has become as many objects as it may");
    }
}
