//! Dead letters: one for each job that gave up, each opening its job at most once, each ended by somebody's order.

use super::Evidence;
use filemill_core::audit::AuditEntry;
use filemill_core::dead_letter::{DeadLetter, DeadLetterStatus};
use filemill_core::ids::JobId;
use filemill_core::job::JobStatus;
use filemill_core::record::Recorded;
use filemill_core::redrive::{Redrive, RedriveStatus};
use filemill_memory::Snapshot;
use std::collections::BTreeMap;

fn all<T: Recorded>(snapshot: &Snapshot) -> Vec<T> {
    let of_kind = snapshot.records.iter().filter(|record| record.kind == T::KIND);
    of_kind.map(|record| record.clone().read().expect("what was stored is read").value).collect()
}

/// No order is being worked off.
pub fn are_all_redriven(snapshot: &Snapshot) -> bool {
    all::<Redrive>(snapshot).iter().all(|order| order.status != RedriveStatus::Running)
}

/// How often each job was opened again by a letter.
pub fn reopenings(snapshot: &Snapshot) -> BTreeMap<JobId, u32> {
    let mut reopened = BTreeMap::new();
    for letter in all::<DeadLetter>(snapshot).iter().filter(|l| l.status == DeadLetterStatus::Redriven) {
        *reopened.entry(letter.job().clone()).or_default() += 1;
    }
    reopened
}

/// What a job tells of its letter is what the letter tells of its job, at every instant.
pub fn belong_to_their_jobs(snapshot: &Snapshot, violations: &mut Vec<String>) {
    let letters = all::<DeadLetter>(snapshot);
    for letter in letters.iter().filter(|l| l.status == DeadLetterStatus::Dead) {
        let job = snapshot.jobs.iter().find(|job| job.id == *letter.job());
        let is_its =
            job.is_some_and(|job| job.status == JobStatus::Failed && job.dead_letter.as_ref() == Some(&letter.id));
        if !is_its {
            violations.push(format!("a dead letter whose job does not know it: {letter:?} {job:?}"));
        }
    }
    for job in &snapshot.jobs {
        let Some(id) = &job.dead_letter else { continue };
        let letter = letters.iter().find(|letter| letter.id == *id);
        if letter.is_none_or(|letter| letter.status == DeadLetterStatus::Redriven) {
            violations.push(format!("a job whose letter is gone or redriven, and it is not: {job:?} {letter:?}"));
        }
    }
}

pub fn are_ended_by_an_order(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let audit = all::<AuditEntry>(evidence.snapshot);
    let orders = |action: &str, target: &str| audit.iter().filter(|e| e.action == action && e.target == target).count();
    for letter in all::<DeadLetter>(evidence.snapshot) {
        let (id, end) = (letter.id.as_str(), letter.ended.as_ref());
        let by_order = end.and_then(|end| end.redrive.as_ref());
        let retried =
            evidence.ledger.retries.contains_key(letter.job()).then(|| orders("job.retry", letter.job().as_str()));
        let audited = match letter.status {
            DeadLetterStatus::Dead => orders("dead.redrive", id) + orders("dead.discard", id) == 0,
            DeadLetterStatus::Discarded => {
                evidence.ledger.discards.contains_key(&letter.id) && orders("dead.discard", id) == 1
            }
            DeadLetterStatus::Redriven => match by_order {
                Some(order) => orders("dead.redrive", order.as_str()) == 1 && orders("dead.redrive", id) == 0,
                None => orders("dead.redrive", id) == 1 || retried.is_some_and(|times| times > 0),
            },
        };
        if !audited {
            violations.push(format!("a letter that nobody's order in the audit log explains: {letter:?}"));
        }
        let tries = letter.attempts.len() as u32;
        if tries == 0 || tries > evidence.scenario.attempts {
            violations.push(format!("{tries} attempts where {} are allowed: {letter:?}", evidence.scenario.attempts));
        }
    }
}
