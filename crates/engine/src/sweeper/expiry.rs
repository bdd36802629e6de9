//! Objects of a bucket whose `expire_after` has passed are removed by an ordinary deletion, which is announced as any other.
//!
//! A page of each such bucket at a time, then a rest once it was looked through. Spared are objects that an
//! open job reads, until it has ended, and versions that ingest has not recorded yet.

use super::Swept;
use crate::Engine;
use crate::error::CommandError;
use filemill_core::archive::ARCHIVE_KIND;
use filemill_core::file::File;
use filemill_core::ids::FileId;
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits;
use filemill_core::object::{BucketName, ObjectInfo};
use filemill_core::ports::{BlobError, JobQuery, ListObjects, Precondition, StateError};
use filemill_core::time::Timestamp;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Objects of a bucket looked at in one go.
const PAGE: u32 = 1000;
/// Objects looked up at a time: everybody else's look-ups wait for as many.
const CHECKED_AT_A_TIME: usize = 16;
/// Objects removed at a time: they share a sync, so on a slow disk this bounds the pace.
const REMOVED_AT_A_TIME: usize = 64;
/// A bucket that was looked through is not looked at again before a hundredth of its time has passed, within these.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(3600);

/// How far each bucket was looked through. In memory: after a restart it begins anew.
#[derive(Default)]
pub(crate) struct Cursors(Mutex<BTreeMap<BucketName, Cursor>>);

#[derive(Clone, Default)]
struct Cursor {
    after: Option<String>,
    rests_until: Timestamp,
    /// What listing cost since the beginning of the bucket.
    looked_for: Duration,
}

impl Cursors {
    fn all(&self) -> MutexGuard<'_, BTreeMap<BucketName, Cursor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn expire_objects(engine: &Engine) -> Result<Swept, CommandError> {
    let mut swept = Swept::All;
    for (bucket, settings) in &engine.inner.config.buckets {
        if let Some(expire_after) = settings.expire_after {
            swept = swept.and(expire_page(engine, bucket, expire_after).await?);
        }
    }
    Ok(swept)
}

async fn expire_page(engine: &Engine, bucket: &BucketName, expire_after: Duration) -> Result<Swept, CommandError> {
    let cursors = &engine.inner.expiry;
    let cursor = cursors.all().get(bucket).cloned().unwrap_or_default();
    let now = engine.now();
    if now < cursor.rests_until {
        return Ok(Swept::All);
    }
    let query = ListObjects {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        owner: None,
        after: cursor.after,
        limit: PAGE,
    };
    let page = match engine.inner.ports.blobs.list(&query).await {
        Err(BlobError::NotFound(_)) => return Ok(Swept::All),
        other => other?,
    };
    let looked_for = cursor.looked_for + engine.now().since(now);
    let born_before = now.minus(expire_after);
    let overdue: Vec<ObjectInfo> = page.objects.into_iter().filter(|o| o.modified_at < born_before).collect();
    if !overdue.is_empty() {
        let archives_since = oldest_archive_job(engine, bucket).await?;
        // archive jobs name their files in their input; one that was there first may name this one
        let may_go = |due_at: Timestamp| archives_since.is_none_or(|since| since >= due_at);
        let due = overdue.into_iter().filter(|object| may_go(object.modified_at.plus(expire_after)));
        let checks: Vec<_> = due.map(|object| if_nobody_needs(engine, object)).collect();
        let free: Vec<_> = stream::iter(checks).buffer_unordered(CHECKED_AT_A_TIME).try_collect().await?;
        let removals: Vec<_> = free.into_iter().flatten().map(|object| remove(engine, object)).collect();
        stream::iter(removals).buffer_unordered(REMOVED_AT_A_TIME).try_collect::<()>().await?;
    }
    let (next, swept) = match page.next {
        Some(after) => (Cursor { after: Some(after), looked_for, ..Cursor::default() }, Swept::More),
        None => {
            // looking costs a quarter of the time at most; removing is no reason to rest
            let rest = (expire_after / 100).clamp(REST_MIN, REST_MAX).max(looked_for * 3);
            (Cursor { rests_until: engine.now().plus(rest), ..Cursor::default() }, Swept::All)
        }
    };
    cursors.all().insert(bucket.clone(), next);
    Ok(swept)
}

async fn if_nobody_needs(engine: &Engine, object: ObjectInfo) -> Result<Option<ObjectInfo>, CommandError> {
    let is_needed = !is_recorded(engine, &object).await? || is_read(engine, &object).await?;
    Ok((!is_needed).then_some(object))
}

async fn remove(engine: &Engine, object: ObjectInfo) -> Result<(), CommandError> {
    let condition = Precondition::IfSequencer(object.sequencer.clone());
    match engine.inner.ports.blobs.delete(&object.bucket, &object.key, condition).await {
        Ok(Some(_)) => {
            metrics::counter!("filemill_expired_total", "what" => "object").increment(1);
            tracing::info!(bucket = %object.bucket, key = %object.key, "object expired");
            Ok(())
        }
        // another sweeper was faster, or a newer version came
        Ok(None) | Err(BlobError::NotFound(_) | BlobError::Conflict(_)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Its jobs are born with its record; before that nobody knows who reads it.
async fn is_recorded(engine: &Engine, object: &ObjectInfo) -> Result<bool, StateError> {
    let file = engine.inner.ports.state.file(&FileId::of(&object.bucket, &object.key)).await?;
    let is_this = |file: &File| file.sequencer == object.sequencer && file.removed_at.is_none();
    Ok(file.as_ref().is_some_and(is_this))
}

async fn is_read(engine: &Engine, object: &ObjectInfo) -> Result<bool, StateError> {
    Ok(!engine.inner.ports.state.open_jobs_of(&object.bucket, &object.key).await?.is_empty())
}

/// When the oldest open job was born that may read any object of this bucket. More of them than a page counts as the
/// beginning of time: then nothing expires until there are fewer.
async fn oldest_archive_job(engine: &Engine, bucket: &BucketName) -> Result<Option<Timestamp>, StateError> {
    let rules = engine.inner.config.rules.all().iter().filter(|rule| rule.process.kind == ARCHIVE_KIND);
    let mut oldest: Option<Timestamp> = None;
    for rule in rules {
        for status in [JobStatus::Queued, JobStatus::Running] {
            let (status, rule) = (Some(status), Some(rule.id.clone()));
            let query = JobQuery { status, rule, limit: limits::PAGE_MAX, ..JobQuery::default() };
            let page = engine.inner.ports.state.jobs(&query).await?;
            if page.more {
                return Ok(Some(Timestamp::ZERO));
            }
            let may_read = |job: &&Job| job.sources.as_ref().is_none_or(|allowed| allowed.contains(bucket));
            let born = page.items.iter().filter(may_read).map(|job| job.created_at).min();
            oldest = oldest.into_iter().chain(born).min();
        }
    }
    Ok(oldest)
}
