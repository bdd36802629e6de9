//! Dead letters: tasks that gave up, with all that is known of why. They wait for a person, who puts them back to work
//! (redrives them), after a mend perhaps, or discards them.
//!
//! A letter is written in the commit that fails its job, and ends in the commit that opens the job again: so there is one
//! for each task that gave up, and each is redriven once, whatever crashes or is ordered twice.

use crate::fingerprint::fingerprint;
use crate::ids::{DeadLetterId, JobId, RedriveId, UploadId};
use crate::job::Job;
use crate::object::{BucketName, ObjectKey};
use crate::record::{RecordFields, RecordKind, RecordQuery, Recorded};
use crate::rule::{QueueName, RuleId};
use crate::task::{Attempt, FencingToken, Task, TaskError, TaskId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterStatus {
    /// Waits for a person.
    Dead,
    /// Its job runs, or ran, again.
    Redriven,
    Discarded,
}

impl DeadLetterStatus {
    pub const ALL: [DeadLetterStatus; 3] =
        [DeadLetterStatus::Dead, DeadLetterStatus::Redriven, DeadLetterStatus::Discarded];

    pub fn as_str(self) -> &'static str {
        match self {
            DeadLetterStatus::Dead => "dead",
            DeadLetterStatus::Redriven => "redriven",
            DeadLetterStatus::Discarded => "discarded",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        DeadLetterStatus::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub id: DeadLetterId,
    pub status: DeadLetterStatus,
    pub task: TaskId,
    pub queue: QueueName,
    pub rule: RuleId,
    /// The processor's kind.
    pub processor: String,
    /// The options that were in force, those of an upload or a redrive among them.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// The job's input.
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub size: u64,
    pub upload: Option<UploadId>,
    /// Of the last attempt that told one.
    pub error: TaskError,
    /// The same for errors that probably have one cause.
    pub fingerprint: String,
    /// Oldest first.
    pub attempts: Vec<Attempt>,
    pub died_at: Timestamp,
    /// Until then the chunks that were done are kept, so that a redrive needs to do only the others.
    pub resumable_until: Option<Timestamp>,
    /// How it ended, once it is no longer dead.
    pub ended: Option<LetterEnd>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LetterEnd {
    pub at: Timestamp,
    /// The name of who ordered it.
    pub by: String,
    /// The order that it was a part of, if there were several.
    pub redrive: Option<RedriveId>,
    /// The run that it started or resumed; `None` for a discarded one.
    pub run: Option<u32>,
}

/// Which letters; conditions are ANDed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadLetterFilter {
    /// Only these, if there are any.
    pub ids: Vec<DeadLetterId>,
    pub status: Option<DeadLetterStatus>,
    pub queue: Option<QueueName>,
    pub rule: Option<RuleId>,
    pub bucket: Option<BucketName>,
    /// With a trailing `*`: a prefix.
    pub key: Option<String>,
    /// The error's code.
    pub error: Option<String>,
    pub fingerprint: Option<String>,
    pub job: Option<JobId>,
    /// Died at this time or later.
    pub since: Option<Timestamp>,
    /// Died before this time.
    pub until: Option<Timestamp>,
}

impl DeadLetterFilter {
    /// All but the ids, which are looked up one by one. The rarest field comes first.
    pub fn query(&self) -> RecordQuery {
        RecordQuery::of(RecordKind::DeadLetter)
            .with("job", self.job.as_ref().map(ToString::to_string))
            .with("key", self.key.clone())
            .with("fingerprint", self.fingerprint.clone())
            .with("error", self.error.clone())
            .with("rule", self.rule.as_ref().map(ToString::to_string))
            .with("queue", self.queue.as_ref().map(ToString::to_string))
            .with("bucket", self.bucket.as_ref().map(ToString::to_string))
            .with("status", self.status.map(|status| status.as_str()))
            .between(DeadLetterId::PREFIX, self.since, self.until)
    }
}

impl DeadLetter {
    /// `error` made the task give up, after these attempts.
    pub fn of(
        job: &Job,
        (task, token): (&Task, FencingToken),
        error: TaskError,
        attempts: Vec<Attempt>,
        now: Timestamp,
    ) -> Self {
        DeadLetter {
            id: DeadLetterId::of(&task.id.to_string(), token.0, now),
            status: DeadLetterStatus::Dead,
            task: task.id.clone(),
            queue: job.queue.clone(),
            rule: job.rule.clone(),
            processor: job.process.kind.clone(),
            options: job.process.options.clone(),
            bucket: job.input.bucket.clone(),
            key: job.input.key.clone(),
            size: job.input.size,
            upload: job.upload.clone(),
            fingerprint: fingerprint(&job.process.kind, &error),
            error,
            attempts,
            died_at: now,
            resumable_until: job.resumable_until,
            ended: None,
        }
    }

    pub fn job(&self) -> &JobId {
        &self.task.job
    }

    /// No longer dead.
    pub fn ended(mut self, status: DeadLetterStatus, end: LetterEnd) -> Self {
        self.status = status;
        self.resumable_until = None;
        self.ended = Some(end);
        self
    }
}

impl Recorded for DeadLetter {
    const KIND: RecordKind = RecordKind::DeadLetter;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fields(&self) -> RecordFields {
        let mut fields: RecordFields = [
            ("status", self.status.as_str().to_owned()),
            ("queue", self.queue.to_string()),
            ("rule", self.rule.to_string()),
            ("bucket", self.bucket.to_string()),
            ("key", self.key.to_string()),
            ("job", self.task.job.to_string()),
            ("error", self.error.code.clone()),
            ("fingerprint", self.fingerprint.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(redrive) = self.ended.as_ref().and_then(|end| end.redrive.as_ref()) {
            fields.insert("redrive".into(), redrive.to_string());
        }
        fields
    }

    /// Then the kept chunks go.
    fn due_at(&self) -> Option<Timestamp> {
        self.resumable_until
    }
}
