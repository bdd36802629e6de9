//! Records: things that are stored whole, found by a few fields, and looked through page by page by people.
//!
//! Dead letters, redrives and audit entries are records: each is a plain struct that says with [`Recorded`] under which id
//! and fields it is kept, so that a new kind needs no new table, query or adapter code. Ids begin with their time, so the
//! order of ids is the order of time. A record's `rev` guards its updates, as a job's does.

use crate::access::Reach;
use crate::ids::{KeyId, sortable_from};
use crate::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    DeadLetter,
    Redrive,
    Backfill,
    Audit,
    Key,
    Delivery,
    Alarm,
    AlarmChange,
    DerivedObjects,
}

impl RecordKind {
    pub const ALL: [RecordKind; 9] = [
        RecordKind::DeadLetter,
        RecordKind::Redrive,
        RecordKind::Backfill,
        RecordKind::Audit,
        RecordKind::Key,
        RecordKind::Delivery,
        RecordKind::Alarm,
        RecordKind::AlarmChange,
        RecordKind::DerivedObjects,
    ];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordKind::DeadLetter => "dead_letter",
            RecordKind::Redrive => "redrive",
            RecordKind::Backfill => "backfill",
            RecordKind::Audit => "audit",
            RecordKind::Key => "key",
            RecordKind::Delivery => "delivery",
            RecordKind::Alarm => "alarm",
            RecordKind::AlarmChange => "alarm_change",
            RecordKind::DerivedObjects => "derived_objects",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a record is found by: value by name. Values are at most
/// [`RECORD_FIELD_BYTES_MAX`](crate::limits::RECORD_FIELD_BYTES_MAX) long.
pub type RecordFields = BTreeMap<String, String>;

/// As stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub kind: RecordKind,
    pub id: String,
    /// Rises by one with each stored change, from 1.
    pub rev: u64,
    /// When something is to be done about it.
    pub due_at: Option<Timestamp>,
    pub fields: RecordFields,
    pub document: serde_json::Value,
}

/// A struct that is kept as a record.
pub trait Recorded: Serialize + DeserializeOwned {
    const KIND: RecordKind;

    fn id(&self) -> &str;

    fn fields(&self) -> RecordFields;

    fn due_at(&self) -> Option<Timestamp> {
        None
    }

    fn record(&self, rev: u64) -> Record {
        let document = serde_json::to_value(self).expect("types of core have text keys and cannot fail to serialise");
        let (id, due_at, fields) = (self.id().to_owned(), self.due_at(), self.fields());
        Record { kind: Self::KIND, id, rev, due_at, fields, document }
    }
}

/// A record as what it stands for, with its revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Revised<T> {
    pub rev: u64,
    pub value: T,
}

impl Record {
    fn is_within(&self, reach: &Reach) -> bool {
        let field = |name: &str| self.fields.get(name).map(String::as_str);
        let owner = field("owner").and_then(KeyId::parse);
        let place = field("bucket").zip(field("key"));
        reach.is_everything() || place.is_some_and(|(bucket, key)| reach.takes(bucket, key, owner.as_ref()))
    }

    /// `Err` says what is wrong with the stored document.
    pub fn read<T: Recorded>(self) -> Result<Revised<T>, String> {
        debug_assert_eq!(self.kind, T::KIND);
        let read = serde_json::from_value(self.document);
        read.map(|value| Revised { rev: self.rev, value }).map_err(|e| format!("{} {}: {e}", self.kind, self.id))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordOrder {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// Conditions are ANDed.
#[derive(Clone, Debug)]
pub struct RecordQuery {
    pub kind: RecordKind,
    /// Values by name; one that ends in `*` is a prefix. The first should be the rarest.
    pub fields: Vec<(&'static str, String)>,
    /// By the fields `bucket`, `key` and `owner`; what has none is for those who see everything.
    pub reach: Reach,
    /// Ids from this on.
    pub from: Option<String>,
    /// Ids before this.
    pub before: Option<String>,
    pub order: RecordOrder,
    /// Behind this id, in the order.
    pub after: Option<String>,
    pub limit: u32,
}

impl RecordQuery {
    pub fn of(kind: RecordKind) -> Self {
        let order = RecordOrder::default();
        RecordQuery {
            kind,
            fields: Vec::new(),
            reach: Reach::everything(),
            from: None,
            before: None,
            order,
            after: None,
            limit: 1,
        }
    }

    pub fn within(mut self, reach: &Reach) -> Self {
        self.reach = reach.clone();
        self
    }

    /// Counts only if there is a value.
    pub fn with(mut self, field: &'static str, value: Option<impl Into<String>>) -> Self {
        self.fields.extend(value.map(|value| (field, value.into())));
        self
    }

    /// Made at `since` or later, and before `until`. `prefix` is the kind's id prefix.
    pub fn between(mut self, prefix: &str, since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        self.from = since.map(|at| sortable_from(prefix, at));
        self.before = until.map(|at| sortable_from(prefix, at));
        self
    }

    /// Does it find this record, whatever its `after` and `limit`?
    pub fn takes(&self, record: &Record) -> bool {
        let has = |(name, wanted): &(&'static str, String)| {
            record.fields.get(*name).is_some_and(|value| match wanted.strip_suffix('*') {
                Some(prefix) => value.starts_with(prefix),
                None => value == wanted,
            })
        };
        record.kind == self.kind
            && record.is_within(&self.reach)
            && self.fields.iter().all(has)
            && self.from.as_ref().is_none_or(|from| record.id >= *from)
            && self.before.as_ref().is_none_or(|before| record.id < *before)
    }
}

/// Records with the same value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordGroup {
    pub value: String,
    pub count: u64,
    /// Ids of the oldest and the newest.
    pub first: String,
    pub last: String,
}
