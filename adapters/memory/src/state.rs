//! The `StateStore` of the memory adapter: commits, and queries over the ordered tables.
//!
//! Queries walk their whole table: meant for tests, where tables are small.

use crate::line::Call;
use crate::store::MemoryStore;
use crate::world::{Tables, World};
use async_trait::async_trait;
use filemill_core::alarm::EndedJobs;
use filemill_core::chunks::Survey;
use filemill_core::event::LiveEvent;
use filemill_core::file::File;
use filemill_core::finding::{Finding, FindingRecord};
use filemill_core::ids::{FileId, JobId, KeyId, UploadId};
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits::PAGE_MAX;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::*;
use filemill_core::record::{Record, RecordGroup, RecordKind, RecordOrder, RecordQuery};
use filemill_core::rule::RuleId;
use filemill_core::task::{ChunkRecord, Task, TaskId};
use filemill_core::time::Timestamp;
use filemill_core::upload::{Upload, UploadStatus};
use std::collections::BTreeMap;
use std::ops::Bound;

impl JobFilter<'_> {
    fn takes(&self, job: &Job) -> bool {
        let query = self.0;
        query.status.is_none_or(|s| s == job.status)
            && query.rule.as_ref().is_none_or(|r| *r == job.rule)
            && query.bucket.as_ref().is_none_or(|b| *b == job.input.bucket)
            && query.key.as_deref().is_none_or(|k| key_matches(k, &job.input.key))
            && query.upload.as_ref().is_none_or(|u| job.upload.as_ref() == Some(u))
            && query.reach.takes(&job.input.bucket, &job.input.key, job.owner.as_ref())
            && query.after.as_ref().is_none_or(|after| job.id < *after)
    }
}

struct JobFilter<'a>(&'a JobQuery);

fn key_matches(wanted: &str, key: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => key.starts_with(prefix),
        None => key == wanted,
    }
}

fn page<T>(mut found: impl Iterator<Item = T>, limit: u32) -> Page<T> {
    let items: Vec<T> = found.by_ref().take(limit as usize).collect();
    Page { items, more: found.next().is_some() }
}

fn files(tables: &Tables, query: &FileQuery) -> Page<File> {
    let is_wanted = |f: &&File| {
        f.removed_at.is_none()
            && query.bucket.as_ref().is_none_or(|b| *b == f.bucket)
            && query.prefix.as_deref().is_none_or(|p| f.key.starts_with(p))
            && query.reach.takes(&f.bucket, &f.key, f.owner.as_ref())
            && query.after.as_ref().is_none_or(|(b, k)| (&f.bucket, &f.key) > (b, k))
    };
    let mut found: Vec<&File> = tables.files.values().filter(is_wanted).collect();
    found.sort_by(|a, b| (&a.bucket, &a.key).cmp(&(&b.bucket, &b.key)));
    page(found.into_iter().cloned(), query.limit)
}

fn is_found(query: &FindingQuery, found: &FindingRecord) -> bool {
    query.processor.as_ref().is_none_or(|p| *p == found.processor)
        && query.label.as_ref().is_none_or(|l| *l == found.finding.label)
        && query.bucket.as_ref().is_none_or(|b| *b == found.bucket)
        && query.key.as_deref().is_none_or(|k| key_matches(k, &found.key))
        && query.since.is_none_or(|since| found.at >= since)
        && query.until.is_none_or(|until| found.at < until)
        && query.reach.takes(&found.bucket, &found.key, found.owner.as_ref())
}

fn summary<'a>(findings: impl Iterator<Item = &'a Finding>) -> FindingSummary {
    let mut summary = FindingSummary::default();
    let mut sums: BTreeMap<String, (f64, u64)> = BTreeMap::new();
    for finding in findings {
        summary.count += 1;
        *summary.labels.entry(finding.label.clone()).or_default() += 1;
        for (name, value) in &finding.values {
            let (sum, count) = sums.entry(name.clone()).or_default();
            (*sum, *count) = (*sum + value, *count + 1);
        }
    }
    summary.means = sums.into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect();
    summary
}

fn groups(found: impl Iterator<Item = Record>, by: &'static str, limit: u32) -> Vec<RecordGroup> {
    let mut groups: BTreeMap<String, RecordGroup> = BTreeMap::new();
    for mut record in found {
        let Some(value) = record.fields.remove(by) else { continue };
        let empty = || RecordGroup { value: value.clone(), count: 0, first: record.id.clone(), last: String::new() };
        let group = groups.entry(value.clone()).or_insert_with(empty);
        (group.count, group.last) = (group.count + 1, record.id);
    }
    let mut groups: Vec<RecordGroup> = groups.into_values().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    groups.truncate(limit as usize);
    groups
}

