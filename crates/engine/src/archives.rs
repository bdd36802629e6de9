//! Orders to make an archive. An order becomes a manifest object, which starts its rule as any object would; so it
//! survives a crash, is retried and is told of like every other job.

use crate::commands::key_within;
use crate::error::CommandError;
use crate::{Engine, ingest};
use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::archive::{ARCHIVE_KIND, ArchiveFile, ArchiveManifest, skips_missing};
use filemill_core::ids::UploadId;
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits;
use filemill_core::object::{Attributes, BucketName, ObjectRef};
use filemill_core::ports::{
    BlobError, Change, ChangeSet, Durability, JobQuery, Precondition, PutObject, SourceName, Staged,
};
use filemill_core::rule::{Rule, RuleId};
use filemill_core::size::json_bytes;
use filemill_core::upload::{Upload, UploadMode, UploadStatus};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

/// Sources looked up side by side.
const LOOKUPS: usize = 32;

/// Batches of announcements that may wait before the order's own.
const BACKLOG_MAX: u32 = 1000;

/// A wish for an archive, parsed at the door.
#[derive(Clone, Debug)]
pub struct NewArchive {
    pub files: ArchiveContent,
    pub name: Option<String>,
    pub metadata: Map<String, Value>,
    /// `None`: the first rule that makes archives.
    pub rule: Option<RuleId>,
}

#[derive(Clone, Debug)]
pub enum ArchiveContent {
    Files(Vec<ArchiveFile>),
    /// The results of all completed jobs that the query finds, whatever its limit; each under its key.
    ResultsOf(JobQuery),
}

impl Engine {
    /// The job that makes the archive. Sources are pinned to the versions that are there now; one that is missing is
    /// refused here, unless the rule skips such.
    pub async fn create_archive(&self, who: &Principal, new: NewArchive) -> Result<Job, CommandError> {
        let rule = self.archive_rule(who, new.rule.as_ref())?;
        let manifest = match new.files {
            ArchiveContent::ResultsOf(query) => {
                manifest_of(self.results_of(who, &rule, query).await?, new.name, new.metadata)?
            }
            ArchiveContent::Files(files) => {
                let mut manifest = manifest_of(files, new.name, new.metadata)?;
                manifest.files = self.pinned(who, &rule, manifest.files).await?;
                manifest
            }
        };
        let text = serde_json::to_vec(&manifest).map_err(|e| CommandError::Internal(Box::new(e)))?;
        if text.len() as u64 > limits::ARCHIVE_MANIFEST_BYTES_MAX {
            let message = format!("its manifest has more than {} bytes", limits::ARCHIVE_MANIFEST_BYTES_MAX);
            return Err(CommandError::invalid("files", message));
        }
        if json_bytes(&manifest.metadata) > limits::JOB_METADATA_BYTES_MAX {
            let message = format!("more than {} bytes of JSON", limits::JOB_METADATA_BYTES_MAX);
            return Err(CommandError::invalid("metadata", message));
        }
        let upload = self.promise_manifest(who, &rule, manifest.metadata).await?;
        self.store_manifest(&upload, text).await?;
        self.job_of_upload(&upload.id).await
    }

    fn archive_rule(&self, who: &Principal, wanted: Option<&RuleId>) -> Result<Arc<Rule>, CommandError> {
        let rules = &self.inner.config.rules;
        let makes_archives = |rule: &&Arc<Rule>| rule.process.kind == ARCHIVE_KIND;
        match wanted {
            Some(id) => {
                let rule = rules
                    .get(id)
                    .filter(|rule| who.reach.touches(&rule.from))
                    .ok_or_else(|| CommandError::not_found("rule", id))?;
                let message = format!("rule {id} makes no archives: its process is {}", rule.process.kind);
                Some(rule).filter(makes_archives).cloned().ok_or_else(|| CommandError::invalid("rule", message))
            }
            None => self.rules(who).filter(|rule| rule.enabled).find(makes_archives).cloned().ok_or_else(|| {
                let message = format!(
                    "no rule within your reach makes archives; one has process = {{ kind = \"{ARCHIVE_KIND}\" }}"
                );
                CommandError::invalid("rule", message)
            }),
        }
    }

    /// Each file with the version that is there now.
    async fn pinned(
        &self,
        who: &Principal,
        rule: &Rule,
        files: Vec<ArchiveFile>,
    ) -> Result<Vec<ArchiveFile>, CommandError> {
        let skips = skips_missing(&rule.process);
        let lookups = files.into_iter().enumerate().map(|(index, file)| async move {
            let name = SourceName::parse(&file.source)
                .map_err(|e| CommandError::invalid("files", format!("files[{index}].source: {e}")))?;
            match self.version_of(who, rule, &name).await? {
                Some(etag) => Ok(ArchiveFile { etag: file.etag.or(Some(etag)), ..file }),
                None if skips => Ok(file),
                None => {
                    let message = format!("files[{index}].source: there is no {name}");
                    Err(CommandError::invalid("files", message))
                }
            }
        });
        stream::iter(lookups).buffered(LOOKUPS).try_collect().await
    }

