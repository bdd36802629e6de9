//! Files: what clients were told is there, and the records are the objects, no fewer and no ghosts.

use super::Evidence;
use filemill_core::job::JobStatus;
use filemill_core::object::{ObjectKey, Sequencer};
use filemill_core::upload::UploadStatus;
use filemill_memory::Snapshot;

pub fn keep_what_was_acknowledged(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let from = evidence.scenario.from();
    for key in evidence.ledger.acts.keys() {
        let found = evidence.store.content(&from, key).ok();
        let possible = evidence.ledger.possible(key);
        let was_retired = found.is_none() && is_retired(evidence, key);
        if !possible.contains(&found) && !was_retired {
            violations.push(format!("{key:?} holds {found:?}, and clients know of {possible:?}"));
        }
    }
    uploads_tell_what_came(evidence, violations);
}

/// A source may go once all jobs of this version have completed.
fn is_retired(evidence: &Evidence<'_>, key: &ObjectKey) -> bool {
    let from = evidence.scenario.from();
    let jobs = || evidence.snapshot.jobs.iter().filter(|j| j.input.key == *key && j.input.bucket == from);
    let newest = jobs().map(|j| &j.sequencer).max();
    let is_done =
        |newest: &Sequencer| jobs().filter(|j| j.sequencer == *newest).all(|j| j.status == JobStatus::Completed);
    evidence.scenario.has_inbox && newest.is_some_and(is_done)
}

/// For every object a file with its facts; for every file an object.
pub fn are_the_objects(snapshot: &Snapshot, violations: &mut Vec<String>) {
    let files = || snapshot.files.iter().filter(|f| f.removed_at.is_none());
    for object in &snapshot.objects {
        let is_recorded = files().any(|f| {
            (&f.bucket, &f.key, f.size, &f.etag, &f.sequencer)
                == (&object.bucket, &object.key, object.size, &object.etag, &object.sequencer)
        });
        if !is_recorded {
            violations.push(format!("an object has no file, or one with other facts: {object:?}"));
        }
    }
    for file in files() {
        if !snapshot.objects.iter().any(|o| o.bucket == file.bucket && o.key == file.key) {
            violations.push(format!("a ghost: {file:?}"));
        }
    }
}

/// Where every announcement comes in time, nothing is taken for lost.
pub fn are_marked_only_where_something_was_lost(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let repaired = evidence.snapshot.files.iter().filter(|f| f.repaired);
    if evidence.scenario.is_calm() {
        violations.extend(repaired.map(|file| format!("nothing was lost, and it is marked: {file:?}")));
    }
}

/// A kept promise is received, a broken one expired; none is pending for ever.
fn uploads_tell_what_came(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    for upload in &evidence.snapshot.uploads {
        let nothing_came = !evidence.ledger.acts.contains_key(&upload.key);
        let is_wrong = match upload.status {
            UploadStatus::Pending => true,
            UploadStatus::Received => nothing_came,
            UploadStatus::Expired => false,
        };
        if is_wrong {
            violations.push(format!("an upload tells what is not so: {upload:?}"));
        }
    }
    for id in evidence.ledger.uploads.keys() {
        if !evidence.snapshot.uploads.iter().any(|u| u.id == *id) {
            violations.push(format!("a promise that was acknowledged is gone: {id}"));
        }
    }
}
