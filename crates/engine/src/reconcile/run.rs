//! One run: every bucket's listing beside the records of its files, page by page, a breath between two pages.
//!
//! A page is judged as far as both sides were read. Suspects are put aside; when enough time has passed since the last one,
//! each is looked at again, alone, and repaired if it is still so.

use crate::Engine;
use crate::error::CommandError;
use crate::ingest::{self, Source};
use filemill_core::file::File;
use filemill_core::ids::FileId;
use filemill_core::limits;
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey, Sequencer};
use filemill_core::ports::{Announcement, AnnouncementKind, BlobError, FileQuery, ListObjects, ObjectList, is_newer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Objects and records read in one go.
const PAGE: u32 = 500;
/// Between two pages: at most 5,000 objects a second are looked at.
const BREATH: Duration = Duration::from_millis(100);
/// Suspects held until they are looked at again: 1 KiB each at most.
const SUSPECTS_MAX: usize = 10_000;
/// Differences that a report shows.
const EXAMPLES_MAX: usize = 20;
/// A run is given up when this many tries in a row failed; the schedule begins another.
const FAILURES_MAX: u32 = 5;
/// Repairs that are logged one by one.
const LOGGED_MAX: u64 = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileScope {
    /// `None`: all.
    pub bucket: Option<BucketName>,
    /// Only tell.
    pub is_dry_run: bool,
}

/// What an announcement should have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An object without a record of this version.
    UnknownObject,
    /// A record without an object.
    LostObject,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileReport {
    pub objects: u64,
    pub files: u64,
    pub unknown_objects: u64,
    pub lost_objects: u64,
    /// Of both; 0 in a dry run.
    pub repaired: u64,
    /// The first few.
    pub examples: Vec<(Difference, BucketName, ObjectKey)>,
}

impl Engine {
    /// One whole run, from the first bucket to the last. A step that fails is tried again, from where the run is.
    pub async fn reconcile(
        &self,
        scope: &ReconcileScope,
        tell: impl Fn(&ReconcileReport) + Send,
    ) -> Result<ReconcileReport, CommandError> {
        let at = scope.bucket.clone().map_or(At::Behind(None), |bucket| At::Within(bucket, None));
        let mut run = Run { at, ..Run::new(self, scope) };
        let mut failures = 0;
        loop {
            match run.step().await {
                Ok(true) => failures = 0,
                Ok(false) => break,
                Err(e) if failures == FAILURES_MAX => return Err(e),
                Err(_) => {
                    failures += 1;
                    self.inner.ports.clock.sleep(limits::OUTAGE_PAUSE).await;
                }
            }
            tell(&run.report);
        }
        let ReconcileReport { objects, files, repaired, .. } = run.report;
        tracing::debug!(objects, files, repaired, "buckets compared with their files");
        Ok(run.report)
    }
}

struct Run<'a> {
    engine: &'a Engine,
    scope: &'a ReconcileScope,
    report: ReconcileReport,
    at: At,
    /// What looked wrong at first, with the version that did.
    suspects: Suspects,
    /// Those that have had their time, to be looked at again.
    settled: Suspects,
}

type Suspects = BTreeMap<(BucketName, ObjectKey), (Difference, Sequencer)>;

/// The cursor.
#[derive(Clone)]
enum At {
    /// This bucket is done; `None`: none has begun.
    Behind(Option<BucketName>),
    /// In this bucket, behind this key.
    Within(BucketName, Option<ObjectKey>),
    End,
}

impl<'a> Run<'a> {
    fn new(engine: &'a Engine, scope: &'a ReconcileScope) -> Self {
        let (report, at) = (ReconcileReport::default(), At::Behind(None));
        Run { engine, scope, report, at, suspects: Suspects::new(), settled: Suspects::new() }
    }