fn ended(tables: &Tables, since: Timestamp) -> BTreeMap<RuleId, EndedJobs> {
    let mut ended: BTreeMap<RuleId, EndedJobs> = BTreeMap::new();
    for job in tables.jobs.values().filter(|job| job.finished_at.is_some_and(|at| at >= since)) {
        let counts = ended.entry(job.rule.clone()).or_default();
        match job.status {
            JobStatus::Completed => counts.completed += 1,
            JobStatus::Failed => counts.failed += 1,
            _ => continue,
        }
        counts.throttled += u64::from(job.throttles > 0);
    }
    ended.retain(|_, counts| counts.completed + counts.failed > 0);
    ended
}

fn counts(tables: &Tables, now: Timestamp) -> StateCounts {
    let with_status = |status| tables.jobs.values().filter(|j| j.status == status).count() as u64;
    let ready = || tables.tasks.values().filter(|row| row.is_ready(now));
    StateCounts {
        jobs_queued: with_status(JobStatus::Queued),
        jobs_running: with_status(JobStatus::Running),
        tasks_ready: ready().count() as u64,
        tasks_leased: tables.tasks.values().filter(|row| row.is_running(now)).count() as u64,
        oldest_ready_at: ready().map(|row| row.task.ready_at).min(),
    }
}

impl World {
    fn chunks_of(&self, job: &JobId, run: u32) -> Vec<ChunkRecord> {
        let all = (job.clone(), run, 0)..=(job.clone(), run, u32::MAX);
        self.tables.chunks.range(all).map(|(_, c)| c.clone()).collect()
    }

    /// By id.
    fn records(&self, query: &RecordQuery) -> impl Iterator<Item = Record> {
        self.tables.records.values().filter(|record| query.takes(record)).cloned()
    }

    fn is_ended(&self, job: &JobId) -> bool {
        self.tables.jobs.get(job).is_none_or(Job::is_over)
    }

    fn expire(&mut self, expiry: &Expiry, limit: usize) -> Expired {
        let tables = &self.tables;
        let is_past = |at: Option<Timestamp>, before: Option<Timestamp>| at.zip(before).is_some_and(|(at, b)| at < b);
        let before = |j: &Job| if j.dead_letter.is_some() { expiry.jobs_with_letter } else { expiry.jobs };
        let jobs = tables.jobs.values().filter(|j| j.status.is_terminal() && is_past(j.finished_at, before(j)));
        let jobs: Vec<JobId> = jobs.map(|j| j.id.clone()).take(limit).collect();
        let events = tables.events.iter().take_while(|(_, event)| is_past(Some(event.at), expiry.events));
        let events: Vec<u64> = events.map(|(seq, _)| *seq).take(limit - jobs.len()).collect();
        let has_ended = |u: &&Upload| u.status != UploadStatus::Pending && is_past(Some(u.expires_at), expiry.uploads);
        let left = limit - jobs.len() - events.len();
        let uploads: Vec<UploadId> =
            tables.uploads.values().filter(has_ended).map(|u| u.id.clone()).take(left).collect();
        let files = tables.files.values().filter(|f| is_past(f.removed_at, expiry.removed_files));
        let files: Vec<FileId> = files.map(|f| f.id.clone()).take(left - uploads.len()).collect();
        let counts = [jobs.len(), events.len(), uploads.len(), files.len()].map(|n| n as u64);
        jobs.into_iter().for_each(|id| drop(self.set(|t| &mut t.jobs, id, None)));
        events.into_iter().for_each(|seq| drop(self.set(|t| &mut t.events, seq, None)));
        uploads.into_iter().for_each(|id| drop(self.set(|t| &mut t.uploads, id, None)));
        files.into_iter().for_each(|id| drop(self.set(|t| &mut t.files, id, None)));
        let [jobs, events, uploads, removed_files] = counts;
        Expired { jobs, events, uploads, removed_files }
    }

