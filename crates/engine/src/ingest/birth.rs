//! A job is born: which rules an object starts, and the job of each as it is first stored.
//!
//! Ids are derived from the object's version and the rule, so that a job that is born twice is one.

use crate::Engine;
use filemill_core::access::Reach;
use filemill_core::ids::{JobId, KeyId, OriginalId};
use filemill_core::job::{Failure, Job, JobStatus, Target};
use filemill_core::key_template::KeyParts;
use filemill_core::lifecycle;
use filemill_core::matching::Subject;
use filemill_core::object::{BucketName, ObjectRef};
use filemill_core::ports::{Announcement, ChangeSet};
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{Process, Rule};
use filemill_core::time::Timestamp;
use filemill_core::upload::Upload;
use std::sync::Arc;

/// The rule that the upload named, or all that match; each with the options to use.
pub(super) fn rules_for(engine: &Engine, a: &Announcement, upload: Option<&Upload>) -> Vec<(Arc<Rule>, Process)> {
    let rules = &engine.inner.config.rules;
    if let Some((upload, wanted)) = upload.and_then(|u| u.rule.as_ref().map(|r| (u, r))) {
        let Some(rule) = rules.get(wanted) else {
            tracing::warn!(upload = %upload.id, rule = %wanted, "an upload names a rule that is gone");
            return Vec::new();
        };
        if engine.inner.tenancy.of(&rule.from) != engine.inner.tenancy.of(&a.bucket) {
            tracing::warn!(upload = %upload.id, rule = %wanted, "an upload names a rule of another tenant");
            return Vec::new();
        }
        return vec![(rule.clone(), rule.process_with(&upload.options))];
    }
    let subject = Subject { key: &a.key, size: a.size, content_type: a.content_type.as_deref() };
    for rule in rules.passed_over(&a.bucket, subject, a.origin.as_ref()) {
        tracing::warn!(bucket = %a.bucket, key = %a.key, rule = %rule.id, "too many rules match; this one is not started");
    }
    let matching = rules.starting_from(&a.bucket, subject, a.origin.as_ref());
    matching.map(|rule| (rule.clone(), rule.process.clone())).collect()
}

/// What the job may read besides its input, as far as its owner may. Whoever can put a manifest into a bucket need not be
/// allowed to read all others; whoever orders by the API is.
pub(super) fn sources_of(engine: &Engine, rule: &Rule, upload: Option<&Upload>) -> Option<Vec<BucketName>> {
    let is_order = upload.is_some_and(|upload| upload.is_order);
    match &rule.sources {
        Some(named) => Some(named.clone()),
        None if is_order => None,
        None => Some(vec![rule.from.clone(), engine.inner.config.default_bucket.clone()]),
    }
}

/// What a job has from whoever brought its input.
pub(super) struct Heritage {
    pub sources: Option<Vec<BucketName>>,
    pub reader: Reach,
    pub owner: Option<KeyId>,
}

/// A job as it is first stored, and what keeps it from being begun.
pub(super) struct Birth {
    pub job: Job,
    pub obstacle: Option<Failure>,
}

impl Birth {
    pub fn changes(self, now: Timestamp) -> ChangeSet {
        match self.obstacle {
            None => lifecycle::create(self.job, now),
            Some(failure) => lifecycle::create_failed(self.job, failure, now),
        }
    }
}

/// The upload that this object is, or was made of.
pub(super) fn original_of(a: &Announcement) -> OriginalId {
    let known = a.origin.as_ref().and_then(|origin| origin.original.clone());
    known.unwrap_or_else(|| OriginalId::of(&a.bucket, &a.key, a.sequencer.as_str(), a.at))
}

/// The job of this object and rule.
pub(super) fn birth(
    a: &Announcement,
    rule: &Rule,
    process: Process,
    retry: RetryPolicy,
    heritage: Heritage,
    upload: Option<&Upload>,
) -> Birth {
    let Heritage { sources, reader, owner } = heritage;
    let parts = KeyParts { bucket: &a.bucket, key: &a.key, rule: rule.id.as_str() };
    let wanted = rule.output.key.key_for(parts);
    let target_key = wanted.as_ref().unwrap_or(&a.key).clone();
    let job = Job {
        id: JobId::of(&a.bucket, &a.key, a.sequencer.as_str(), rule.id.as_str(), a.at),
        rev: 1,
        status: JobStatus::Queued,
        rule: rule.id.clone(),
        process,
        input: ObjectRef { bucket: a.bucket.clone(), key: a.key.clone(), size: a.size, etag: a.etag.clone() },
        sequencer: a.sequencer.clone(),
        target: Target { bucket: rule.output.bucket.clone(), key: target_key },
        output: None,
        queue: rule.queue.clone(),
        retry,
        delete_source: rule.delete_source,
        run: 1,
        plan: None,
        multipart: None,
        reject_multipart: None,
        chunks_planned: 0,
        chunks_done: 0,
        bytes_in: 0,
        bytes_out: 0,
        rejects: 0,
        records: 0,
        tolerance: rule.rejects,
        reject_file: None,
        summary: serde_json::Map::new(),
        result_name: None,
        sources,
        reader,
        owner,
        attempts: 0,
        failure: None,
        dead_letter: None,
        resumable_until: None,
        upload: upload.map(|u| u.id.clone()),
        metadata: upload.map(|u| u.metadata.clone()).unwrap_or_default(),
        throttles: 0,
        redriven: false,
        notify: upload.map(|u| u.notify.clone()).unwrap_or_default(),
        generation: a.origin.as_ref().map_or(0, |o| o.generation),
        original: Some(original_of(a)),
        created_at: a.at,
        started_at: None,
        finished_at: None,
    };
    let impossible = impossible_target(&job, wanted.err().map(|e| e.to_string()));
    let obstacle = impossible.map(|message| Failure { code: lifecycle::NO_TARGET.into(), message, detail: None });
    Birth { job, obstacle }
}

fn impossible_target(job: &Job, key_error: Option<String>) -> Option<String> {
    let written = [&job.target.key, &job.target.reject_key()];
    let overwrites_input = job.target.bucket == job.input.bucket && written.contains(&&job.input.key);
    match key_error {
        Some(e) => Some(format!("the rule's output key cannot be made from this key: {e}")),
        None if overwrites_input => Some("the rule's result would overwrite its own input".into()),
        None => None,
    }
}
