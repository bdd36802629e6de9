//! Events: a job is created, ends once, and begins again only because a person asked.

use super::Evidence;
use filemill_core::event::EventKind;
use filemill_core::ids::JobId;
use filemill_core::job::JobStatus;
use std::collections::BTreeMap;

#[derive(Default)]
struct Life {
    is_open: bool,
    births: u32,
    last_end: Option<EventKind>,
}

pub fn tell_each_end_once(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let mut lives: BTreeMap<JobId, Life> = BTreeMap::new();
    for (seq, event) in &evidence.snapshot.events {
        let Some(id) = &event.job else { continue };
        let life = lives.entry(id.clone()).or_default();
        match event.kind {
            EventKind::JobCreated if life.is_open => {
                violations.push(format!("event {seq}: {id} is created while it is open"));
            }
            EventKind::JobCreated => {
                life.is_open = true;
                life.births += 1;
            }
            EventKind::JobCompleted | EventKind::JobFailed | EventKind::JobCancelled => {
                if !life.is_open {
                    violations.push(format!("event {seq}: {id} ends ({:?}) although it had ended", event.kind));
                }
                life.is_open = false;
                life.last_end = Some(event.kind);
            }
            EventKind::JobStarted if !life.is_open => {
                violations.push(format!("event {seq}: {id} starts although it had ended"));
            }
            _ => {}
        }
    }
    for job in &evidence.snapshot.jobs {
        let life = lives.remove(&job.id).unwrap_or_default();
        let asked = evidence.ledger.retries.get(&job.id).copied().unwrap_or(0);
        if life.births == 0 || life.births > 1 + asked || job.run > 1 + asked {
            violations.push(format!("{} births with {asked} retries asked for: {job:?}", life.births));
        }
        if life.last_end != end_of(job.status) {
            violations.push(format!("the last event says {:?}: {job:?}", life.last_end));
        }
    }
}

fn end_of(status: JobStatus) -> Option<EventKind> {
    match status {
        JobStatus::Completed => Some(EventKind::JobCompleted),
        JobStatus::Failed => Some(EventKind::JobFailed),
        JobStatus::Cancelled => Some(EventKind::JobCancelled),
        JobStatus::Queued | JobStatus::Running => None,
    }
}
