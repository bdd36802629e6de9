//! The `StateStore` port on the local store.

use crate::commit::Prepared;
use crate::expiry;
use crate::failure::Step;
use crate::feed;
use crate::files;
use crate::findings;
use crate::jobs;
use crate::queue;
use crate::records;
use crate::store::LocalStore;
use crate::tasks;
use async_trait::async_trait;
use filemill_core::alarm::EndedJobs;
use filemill_core::chunks::Survey;
use filemill_core::event::LiveEvent;
use filemill_core::file::File;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::{FileId, JobId, KeyId, UploadId};
use filemill_core::job::{Job, JobStatus};
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::*;
use filemill_core::record::{Record, RecordGroup, RecordKind, RecordQuery};
use filemill_core::rule::RuleId;
use filemill_core::task::{ChunkRecord, Task, TaskId};
use filemill_core::time::Timestamp;
use filemill_core::upload::Upload;
use std::collections::BTreeMap;
use std::sync::PoisonError;

#[async_trait]
impl StateStore for LocalStore {
    async fn commit(&self, changes: ChangeSet, durability: Durability) -> Result<Committed, StateError> {
        let prepared = Prepared::new(changes, &self.blobs)?;
        self.write(durability, move |tx| prepared.commit(tx)).await
    }

    fn publishes(&self) -> bool {
        true
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, StateError> {
        self.look(|sql| jobs::find(sql, id))
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<Job>, StateError> {
        let query = query.clone();
        self.read(move |sql| jobs::page(sql, &query)).await
    }

    async fn open_jobs_of(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Job>, StateError> {
        let (bucket, key) = (bucket.clone(), key.clone());
        self.read(move |sql| jobs::open_of(sql, &bucket, &key)).await
    }

    async fn ended_jobs(&self, since: Timestamp) -> Result<BTreeMap<RuleId, EndedJobs>, StateError> {
        self.read(move |sql| jobs::ended(sql, since)).await
    }

    async fn task(&self, id: &TaskId) -> Result<Option<Task>, StateError> {
        self.look(|sql| tasks::find(sql, id))
    }

    async fn chunk(&self, job: &JobId, run: u32, index: u32) -> Result<Option<ChunkRecord>, StateError> {
        self.look(|sql| jobs::chunk(sql, job, run, index))
    }

    async fn chunks(&self, job: &JobId, run: u32) -> Result<Vec<ChunkRecord>, StateError> {
        let job = job.clone();
        self.read(move |sql| jobs::chunks(sql, &job, run)).await
    }

    async fn survey(&self, job: &JobId, run: u32) -> Result<Option<Survey>, StateError> {
        let job = job.clone();
        self.read(move |sql| jobs::survey(sql, &job, run)).await
    }

    async fn findings(&self, query: &FindingQuery) -> Result<Page<FindingRecord>, StateError> {
        let query = query.clone();
        self.read(move |sql| findings::page(sql, &query)).await
    }

    async fn finding_summary(&self, query: &FindingQuery) -> Result<FindingSummary, StateError> {
        let query = query.clone();
        self.read(move |sql| findings::summary(sql, &query)).await
    }

    async fn record(&self, kind: RecordKind, id: &str) -> Result<Option<Record>, StateError> {
        self.look(|sql| records::find(sql, kind, id))
    }

    async fn records(&self, query: &RecordQuery) -> Result<Page<Record>, StateError> {
        let query = query.clone();
        self.read(move |sql| records::page(sql, &query)).await
    }

    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StateError> {
        let query = query.clone();
        self.read(move |sql| records::count(sql, &query)).await
    }

    async fn record_groups(&self, query: &RecordQuery, by: &'static str) -> Result<Vec<RecordGroup>, StateError> {
        let query = query.clone();
        self.read(move |sql| records::groups(sql, &query, by)).await
    }

    async fn due_records(&self, kind: RecordKind, before: Timestamp, limit: u32) -> Result<Vec<Record>, StateError> {
        self.read(move |sql| records::due(sql, kind, before, limit)).await
    }

    async fn file(&self, id: &FileId) -> Result<Option<File>, StateError> {
        self.look(|sql| files::file(sql, id))
    }

    async fn files(&self, query: &FileQuery) -> Result<Page<File>, StateError> {
        let query = query.clone();
        self.read(move |sql| files::page(sql, &query)).await
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<Upload>, StateError> {
        self.look(|sql| files::upload(sql, id))
    }

    async fn upload_for(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        by: Option<&KeyId>,
    ) -> Result<Option<Upload>, StateError> {
        self.look(|sql| files::upload_for(sql, bucket, key, by))
    }

    async fn overdue_uploads(&self, before: Timestamp, limit: u32) -> Result<Vec<Upload>, StateError> {
        self.read(move |sql| files::overdue_uploads(sql, before, limit)).await
    }

    async fn stranded_jobs(&self, limit: u32) -> Result<Vec<Job>, StateError> {
        let after = self.stranded_after.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (found, stopped) = self.read(move |sql| jobs::stranded(sql, &after, limit)).await?;
        *self.stranded_after.lock().unwrap_or_else(PoisonError::into_inner) = stopped.unwrap_or_default();
        Ok(found)
    }

    async fn expire(&self, expiry: &Expiry, limit: u32) -> Result<Expired, StateError> {
        let expiry = *expiry;
        let overdue = self.read(move |sql| expiry::overdue(sql, &expiry, limit)).await?;
        self.write(Durability::Lazy, move |tx| Ok(expiry::remove(tx, &overdue, &expiry)?)).await
    }

    async fn clean(&self, events_kept: u64, limit: u32) -> Result<u64, StateError> {
        let of_events = self
            .write(Durability::Lazy, move |tx| -> Step<_, StateError> { Ok(feed::clean(tx, events_kept, limit)?) })
            .await?;
        let left = limit.saturating_sub(u32::try_from(of_events).unwrap_or(limit));
        if left == 0 {
            // they come fast, and a look for leftovers costs more
            return Ok(of_events);
        }
        let looked = self.looked_for_leftovers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (leftovers, further) = self.read(move |sql| jobs::ended_with_leftovers(sql, &looked, left)).await?;
        let of_jobs = match leftovers.is_empty() {
            true => 0,
            false => {
                self.write(Durability::Lazy, move |tx| -> Step<_, StateError> {
                    Ok(jobs::clean(tx, &leftovers, left)?)
                })
                .await?
            }
        };
        // else some of what was found is still there
        if of_jobs < u64::from(left) {
            *self.looked_for_leftovers.lock().unwrap_or_else(PoisonError::into_inner) = further;
        }
        Ok(of_jobs + of_events)
    }

    async fn events_after(&self, seq: u64, limit: u32) -> Result<Vec<LiveEvent>, StateError> {
        self.read(move |sql| feed::after(sql, seq, limit)).await
    }

    async fn last_event(&self) -> Result<u64, StateError> {
        self.look(|sql| Ok(feed::last(sql)?))
    }

    /// Refused after the store has failed, as `usage` is.
    async fn counts(&self) -> Result<StateCounts, StateError> {
        self.blobs.health.check()?;
        let now = self.clock.now();
        self.read(move |sql| {
            let (tasks_ready, tasks_leased, oldest_ready_at) = queue::counts(sql, now)?;
            let (jobs_queued, jobs_running) =
                (jobs::count(sql, JobStatus::Queued)?, jobs::count(sql, JobStatus::Running)?);
            Ok(StateCounts { jobs_queued, jobs_running, tasks_ready, tasks_leased, oldest_ready_at })
        })
        .await
    }
}