    /// False where nothing is left to do.
    async fn step(&mut self) -> Result<bool, CommandError> {
        if let Some(((bucket, key), (difference, version))) = self.settled.first_key_value() {
            let (bucket, key, difference, version) = (bucket.clone(), key.clone(), *difference, version.clone());
            self.judge(&bucket, &key, difference, &version).await?;
            self.settled.remove(&(bucket, key));
            return Ok(true);
        }
        let is_end = matches!(self.at, At::End);
        if self.suspects.len() >= SUSPECTS_MAX || (is_end && !self.suspects.is_empty()) {
            // whatever is under way has arrived by then
            self.engine.inner.ports.clock.sleep(self.engine.inner.config.reconcile.settle).await;
            self.settled = std::mem::take(&mut self.suspects);
            return Ok(true);
        }
        match self.at.clone() {
            At::Behind(last) => self.at = self.bucket_behind(last.as_ref()).await?,
            At::Within(bucket, after) => self.page(bucket, after).await?,
            At::End => return Ok(false),
        }
        Ok(true)
    }

    /// Of the store's buckets, and of those that only records know.
    async fn bucket_behind(&self, last: Option<&BucketName>) -> Result<At, CommandError> {
        if last.is_some() && self.scope.bucket.is_some() {
            return Ok(At::End);
        }
        let ports = &self.engine.inner.ports;
        let stored = ports.blobs.buckets().await?.into_iter().map(|bucket| bucket.name);
        let stored = stored.filter(|name| last.is_none_or(|last| name > last)).min();
        let after = last.map(|last| (last.clone(), last_key()));
        let recorded = ports.state.files(&FileQuery { after, limit: 1, ..FileQuery::default() }).await?;
        let recorded = recorded.items.into_iter().next().map(|file| file.bucket);
        Ok(stored.into_iter().chain(recorded).min().map_or(At::End, |bucket| At::Within(bucket, None)))
    }

    async fn page(&mut self, bucket: BucketName, after: Option<ObjectKey>) -> Result<(), CommandError> {
        let listed = self.listed(&bucket, after.as_ref()).await?;
        let (files, next) = self.recorded(&bucket, after.as_ref()).await?;
        // as far as both sides were read
        let end = [listed.next.as_deref(), next.as_deref()].into_iter().flatten().min().map(str::to_owned);
        self.compare(&bucket, listed, files, end.as_deref());
        self.at = match end.as_deref().map(ObjectKey::parse).transpose() {
            Ok(Some(end)) => At::Within(bucket, Some(end)),
            Ok(None) => At::Behind(Some(bucket)),
            Err(e) => return Err(CommandError::Internal(Box::new(e))),
        };
        self.engine.inner.ports.clock.sleep(BREATH).await;
        Ok(())
    }

    async fn listed(&self, bucket: &BucketName, after: Option<&ObjectKey>) -> Result<ObjectList, CommandError> {
        let query = ListObjects {
            owner: None,
            bucket: bucket.clone(),
            prefix: String::new(),
            delimiter: None,
            after: after.map(|key| key.to_string()),
            limit: PAGE,
        };
        match self.engine.inner.ports.blobs.list(&query).await {
            // a bucket that is gone has no objects
            Err(BlobError::NotFound(_)) => Ok(ObjectList::default()),
            other => Ok(other?),
        }
    }

    /// With the last key, if there are more behind it.
    async fn recorded(
        &self,
        bucket: &BucketName,
        after: Option<&ObjectKey>,
    ) -> Result<(Vec<File>, Option<String>), CommandError> {
        let after = after.map(|key| (bucket.clone(), key.clone()));
        let query = FileQuery { bucket: Some(bucket.clone()), after, limit: PAGE, ..FileQuery::default() };
        let page = self.engine.inner.ports.state.files(&query).await?;
        let next = page.items.last().filter(|_| page.more).map(|file| file.key.to_string());
        Ok((page.items, next))
    }

