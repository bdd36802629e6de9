//! What clients did and what they were told: the only ground for a judgement about the store.

use bytes::Bytes;
use filemill_core::etag::Etag;
use filemill_core::ids::{DeadLetterId, JobId, UploadId};
use filemill_core::object::ObjectKey;
use std::collections::BTreeMap;

/// What a client knows of its act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// No answer, or one that says nothing: it may have been done.
    Unknown,
}

/// One act on a key: its new content, or `None` for a deletion.
#[derive(Clone, Debug)]
pub struct Act {
    pub content: Option<Bytes>,
    pub outcome: Outcome,
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// Acts on each key, in order: a key has one client, which waits for each answer.
    pub acts: BTreeMap<ObjectKey, Vec<Act>>,
    /// Promises to upload that were acknowledged, with their key.
    pub uploads: BTreeMap<UploadId, ObjectKey>,
    /// How often an operator tried to cancel or to retry a job, whatever was answered.
    pub cancels: BTreeMap<JobId, u32>,
    pub retries: BTreeMap<JobId, u32>,
    /// How often an operator tried to discard a dead letter.
    pub discards: BTreeMap<DeadLetterId, u32>,
}

impl Ledger {
    pub fn act(&mut self, key: &ObjectKey, content: Option<Bytes>, outcome: Outcome) {
        self.acts.entry(key.clone()).or_default().push(Act { content, outcome });
    }

    /// What a key may hold now: what was done last, or any act behind it whose outcome is not known.
    pub fn possible(&self, key: &ObjectKey) -> Vec<Option<Bytes>> {
        let mut possible = vec![None];
        for act in self.acts.get(key).into_iter().flatten() {
            if act.outcome == Outcome::Done {
                possible.clear();
            }
            possible.push(act.content.clone());
        }
        possible
    }

    /// Was an object of this key ever acknowledged?
    pub fn has_stored(&self, key: &ObjectKey) -> bool {
        self.acts.get(key).is_some_and(|acts| acts.iter().any(|a| a.content.is_some() && a.outcome == Outcome::Done))
    }

    /// The content with this tag that a client sent under this key.
    pub fn content(&self, key: &ObjectKey, etag: &Etag) -> Option<Bytes> {
        let sent = self.acts.get(key).into_iter().flatten().filter_map(|a| a.content.clone());
        sent.into_iter().find(|c| tags_of(c).contains(etag))
    }
}

/// The tag of the content put at once, and of the same content sent as the two parts that clients here cut it into.
fn tags_of(content: &Bytes) -> [Etag; 2] {
    let (head, tail) = halves(content);
    let parts = [Etag::md5_of(&head), Etag::md5_of(&tail)];
    [Etag::md5_of(content), Etag::of_parts(parts.iter())]
}

/// How a client here cuts what it uploads in parts.
pub fn halves(content: &Bytes) -> (Bytes, Bytes) {
    let middle = content.len() / 2;
    (content.slice(..middle), content.slice(middle..))
}
