//! An order to run a rule over objects that are there already: files that the rule takes and that have no job of it.
//!
//! Stored, so that it goes on after a restart. A job's id is derived from the object's version and the rule, so each file
//! gets one job, whatever crashes or is ordered twice.

use crate::file::File;
use crate::ids::{BackfillId, JobId};
use crate::matching::Subject;
use crate::object::ObjectKey;
use crate::record::{RecordFields, RecordKind, Recorded};
use crate::rule::{Rule, RuleId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillStatus {
    Running,
    Done,
    Cancelled,
    /// Its rule is gone from the configuration.
    Failed,
}

impl BackfillStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            BackfillStatus::Running => "running",
            BackfillStatus::Done => "done",
            BackfillStatus::Cancelled => "cancelled",
            BackfillStatus::Failed => "failed",
        }
    }
}

/// Which files of the rule's bucket. Conditions are ANDed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillFilter {
    pub prefix: Option<String>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
}

impl BackfillFilter {
    /// A rule that is not enabled may be backfilled: somebody asked for it.
    pub fn takes(&self, rule: &Rule, file: &File) -> bool {
        let subject = Subject { key: &file.key, size: file.size, content_type: file.content_type.as_deref() };
        self.since.is_none_or(|since| file.created_at >= since)
            && self.until.is_none_or(|until| file.created_at < until)
            && Rule { enabled: true, ..rule.clone() }.takes(&file.bucket, subject, file.origin.as_ref())
    }
}

/// The job that this version of the file has by this rule, or would have.
pub fn job_of(file: &File, rule: &Rule) -> JobId {
    JobId::of(&file.bucket, &file.key, file.sequencer.as_str(), rule.id.as_str(), file.created_at)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    pub id: BackfillId,
    pub status: BackfillStatus,
    pub rule: RuleId,
    pub filter: BackfillFilter,
    /// Jobs a second.
    pub rate: u32,
    pub files_seen: u64,
    pub jobs_started: u64,
    /// Files up to this key were dealt with.
    pub after: Option<ObjectKey>,
    /// The name of who ordered it.
    pub by: String,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// When the next files are due.
    pub next_at: Option<Timestamp>,
}

impl Backfill {
    pub fn finished(mut self, status: BackfillStatus, now: Timestamp) -> Self {
        self.status = status;
        self.finished_at = Some(now);
        self.next_at = None;
        self
    }
}

impl Recorded for Backfill {
    const KIND: RecordKind = RecordKind::Backfill;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fields(&self) -> RecordFields {
        let fields = [("status", self.status.as_str()), ("rule", self.rule.as_str())];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn due_at(&self) -> Option<Timestamp> {
        self.next_at
    }
}