    fn clean(&mut self, events_kept: u64, limit: u32) -> u64 {
        let mut left = limit as usize;
        let tasks: Vec<TaskId> =
            self.tables.tasks.keys().filter(|id| self.is_ended(&id.job)).take(left).cloned().collect();
        left -= tasks.len();
        let chunks: Vec<_> = self.tables.chunks.keys().filter(|c| self.is_ended(&c.0)).take(left).cloned().collect();
        left -= chunks.len();
        let surveys: Vec<_> = self.tables.surveys.keys().filter(|s| self.is_ended(&s.0)).take(left).cloned().collect();
        left -= surveys.len();
        let too_many = self.tables.events.len().saturating_sub(usize::try_from(events_kept).unwrap_or(usize::MAX));
        let events: Vec<u64> = self.tables.events.keys().take(too_many.min(left)).copied().collect();
        let cleaned = tasks.len() + chunks.len() + surveys.len() + events.len();
        for id in tasks {
            self.set(|t| &mut t.tasks, id, None);
        }
        for id in chunks {
            self.set(|t| &mut t.chunks, id, None);
        }
        for id in surveys {
            self.set(|t| &mut t.surveys, id, None);
        }
        for seq in events {
            self.set(|t| &mut t.events, seq, None);
        }
        cleaned as u64
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn commit(&self, changes: ChangeSet, durability: Durability) -> Result<Committed, StateError> {
        let publishes = self.options.publishes;
        let min = self.options.min_part_bytes;
        let call = Call::commit(&changes);
        let committed = self.write(call, durability, |w, now| w.commit(changes, publishes, min, now)).await;
        self.announced.notify_waiters();
        committed
    }

    fn publishes(&self) -> bool {
        self.options.publishes
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, StateError> {
        self.read("job", |w, _| Ok(w.tables.jobs.get(id).cloned())).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<Job>, StateError> {
        self.read("jobs", |w, _| {
            let filter = JobFilter(query);
            Ok(page(w.tables.jobs.values().rev().filter(|j| filter.takes(j)).cloned(), query.limit))
        })
        .await
    }

    async fn open_jobs_of(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Job>, StateError> {
        self.read("open_jobs_of", |w, _| {
            let is_open = |j: &&Job| !j.status.is_terminal() && j.input.bucket == *bucket && j.input.key == *key;
            Ok(w.tables.jobs.values().filter(is_open).take(PAGE_MAX as usize).cloned().collect())
        })
        .await
    }

    async fn ended_jobs(&self, since: Timestamp) -> Result<BTreeMap<RuleId, EndedJobs>, StateError> {
        self.read("ended_jobs", |w, _| Ok(ended(&w.tables, since))).await
    }

    async fn task(&self, id: &TaskId) -> Result<Option<Task>, StateError> {
        self.read("task", |w, _| Ok(w.tables.tasks.get(id).map(|row| row.task.clone()))).await
    }

    async fn chunk(&self, job: &JobId, run: u32, index: u32) -> Result<Option<ChunkRecord>, StateError> {
        self.read("chunk", |w, _| Ok(w.tables.chunks.get(&(job.clone(), run, index)).cloned())).await
    }

    async fn chunks(&self, job: &JobId, run: u32) -> Result<Vec<ChunkRecord>, StateError> {
        self.read("chunks", |w, _| Ok(w.chunks_of(job, run))).await
    }

    async fn survey(&self, job: &JobId, run: u32) -> Result<Option<Survey>, StateError> {
        self.read("survey", |w, _| Ok(w.tables.surveys.get(&(job.clone(), run)).cloned())).await
    }

    async fn findings(&self, query: &FindingQuery) -> Result<Page<FindingRecord>, StateError> {
        self.read("findings", |w, _| {
            let is_behind = |f: &&FindingRecord| {
                query.after.as_ref().is_none_or(|(b, k, p)| (&f.bucket, &f.key, &f.processor) > (b, k, p))
            };
            Ok(page(w.tables.findings.values().filter(|f| is_found(query, f)).filter(is_behind).cloned(), query.limit))
        })
        .await
    }

    async fn finding_summary(&self, query: &FindingQuery) -> Result<FindingSummary, StateError> {
        self.read("finding_summary", |w, _| {
            Ok(summary(w.tables.findings.values().filter(|f| is_found(query, f)).map(|f| &f.finding)))
        })
        .await
    }

    async fn record(&self, kind: RecordKind, id: &str) -> Result<Option<Record>, StateError> {
        self.read("record", |w, _| Ok(w.tables.records.get(&(kind, id.to_owned())).cloned())).await
    }

    async fn records(&self, query: &RecordQuery) -> Result<Page<Record>, StateError> {
        self.read("records", |w, _| {
            let mut found: Vec<Record> = w.records(query).collect();
            if query.order == RecordOrder::NewestFirst {
                found.reverse();
            }
            let is_behind = |record: &Record| match (query.order, &query.after) {
                (_, None) => true,
                (RecordOrder::NewestFirst, Some(after)) => record.id < *after,
                (RecordOrder::OldestFirst, Some(after)) => record.id > *after,
            };
            Ok(page(found.into_iter().filter(is_behind), query.limit))
        })
        .await
    }

    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StateError> {
        self.read("record_count", |w, _| Ok(w.records(query).count() as u64)).await
    }

    async fn record_groups(&self, query: &RecordQuery, by: &'static str) -> Result<Vec<RecordGroup>, StateError> {
        self.read("record_groups", |w, _| Ok(groups(w.records(query), by, query.limit))).await
    }

    async fn due_records(&self, kind: RecordKind, before: Timestamp, limit: u32) -> Result<Vec<Record>, StateError> {
        self.read("due_records", |w, _| {
            let is_due = |r: &&Record| r.kind == kind && r.due_at.is_some_and(|at| at < before);
            let mut due: Vec<Record> = w.tables.records.values().filter(is_due).cloned().collect();
            due.sort_by(|a, b| (a.due_at, &a.id).cmp(&(b.due_at, &b.id)));
            due.truncate(limit as usize);
            Ok(due)
        })
        .await
    }

    async fn file(&self, id: &FileId) -> Result<Option<File>, StateError> {
        self.read("file", |w, _| Ok(w.tables.files.get(id).cloned())).await
    }

    async fn files(&self, query: &FileQuery) -> Result<Page<File>, StateError> {
        self.read("files", |w, _| Ok(files(&w.tables, query))).await
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<Upload>, StateError> {
        self.read("upload", |w, _| Ok(w.tables.uploads.get(id).cloned())).await
    }

    async fn upload_for(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        by: Option<&KeyId>,
    ) -> Result<Option<Upload>, StateError> {
        self.read("upload_for", |w, _| {
            let is_its = |u: &Upload| u.bucket == *bucket && u.key == *key && u.by.as_ref() == by;
            let is_wanted = |u: &&Upload| u.status != UploadStatus::Received && is_its(u);
            Ok(w.tables.uploads.values().rev().find(is_wanted).cloned())
        })
        .await
    }

    async fn overdue_uploads(&self, before: Timestamp, limit: u32) -> Result<Vec<Upload>, StateError> {
        self.read("overdue_uploads", |w, _| {
            let is_overdue = |u: &&Upload| u.status == UploadStatus::Pending && u.expires_at < before;
            Ok(w.tables.uploads.values().filter(is_overdue).take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn stranded_jobs(&self, limit: u32) -> Result<Vec<Job>, StateError> {
        self.read("stranded_jobs", |w, _| {
            let has_task = |job: &JobId| {
                let from = Bound::Included(TaskId::plan(job, 0));
                w.tables.tasks.range((from, Bound::Unbounded)).next().is_some_and(|(id, _)| id.job == *job)
            };
            let stranded = w.tables.jobs.values().filter(|j| !j.status.is_terminal() && !has_task(&j.id));
            Ok(stranded.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn expire(&self, expiry: &Expiry, limit: u32) -> Result<Expired, StateError> {
        self.write("expire", Durability::Lazy, |w, _| Ok(w.expire(expiry, limit as usize))).await
    }

    async fn clean(&self, events_kept: u64, limit: u32) -> Result<u64, StateError> {
        self.write("clean", Durability::Lazy, |w, _| Ok(w.clean(events_kept, limit))).await
    }

    async fn events_after(&self, seq: u64, limit: u32) -> Result<Vec<LiveEvent>, StateError> {
        self.read("events_after", |w, _| {
            let later = w.tables.events.range((Bound::Excluded(seq), Bound::Unbounded)).take(limit as usize);
            Ok(later.map(|(seq, event)| LiveEvent { seq: Some(*seq), event: event.clone() }).collect())
        })
        .await
    }

    async fn last_event(&self) -> Result<u64, StateError> {
        self.read("last_event", |w, _| Ok(w.tables.counters.get(&crate::world::Counter::Event).copied().unwrap_or(0)))
            .await
    }

    async fn counts(&self) -> Result<StateCounts, StateError> {
        self.read("counts", |w, now| Ok(counts(&w.tables, now))).await
    }
}