    fn compare(&mut self, bucket: &BucketName, listed: ObjectList, files: Vec<File>, end: Option<&str>) {
        let is_read = |key: &str| end.is_none_or(|end| key <= end);
        let objects: BTreeMap<ObjectKey, ObjectInfo> =
            listed.objects.into_iter().filter(|o| is_read(&o.key)).map(|o| (o.key.clone(), o)).collect();
        let files: BTreeMap<ObjectKey, File> =
            files.into_iter().filter(|f| is_read(&f.key)).map(|f| (f.key.clone(), f)).collect();
        self.report.objects += objects.len() as u64;
        self.report.files += files.len() as u64;
        let keys: BTreeSet<&ObjectKey> = objects.keys().chain(files.keys()).collect();
        for key in keys {
            let suspect = match (objects.get(key), files.get(key)) {
                (Some(object), file) if is_newer(&object.sequencer, file.map(|f| &f.sequencer)) => {
                    (Difference::UnknownObject, object.sequencer.clone())
                }
                (None, Some(file)) => (Difference::LostObject, file.sequencer.clone()),
                _ => continue,
            };
            self.suspects.insert((bucket.clone(), key.clone()), suspect);
        }
    }

    /// Is it still so, of the very version that looked wrong? A later one has an announcement of its own under way.
    async fn judge(
        &mut self,
        bucket: &BucketName,
        key: &ObjectKey,
        difference: Difference,
        version: &Sequencer,
    ) -> Result<(), CommandError> {
        let ports = &self.engine.inner.ports;
        let file = ports.state.file(&FileId::of(bucket, key)).await?;
        let object = match ports.blobs.head(bucket, key).await {
            Ok(object) => Some(object),
            Err(BlobError::NotFound(_)) => None,
            Err(e) => return Err(e.into()),
        };
        match (difference, object, file) {
            (Difference::UnknownObject, Some(object), file)
                if object.sequencer == *version && is_newer(version, file.as_ref().map(|f| &f.sequencer)) =>
            {
                self.unknown_object(object).await
            }
            (Difference::LostObject, None, Some(file)) if file.sequencer == *version && file.removed_at.is_none() => {
                self.lost_object(&file).await
            }
            _ => Ok(()),
        }
    }

    async fn unknown_object(&mut self, object: ObjectInfo) -> Result<(), CommandError> {
        if !self.scope.is_dry_run {
            let is_new = ingest::record(self.engine, &announcement_of(&object), Source::Listing).await?;
            self.repaired(is_new, "object", &object.bucket, &object.key);
        }
        self.report.unknown_objects += 1;
        self.note(Difference::UnknownObject, &object.bucket, &object.key);
        Ok(())
    }

    async fn lost_object(&mut self, file: &File) -> Result<(), CommandError> {
        if !self.scope.is_dry_run {
            let is_new = ingest::record_gone(self.engine, file).await?;
            self.repaired(is_new, "file", &file.bucket, &file.key);
        }
        self.report.lost_objects += 1;
        self.note(Difference::LostObject, &file.bucket, &file.key);
        Ok(())
    }

    fn note(&mut self, difference: Difference, bucket: &BucketName, key: &ObjectKey) {
        if self.report.examples.len() < EXAMPLES_MAX {
            self.report.examples.push((difference, bucket.clone(), key.clone()));
        }
    }

    /// `what` was without its counterpart. Another engine may have been faster.
    fn repaired(&mut self, is_new: bool, what: &'static str, bucket: &BucketName, key: &ObjectKey) {
        if !is_new {
            return;
        }
        self.report.repaired += 1;
        metrics::counter!("filemill_reconcile_repaired_total", "what" => what).increment(1);
        if self.report.repaired <= LOGGED_MAX {
            tracing::warn!(%bucket, %key, what, "no announcement told of a change; repaired from the listing");
        }
    }
}

/// As the store would have announced it: its time is part of the ids of the jobs that it starts.
fn announcement_of(object: &ObjectInfo) -> Announcement {
    Announcement {
        id: 0,
        kind: AnnouncementKind::Created,
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        size: object.size,
        etag: object.etag.clone(),
        sequencer: object.sequencer.clone(),
        content_type: object.attributes.content_type.clone(),
        origin: object.attributes.origin.clone(),
        owner: object.attributes.owner.clone(),
        at: object.modified_at,
    }
}

/// No key is behind it.
fn last_key() -> ObjectKey {
    let highest = char::MAX.to_string().repeat(limits::KEY_BYTES_MAX / char::MAX.len_utf8());
    ObjectKey::parse(&highest).expect("a key of the greatest length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_behind_the_last_one() {
        assert_eq!(last_key().len(), limits::KEY_BYTES_MAX);
    }
}
