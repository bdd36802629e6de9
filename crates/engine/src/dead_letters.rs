//! Dead letters at work: looked through, put back to work one by one, discarded; and what they keep, given up in time.
//!
//! A letter ends in the commit that opens its job again, guarded by the letter's revision: however often a redrive is
//! ordered or broken off, a letter starts one run.

use crate::Engine;
use crate::error::CommandError;
use crate::publish::abandon_multiparts;
use crate::redrives::must_mean_dead;
use crate::sweeper::Swept;
use filemill_core::access::Principal;
use filemill_core::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterStatus, LetterEnd};
use filemill_core::ids::{DeadLetterId, FileId, RedriveId};
use filemill_core::job::Job;
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, Page, StateError};
use filemill_core::record::{RecordGroup, RecordQuery, Recorded, Revised};
use filemill_core::redrive::RedriveManner;
use filemill_core::rule::Process;
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Letters worked on side by side: their commits share a sync.
pub(crate) const SIDE_BY_SIDE: usize = 32;

/// Letters whose errors probably have one cause.
#[derive(Clone, Debug)]
pub struct DeadLetterGroup {
    pub fingerprint: String,
    pub count: u64,
    pub oldest: DeadLetter,
    pub newest: DeadLetter,
}

/// Who opens a letter's job again, and how.
#[derive(Clone, Copy)]
pub(crate) struct Reopening<'a> {
    pub by: &'a str,
    pub redrive: Option<&'a RedriveId>,
    pub manner: &'a RedriveManner,
}

impl Engine {
    /// Newest first.
    pub async fn dead_letters(
        &self,
        who: &Principal,
        filter: &DeadLetterFilter,
        after: Option<&DeadLetterId>,
        limit: u32,
    ) -> Result<Page<DeadLetter>, CommandError> {
        let query = RecordQuery { after: after.map(ToString::to_string), limit, ..filter.query().within(&who.reach) };
        let Page { items, more } = self.read_records(&query).await?;
        Ok(Page { items: items.into_iter().map(|letter| letter.value).collect(), more })
    }

    pub async fn dead_letter(&self, who: &Principal, id: &DeadLetterId) -> Result<DeadLetter, CommandError> {
        Ok(self.letter_for(who, id).await?.value)
    }

