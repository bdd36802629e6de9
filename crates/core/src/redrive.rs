//! An order to put dead letters back to work: which, how, and how many a second. It outlives whoever works on it.

use crate::access::{Reach, TenantName};
use crate::dead_letter::DeadLetterFilter;
use crate::ids::{DeadLetterId, KeyId, RedriveId};
use crate::record::{RecordFields, RecordKind, Recorded};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedriveStatus {
    Running,
    Done,
    Cancelled,
}

impl RedriveStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            RedriveStatus::Running => "running",
            RedriveStatus::Done => "done",
            RedriveStatus::Cancelled => "cancelled",
        }
    }
}

/// How a letter's job goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedriveManner {
    /// Laid over the job's own options. A job with other options runs from its start.
    pub options: Map<String, Value>,
    /// Also where chunks that were done are still there.
    pub from_start: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redrive {
    pub id: RedriveId,
    pub status: RedriveStatus,
    pub filter: DeadLetterFilter,
    pub manner: RedriveManner,
    /// Letters a second.
    pub rate: u32,
    /// How many letters the filter found when it was ordered.
    pub matched: u64,
    /// How many could not be redriven, for example because their file is gone; they stay dead.
    pub skipped: u64,
    /// Why, of the last one.
    pub skipped_because: Option<String>,
    /// The letters up to this one were dealt with.
    pub after: Option<DeadLetterId>,
    /// The name of who ordered it.
    pub by: String,
    /// Their key; none: the service's own credentials.
    #[serde(default)]
    pub key: Option<KeyId>,
    /// Theirs: no letter outside of it is touched.
    #[serde(default)]
    pub reach: Reach,
    /// Theirs; none: the whole service.
    #[serde(default)]
    pub tenant: Option<TenantName>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// When the next letters are due.
    pub next_at: Option<Timestamp>,
}

impl Redrive {
    pub fn finished(mut self, status: RedriveStatus, now: Timestamp) -> Self {
        self.status = status;
        self.finished_at = Some(now);
        self.next_at = None;
        self
    }
}

impl Recorded for Redrive {
    const KIND: RecordKind = RecordKind::Redrive;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fields(&self) -> RecordFields {
        let fields = [
            ("tenant", self.tenant.as_ref().map(ToString::to_string)),
            ("key", self.key.as_ref().map(ToString::to_string)),
            ("status", Some(self.status.as_str().to_owned())),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    fn due_at(&self) -> Option<Timestamp> {
        self.next_at
    }
}
