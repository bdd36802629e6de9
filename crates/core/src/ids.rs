//! Identities. Newtypes, so that a job id is never passed where a file id is meant.
//!
//! Ids that stand for a fact are derived from that fact, so that seeing it twice makes the same id twice: a redelivered
//! announcement finds the job that its first delivery made. Job and upload ids start with their time and sort by it.

use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// `None` unless the text has this kind's prefix and form.
            pub fn parse(text: &str) -> Option<Self> {
                let rest = text.strip_prefix($prefix)?;
                let well_formed = rest.len() == 26 && rest.bytes().all(|b| BASE32.contains(&b));
                well_formed.then(|| $name(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                $name::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not an id of this kind")))
            }
        }
    };
}

id!(
    /// One file x one rule. Derived from the object's bucket, key and sequencer and the rule.
    JobId,
    "job_"
);
id!(
    /// An upload as what is made of it knows it. Derived from the object's bucket, key and sequencer.
    OriginalId,
    "orig_"
);
id!(
    /// The record of an object; derived from bucket and key, so it stays through overwrites.
    FileId,
    "fil_"
);
id!(
    /// A promise to upload; random.
    UploadId,
    "upl_"
);

id!(
    /// A task that gave up. Derived from the task's identity and its last attempt.
    DeadLetterId,
    "dead_"
);
id!(
    /// An order to put dead letters back to work; random.
    RedriveId,
    "red_"
);
id!(
    /// An order to run a rule over objects that are there already; random.
    BackfillId,
    "bkf_"
);
id!(
    /// An entry of the audit log; random.
    AuditId,
    "aud_"
);
id!(
    /// A key that lets somebody in; random.
    KeyId,
    "key_"
);

id!(
    /// Something that receivers are told. Derived from what happened, so it is the same in every repeat.
    NoticeId,
    "evt_"
);
id!(
    /// One notice on its way to one receiver. Derived from both.
    DeliveryId,
    "dlv_"
);

id!(
    /// A change of an alarm's state. Derived from both and the time.
    AlarmChangeId,
    "alm_"
);

/// Ids that are made up: their time, then chance.
macro_rules! made_up {
    ($($name:ident),*) => {
        $(impl $name {
            pub fn new(now: Timestamp, chance: [u8; 10]) -> Self {
                $name(format!("{}{}", $name::PREFIX, sortable(now, &chance)).into())
            }
        })*
    };
}

made_up!(UploadId, RedriveId, BackfillId, AuditId, KeyId);

impl JobId {
    pub fn of(bucket: &str, key: &str, sequencer: &str, rule: &str, announced_at: Timestamp) -> Self {
        let digest = digest(&[bucket, key, sequencer, rule]);
        JobId(format!("job_{}", sortable(announced_at, &digest)).into())
    }
}

impl OriginalId {
    pub fn of(bucket: &str, key: &str, sequencer: &str, announced_at: Timestamp) -> Self {
        let digest = digest(&[bucket, key, sequencer]);
        OriginalId(format!("orig_{}", sortable(announced_at, &digest)).into())
    }
}

impl FileId {
    pub fn of(bucket: &str, key: &str) -> Self {
        let digest = digest(&[bucket, key]);
        let mut number = [0; 16];
        number.copy_from_slice(&digest[..16]);
        FileId(format!("fil_{}", base32(u128::from_be_bytes(number))).into())
    }
}

impl DeadLetterId {
    /// `task` names the task with its run; `token` is the lease under which it gave up.
    pub fn of(task: &str, token: u64, died_at: Timestamp) -> Self {
        let digest = digest(&[task, &token.to_string()]);
        DeadLetterId(format!("dead_{}", sortable(died_at, &digest)).into())
    }
}

impl NoticeId {
    /// `about` names what it happened to, with its run; `nth` orders what happened to it at the same instant.
    pub fn of(about: &str, kind: &str, nth: u8, at: Timestamp) -> Self {
        let mut tail = digest(&[about, kind]);
        tail[0] = nth;
        NoticeId(format!("evt_{}", sortable(at, &tail)).into())
    }
}

impl AlarmChangeId {
    pub fn of(alarm: &str, status: &str, at: Timestamp) -> Self {
        AlarmChangeId(format!("alm_{}", sortable(at, &digest(&[alarm, status]))).into())
    }
}

impl DeliveryId {
    /// Of several notices in one message: others together make another message, which no mailbox takes for a repeat.
    pub fn of_digest<'a>(deliveries: impl Iterator<Item = &'a DeliveryId>, at: Timestamp) -> Self {
        let ids: Vec<&str> = deliveries.map(|id| id.as_str()).collect();
        DeliveryId(format!("dlv_{}", sortable(at, &digest(&ids))).into())
    }

    /// Sorts as the notice does.
    pub fn of(notice: &NoticeId, nth: u8, receiver: &str, at: Timestamp) -> Self {
        let mut tail = digest(&[notice.as_str(), receiver]);
        tail[0] = nth;
        DeliveryId(format!("dlv_{}", sortable(at, &tail)).into())
    }
}

/// Crockford's alphabet in lower case: no i, l, o, u.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The smallest id of this kind that was made at `at` or later: ids that begin with their time sort by it.
pub(crate) fn sortable_from(prefix: &str, at: Timestamp) -> String {
    format!("{prefix}{}", sortable(at, &[0; 10]))
}

/// ULID layout: 48 bits of milliseconds, then 80 bits of `tail`.
fn sortable(at: Timestamp, tail: &[u8]) -> String {
    let millis = u128::try_from(at.as_millis().max(0)).unwrap_or(0) & 0xffff_ffff_ffff;
    let tail = tail.iter().take(10).fold(0u128, |n, b| (n << 8) | u128::from(*b));
    base32((millis << 80) | tail)
}

fn base32(number: u128) -> String {
    (0..26).rev().map(|i| char::from(BASE32[((number >> (i * 5)) & 31) as usize])).collect()
}

/// Each field is preceded by its length, so no two field lists share a digest input.
fn digest(fields: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_announcement_makes_the_same_job() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let id = JobId::of("uploads", "a", "01", "hello", at);
        assert_eq!(id, JobId::of("uploads", "a", "01", "hello", at));
        assert_ne!(id, JobId::of("uploads", "a", "02", "hello", at));
        assert_ne!(id, JobId::of("uploads", "a0", "1", "hello", at));
        assert_eq!(JobId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn job_ids_sort_by_time() {
        let early = JobId::of("b", "z", "9", "r", Timestamp::from_millis(1));
        let late = JobId::of("b", "a", "1", "r", Timestamp::from_millis(2));
        assert!(early < late);
    }

    #[test]
    fn foreign_text_is_no_id() {
        for text in ["", "job_", "fil_00000000000000000000000000", "job_0000000000000000000000000u", "job_../../etc"] {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
    }
}