    /// `None` also where the rule, or who orders, may not read it: nobody can tell which.
    async fn version_of(
        &self,
        who: &Principal,
        rule: &Rule,
        name: &SourceName,
    ) -> Result<Option<String>, CommandError> {
        let bucket = name.bucket.as_ref().unwrap_or(&self.inner.config.default_bucket);
        let is_named = rule.sources.as_ref().is_none_or(|allowed| allowed.contains(bucket));
        if !is_named || !self.is_readable_for(who, rule, bucket, &name.key) {
            return Ok(None);
        }
        match self.inner.ports.blobs.head(bucket, &name.key).await {
            Ok(info) if !who.reach.owns(info.attributes.owner.as_ref()) => Ok(None),
            Ok(info) => Ok(Some(info.etag.as_str().to_owned())),
            Err(BlobError::NotFound(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn is_readable_for(&self, who: &Principal, rule: &Rule, bucket: &BucketName, key: &str) -> bool {
        who.reach.covers(bucket, key) && self.tenant_of(bucket) == self.tenant_of(&rule.from)
    }

    /// The newest result of each key that is still there. Archives go into an archive only if their rule is named.
    async fn results_of(
        &self,
        who: &Principal,
        rule: &Rule,
        mut query: JobQuery,
    ) -> Result<Vec<ArchiveFile>, CommandError> {
        query.reach = who.reach.clone();
        query.status = Some(JobStatus::Completed);
        query.limit = limits::PAGE_MAX;
        let takes_archives = query.rule.is_some();
        let (mut seen, mut files) = (BTreeSet::new(), Vec::new());
        loop {
            let page = self.inner.ports.state.jobs(&query).await?;
            query.after = page.items.last().map(|job| job.id.clone());
            let wanted = page.items.into_iter().filter(|job| takes_archives || job.process.kind != ARCHIVE_KIND);
            let outputs = wanted.filter_map(|job| job.output);
            let readable = outputs.filter(|o| self.is_readable_for(who, rule, &o.bucket, &o.key));
            let newest = readable.filter(|o| seen.insert((o.bucket.clone(), o.key.clone())));
            let there = stream::iter(newest.map(|output| self.if_there(output))).buffered(LOOKUPS);
            files.extend(there.try_collect::<Vec<_>>().await?.into_iter().flatten());
            if !page.more || files.len() > limits::ARCHIVE_ENTRIES_MAX {
                break;
            }
        }
        if files.is_empty() {
            return Err(CommandError::invalid("jobs", "none of the selected jobs has a result"));
        }
        Ok(files)
    }

    async fn if_there(&self, output: ObjectRef) -> Result<Option<ArchiveFile>, CommandError> {
        match self.inner.ports.blobs.head(&output.bucket, &output.key).await {
            Ok(info) if info.etag == output.etag => Ok(Some(ArchiveFile {
                source: format!("s3://{}/{}", output.bucket, output.key),
                destination: Some(output.key.to_string()),
                etag: Some(output.etag.as_str().to_owned()),
            })),
            Ok(_) | Err(BlobError::NotFound(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Binds the manifest that is about to be stored to its rule.
    async fn promise_manifest(
        &self,
        who: &Principal,
        rule: &Rule,
        metadata: Map<String, Value>,
    ) -> Result<Upload, CommandError> {
        let now = self.now();
        let id = UploadId::new(now, self.inner.ports.chance.bytes());
        let key = key_within(who, &rule.from, &format!("archives/{id}.json"));
        let key = key.map_err(|e| CommandError::invalid("rule", e.to_string()))?;
        let upload = Upload {
            id,
            status: UploadStatus::Pending,
            bucket: rule.from.clone(),
            key,
            mode: UploadMode::Put,
            rule: Some(rule.id.clone()),
            options: Map::new(),
            metadata,
            multipart: None,
            notify: Vec::new(),
            is_order: true,
            by: who.key.clone(),
            created_at: now,
            expires_at: now.plus(self.inner.config.upload_link_ttl),
        };
        let ordered = json!({ "rule": rule.id });
        let audited = self.audited_at(who, &rule.from, "archive.create", &upload.id, ordered);
        let changes = ChangeSet::new().with(Change::InsertUpload(upload.clone())).with(audited);
        self.inner.ports.state.commit(changes, Durability::Synced).await?;
        Ok(upload)
    }

    async fn store_manifest(&self, upload: &Upload, text: Vec<u8>) -> Result<(), CommandError> {
        let blobs = self.inner.ports.blobs.clone();
        let work = move || -> Result<Staged, BlobError> {
            if text.len() as u64 <= limits::INLINE_BYTES_MAX {
                return Ok(Staged::inline(Bytes::from(text)));
            }
            let mut stage = blobs.stage(Some(text.len() as u64))?;
            stage.write_all(&text).map_err(BlobError::unavailable)?;
            stage.finish()
        };
        let staged = self.inner.ports.compute.run(work).await.map_err(|e| CommandError::Internal(Box::new(e)))??;
        let put = PutObject {
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            attributes: Attributes {
                content_type: Some("application/json".into()),
                owner: upload.by.clone(),
                ..Attributes::default()
            },
            checksums: Default::default(),
            etag: None,
            condition: Precondition::IfAbsent,
        };
        self.inner.ports.blobs.put(put, staged, Durability::Synced).await?;
        Ok(())
    }

    /// Born by ingest, here or elsewhere.
    async fn job_of_upload(&self, id: &UploadId) -> Result<Job, CommandError> {
        let query = JobQuery { upload: Some(id.clone()), limit: 1, ..JobQuery::default() };
        for _ in 0..BACKLOG_MAX {
            if let Some(job) = self.inner.ports.state.jobs(&query).await?.items.pop() {
                return Ok(job);
            }
            ingest::pass(self).await?;
        }
        let message = "the archive was ordered but its job is not there yet; look for it by its upload in a moment";
        Err(CommandError::Conflict { code: "conflict", message: format!("{message}: {id}") })
    }
}

fn manifest_of(
    files: Vec<ArchiveFile>,
    name: Option<String>,
    metadata: Map<String, Value>,
) -> Result<ArchiveManifest, CommandError> {
    let manifest = ArchiveManifest { files, name, metadata };
    manifest.check().map_err(|e| CommandError::invalid("files", e))?;
    Ok(manifest)
}
