//! What doors may ask. Reads only, but for the list of files, which records first what was announced.

use crate::error::CommandError;
use crate::{Engine, EngineConfig, ingest};
use filemill_core::access::{Principal, TenantName};
use filemill_core::file::File;
use filemill_core::finding::FindingRecord;
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::job::{Job, JobStatus, Target};
use filemill_core::key_template::KeyParts;
use filemill_core::matching::Subject;
use filemill_core::object::{BucketName, ObjectKey, ObjectRef};
use filemill_core::ports::{
    BlobError, Damage, FileQuery, FindingQuery, FindingSummary, JobQuery, Page, PresignAction, PresignRequest,
    ProcessorSpec, StateCounts, StoreUsage,
};
use filemill_core::rule::Rule;
use filemill_core::time::Timestamp;
use filemill_core::upload::Upload;
use std::collections::BTreeSet;
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

    pub fn rules(&self, who: &Principal) -> impl Iterator<Item = &Arc<Rule>> {
        self.inner.config.rules.all().iter().filter(|rule| who.reach.touches(&rule.from))
    }

    /// Whose it is, and all that is made of it.
    pub fn tenant_of(&self, bucket: &BucketName) -> TenantName {
        self.inner.tenancy.of(bucket)
    }

    /// Those that everybody's copy of this version has.
    pub fn built_in_processors(&self) -> impl Iterator<Item = &ProcessorSpec> + '_ {
        self.inner.ports.processors.built_in_specs()
    }

    /// What an operator defined is told to those whose rules use it.
    pub fn processors(&self, who: &Principal) -> impl Iterator<Item = &ProcessorSpec> {
        let used: BTreeSet<&str> = self.rules(who).map(|rule| rule.process.kind.as_str()).collect();
        let built_in: BTreeSet<String> = self.built_in_processors().map(|spec| spec.kind.to_string()).collect();
        let sees_all = who.reach.is_everything();
        let is_told = move |spec: &&ProcessorSpec| {
            let kind: &str = &spec.kind;
            sees_all || built_in.contains(kind) || used.contains(kind)
        };
        self.inner.ports.processors.specs().filter(is_told)
    }

    pub async fn job(&self, who: &Principal, id: &JobId) -> Result<Job, CommandError> {
        let job = self.inner.ports.state.job(id).await?;
        let is_within = |job: &Job| who.reach.takes(&job.input.bucket, &job.input.key, job.owner.as_ref());
        job.filter(is_within).ok_or_else(|| CommandError::not_found("job", id))
    }

    /// Whoever has just sent an upload looks for its jobs at once: where there are none yet, what is announced is recorded
    /// first, up to one batch.
    pub async fn jobs(&self, who: &Principal, query: JobQuery) -> Result<Page<Job>, CommandError> {
        let query = &JobQuery { reach: who.reach.clone(), ..query };
        let page = self.inner.ports.state.jobs(query).await?;
        if !page.items.is_empty() || query.upload.is_none() || query.after.is_some() {
            return Ok(page);
        }
        let _told_by_ingest = ingest::pass(self).await;
        Ok(self.inner.ports.state.jobs(query).await?)
    }

    pub async fn file(&self, who: &Principal, id: &FileId) -> Result<File, CommandError> {
        let file = self.inner.ports.state.file(id).await?.filter(|f| f.removed_at.is_none());
        let file = file.filter(|file| who.reach.takes(&file.bucket, &file.key, file.owner.as_ref()));
        file.ok_or_else(|| CommandError::not_found("file", id))
    }

    /// Announced objects are recorded before the list is made, up to one batch: who saw a job complete looks for its
    /// result at once. Ingest tells what is wrong with announcements; the list does not.
    pub async fn files(&self, who: &Principal, query: FileQuery) -> Result<Page<File>, CommandError> {
        let _told_by_ingest = ingest::pass(self).await;
        Ok(self.inner.ports.state.files(&FileQuery { reach: who.reach.clone(), ..query }).await?)
    }

    pub async fn upload(&self, who: &Principal, id: &UploadId) -> Result<Upload, CommandError> {
        let upload = self.inner.ports.state.upload(id).await?;
        let is_within = |upload: &Upload| who.reach.takes(&upload.bucket, &upload.key, upload.by.as_ref());
        upload.filter(is_within).ok_or_else(|| CommandError::not_found("upload", id))
    }

    /// A link to the job's result. `Conflict` with code `no_result` unless the job is completed and its result is still
    /// the one under its key.
    pub async fn result_link(&self, who: &Principal, id: &JobId) -> Result<Link, CommandError> {
        let job = self.job(who, id).await?;
        match (&job.output, job.status) {
            (Some(output), JobStatus::Completed) => {
                self.need_unchanged(output, "result", "no_result", id).await?;
                self.download_link_to(who, &output.bucket, &output.key, job.result_name.as_deref())
            }
            (_, status) => Err(CommandError::Conflict {
                code: "no_result",
                message: format!("job {id} is {status}; only a completed job has a result"),
            }),
        }
    }

    /// A link to the records that the job set aside. `Conflict` with code `no_rejects` if there are none, or not yet.
    pub async fn rejects_link(&self, who: &Principal, id: &JobId) -> Result<Link, CommandError> {
        let job = self.job(who, id).await?;
        let Some(file) = &job.reject_file else {
            let message = format!("job {id} is {} and has no reject file", job.status);
            return Err(CommandError::Conflict { code: "no_rejects", message });
        };
        self.need_unchanged(file, "reject file", "no_rejects", id).await?;
        self.download_link_to(who, &file.bucket, &file.key, None)
    }

    /// What the job wrote must still be what lies under its key.
    async fn need_unchanged(
        &self,
        object: &ObjectRef,
        what: &'static str,
        code: &'static str,
        id: &JobId,
    ) -> Result<(), CommandError> {
        let there = self.inner.ports.blobs.head(&object.bucket, &object.key).await.map_err(|e| match e {
            BlobError::NotFound(_) => CommandError::not_found(what, id),
            e => e.into(),
        })?;
        if there.etag == object.etag {
            return Ok(());
        }
        let message = format!("the {what} of job {id} was replaced by a later one under the same key");
        Err(CommandError::Conflict { code, message })
    }

    pub async fn findings(&self, who: &Principal, query: FindingQuery) -> Result<Page<FindingRecord>, CommandError> {
        Ok(self.inner.ports.state.findings(&FindingQuery { reach: who.reach.clone(), ..query }).await?)
    }

    pub async fn finding_summary(&self, who: &Principal, query: FindingQuery) -> Result<FindingSummary, CommandError> {
        Ok(self.inner.ports.state.finding_summary(&FindingQuery { reach: who.reach.clone(), ..query }).await?)
    }

    /// What each rule would do with an object that arrives now. Nothing starts.
    pub fn explain(&self, who: &Principal, bucket: &BucketName, subject: Subject<'_>) -> Vec<Explained> {
        explain(self.rules(who), bucket, subject)
    }

    pub async fn download_link(&self, who: &Principal, id: &FileId) -> Result<Link, CommandError> {
        let file = self.file(who, id).await?;
        self.download_link_to(who, &file.bucket, &file.key, None)
    }

    /// A browser calls it `name`, or what its key ends in.
    fn download_link_to(
        &self,
        who: &Principal,
        bucket: &BucketName,
        key: &ObjectKey,
        name: Option<&str>,
    ) -> Result<Link, CommandError> {
        let file_name = name.or_else(|| key.rsplit('/').next()).filter(|n| !n.is_empty()).map(str::to_owned);
        let request = PresignRequest {
            bucket: bucket.clone(),
            key: key.clone(),
            action: PresignAction::Get { file_name },
            by: who.key.clone(),
            ttl: self.inner.config.download_link_ttl,
        };
        let signed = self.inner.ports.blobs.presign(&request, self.now())?;
        Ok(Link { url: signed.url, expires_at: signed.expires_at })
    }

    /// What scrubbing found damaged, behind the blob that `after` names.
    pub async fn damage(&self, after: Option<&str>, limit: u32) -> Result<Page<Damage>, CommandError> {
        let mut items = self.inner.ports.blobs.damage(after, limit + 1).await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        Ok(Page { items, more })
    }

    pub async fn health(&self) -> Result<Health, CommandError> {
        let (state, store) = tokio::join!(self.inner.ports.state.counts(), self.inner.ports.blobs.usage());
        Ok(Health { state: state?, store: store? })
    }
}

/// A rule and an object that does not need to exist.
#[derive(Clone, Debug)]
pub struct Explained {
    pub rule: Arc<Rule>,
    /// Why the rule does not start; `None` if it does.
    pub refusal: Option<String>,
    /// Where the result would go.
    pub target: Option<Target>,
}

pub fn explain<'a>(
    rules: impl Iterator<Item = &'a Arc<Rule>>,
    bucket: &BucketName,
    subject: Subject<'_>,
) -> Vec<Explained> {
    let explained = |rule: &Arc<Rule>| {
        let parts = KeyParts { bucket, key: subject.key, rule: rule.id.as_str() };
        let key = rule.output.key.key_for(parts);
        let refusal = match &key {
            _ if !rule.enabled => Some("it is not enabled".to_owned()),
            _ if *bucket != rule.from => Some(format!("it takes objects of {}", rule.from)),
            _ if !rule.pattern.matches(subject) => Some("its match says no".to_owned()),
            Err(e) => Some(format!("its output key cannot be made: {e}")),
            Ok(_) => None,
        };
        let target = key.ok().map(|key| Target { bucket: rule.output.bucket.clone(), key });
        Explained { rule: rule.clone(), refusal, target }
    };
    rules.map(explained).collect()
}