    /// The largest groups first.
    pub async fn dead_letter_groups(
        &self,
        who: &Principal,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetterGroup>, CommandError> {
        let query = RecordQuery { limit, ..filter.query().within(&who.reach) };
        let mut groups = Vec::new();
        for RecordGroup { value, count, first, last } in
            self.inner.ports.state.record_groups(&query, "fingerprint").await?
        {
            let (oldest, newest) = (self.letter_named(&first).await?, self.letter_named(&last).await?);
            // one that is gone was removed meanwhile, and its group with it
            if let (Some(oldest), Some(newest)) = (oldest, newest) {
                let (oldest, newest) = (oldest.value, newest.value);
                groups.push(DeadLetterGroup { fingerprint: value, count, oldest, newest });
            }
        }
        Ok(groups)
    }

    pub async fn count_dead_letters(&self, who: &Principal, filter: &DeadLetterFilter) -> Result<u64, CommandError> {
        Ok(self.inner.ports.state.record_count(&filter.query().within(&who.reach)).await?)
    }

    /// The job, at work again.
    pub async fn redrive_dead_letter(
        &self,
        who: &Principal,
        id: &DeadLetterId,
        manner: &RedriveManner,
    ) -> Result<Job, CommandError> {
        let detail = json!({ "options": manner.options, "from_start": manner.from_start });
        let letter = self.dead_letter(who, id).await?;
        let audited = || Some(self.audited_at(who, &letter.bucket, "dead.redrive", id, detail.clone()));
        self.reopen(id, Reopening { by: &who.name, redrive: None, manner }, audited).await
    }

    /// Its job stays failed, and what it kept goes.
    pub async fn discard_dead_letter(&self, who: &Principal, id: &DeadLetterId) -> Result<DeadLetter, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let Revised { rev, value: letter } = self.letter_for(who, id).await?;
            must_be_dead(&letter)?;
            let end = LetterEnd { at: self.now(), by: who.name.clone(), redrive: None, run: None };
            let ended = letter.clone().ended(DeadLetterStatus::Discarded, end);
            let audited = self.audited_at(who, &letter.bucket, "dead.discard", id, Value::Null);
            if self.let_go(&letter, Some(ended.record(rev + 1)), Some(audited)).await? {
                tracing::info!(job = %letter.job(), dead_letter = %id, by = %who.name, "dead letter discarded");
                return Ok(ended);
            }
        }
        Err(too_fast(id))
    }

    /// All that the filter finds. Answers how many.
    pub async fn discard_dead_letters(&self, who: &Principal, filter: &DeadLetterFilter) -> Result<u64, CommandError> {
        must_mean_dead(filter)?;
        let mut filter = DeadLetterFilter { status: Some(DeadLetterStatus::Dead), ..filter.clone() };
        // those that die meanwhile were not meant
        let end = self.now().plus(Duration::from_millis(1));
        filter.until = Some(filter.until.map_or(end, |until| until.min(end)));
        let mut discarded = 0;
        loop {
            let page = self.dead_letters(who, &filter, None, limits::PAGE_MAX).await?;
            for some in page.items.chunks(SIDE_BY_SIDE) {
                for outcome in join_all(some.iter().map(|letter| self.discard_dead_letter(who, &letter.id))).await {
                    match outcome {
                        Ok(_) => discarded += 1,
                        // somebody else ended it meanwhile
                        Err(CommandError::Conflict { .. } | CommandError::NotFound { .. }) => {}
                        Err(e) => return Err(e),
                    }
                }
            }
            if !page.more {
                return Ok(discarded);
            }
        }
    }

    /// Opens the letter's job again and ends the letter, in one commit.
    pub(crate) async fn reopen(
        &self,
        id: &DeadLetterId,
        how: Reopening<'_>,
        audited: impl Fn() -> Option<Change>,
    ) -> Result<Job, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let Revised { rev, value: letter } = self.letter(id).await?;
            must_be_dead(&letter)?;
            let job = self.job(&Principal::service(), letter.job()).await?;
            self.must_be_newest(&job).await?;
            let happening = self.way_to_reopen(&job, how.manner).await?;
            let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
            let (mut changes, reopened) = match lifecycle::decide(snapshot, happening, self.now(), 0) {
                Decision::Commit { changes, job, .. } => (changes, job),
                Decision::Stale(why) => {
                    let message = format!("job {} is {}: {why}", job.id, job.status);
                    return Err(CommandError::Conflict { code: "not_retryable", message });
                }
            };
            let (redrive, run) = (how.redrive.cloned(), Some(reopened.run));
            let end = LetterEnd { at: self.now(), by: how.by.to_owned(), redrive, run };
            let ended = letter.ended(DeadLetterStatus::Redriven, end);
            changes.push(Change::PutRecord(Box::new(ended.record(rev + 1))));
            changes.push(hold_version(&job));
            changes.changes.extend(audited());
            match self.commit(changes, Durability::Synced).await {
                Ok(_) => {
                    tracing::info!(job = %job.id, dead_letter = %id, run = reopened.run, by = how.by, "job redriven");
                    if reopened.run != job.run {
                        abandon_multiparts(&self.inner.ports, &job).await;
                    }
                    return Ok(*reopened);
                }
                Err(StateError::Conflict(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(too_fast(id))
    }

    /// Where it stopped, if that is still there and nothing was said against it.
    async fn way_to_reopen(&self, job: &Job, manner: &RedriveManner) -> Result<Happening, CommandError> {
        let mut process = job.process.clone();
        process.options.extend(manner.options.clone());
        self.check_process(&process)?;
        if !manner.options.is_empty() {
            return Ok(Happening::Retried(Some(process)));
        }
        if manner.from_start || job.resumable_until.is_none() {
            return Ok(Happening::Retried(None));
        }
        let recorded = self.inner.ports.state.chunks(&job.id, job.run).await?;
        let recorded: BTreeSet<u32> = recorded.into_iter().map(|chunk| chunk.index).collect();
        Ok(Happening::Resumed((0..job.chunks_planned).filter(|index| !recorded.contains(index)).collect()))
    }

    /// Nothing is opened again that would fail at once.
    pub(crate) fn check_process(&self, process: &Process) -> Result<(), CommandError> {
        let processors = &self.inner.ports.processors;
        if processors.spec(process.kind.as_str()).is_none() {
            let message = format!(
                "this service has no processor {:?} now; start it with the config that defines it",
                process.kind
            );
            return Err(CommandError::Conflict { code: "no_processor", message });
        }
        processors.prepare(process).map(drop).map_err(|e| CommandError::invalid("options", e))
    }

    /// Only the newest version of a file is worked on again: older results must not replace newer ones.
    pub(crate) async fn must_be_newest(&self, job: &Job) -> Result<(), CommandError> {
        let file = self.inner.ports.state.file(&FileId::of(&job.input.bucket, &job.input.key)).await?;
        if file.is_some_and(|f| f.sequencer == job.sequencer && f.removed_at.is_none()) {
            return Ok(());
        }
        let message =
            format!("the file of job {} was removed or replaced by a newer version, which has its own job", job.id);
        Err(CommandError::Conflict { code: "not_retryable", message })
    }

    /// The letter that a retry of the job ends.
    pub(crate) async fn open_letter_of(&self, job: &Job) -> Result<Option<DeadLetterId>, CommandError> {
        let Some(id) = &job.dead_letter else { return Ok(None) };
        let letter = self.letter_named(id.as_str()).await?;
        Ok(letter.filter(|letter| letter.value.status == DeadLetterStatus::Dead).map(|letter| letter.value.id))
    }

    async fn letter(&self, id: &DeadLetterId) -> Result<Revised<DeadLetter>, CommandError> {
        self.letter_named(id.as_str()).await?.ok_or_else(|| CommandError::not_found("dead letter", id))
    }

    async fn letter_for(&self, who: &Principal, id: &DeadLetterId) -> Result<Revised<DeadLetter>, CommandError> {
        let letter = self.letter(id).await?;
        let is_within = who.reach.takes(&letter.value.bucket, &letter.value.key, None);
        if is_within { Ok(letter) } else { Err(CommandError::not_found("dead letter", id)) }
    }

    pub(crate) async fn letter_named(&self, id: &str) -> Result<Option<Revised<DeadLetter>>, CommandError> {
        self.read_record(id).await
    }

    /// The letter becomes `record`, and its job keeps nothing any more. False: somebody was faster.
    async fn let_go(
        &self,
        letter: &DeadLetter,
        record: Option<filemill_core::record::Record>,
        audited: Option<Change>,
    ) -> Result<bool, CommandError> {
        let job = self.inner.ports.state.job(letter.job()).await?;
        let mut changes = ChangeSet { changes: audited.into_iter().collect() };
        changes.changes.extend(record.map(|record| Change::PutRecord(Box::new(record))));
        let keeps = job.filter(|job| job.dead_letter.as_ref() == Some(&letter.id) && job.resumable_until.is_some());
        if let Some(job) = &keeps {
            let snapshot = Snapshot { job, held: None, chunk_recorded: false };
            let decision = lifecycle::decide(snapshot, Happening::KeptLongEnough, self.now(), 0);
            if let Decision::Commit { changes: freed, .. } = decision {
                changes.changes.extend(freed.changes);
            }
        }
        match self.commit(changes, Durability::Synced).await {
            Ok(_) => {}
            Err(StateError::Conflict(_)) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        if let Some(job) = &keeps {
            abandon_multiparts(&self.inner.ports, job).await;
        }
        Ok(true)
    }

    /// A duty of the sweeper: chunks that were kept for a redrive that did not come.
    pub(crate) async fn give_up_kept_chunks(&self) -> Result<Swept, CommandError> {
        let mut given_up = 0;
        for Revised { rev, value: letter } in
            self.read_due_records::<DeadLetter>(self.now(), limits::SWEEP_BATCH).await?
        {
            let kept = DeadLetter { resumable_until: None, ..letter.clone() };
            given_up += usize::from(self.let_go(&letter, Some(kept.record(rev + 1)), None).await?);
        }
        Ok(Swept::after(given_up, limits::SWEEP_BATCH))
    }
}

/// The file is still this version when the job is opened: no older one goes on beside a newer one's.
pub(crate) fn hold_version(job: &Job) -> Change {
    Change::HoldFile(FileId::of(&job.input.bucket, &job.input.key), job.sequencer.clone())
}

pub(crate) fn must_be_dead(letter: &DeadLetter) -> Result<(), CommandError> {
    if letter.status == DeadLetterStatus::Dead {
        return Ok(());
    }
    let by = letter.ended.as_ref().map_or("somebody", |end| end.by.as_str());
    let message = format!("dead letter {} was {} by {by} already", letter.id, letter.status.as_str());
    Err(CommandError::Conflict { code: "not_dead", message })
}

fn too_fast(id: &DeadLetterId) -> CommandError {
    let message = format!("the job of dead letter {id} changes too fast; try again");
    CommandError::Conflict { code: "conflict", message }
}
