//! Events: a job is created, ends once, and begins again only because a person asked: from its start, or where it stopped.

use super::{Evidence, letters};
use filemill_core::event::EventKind;
use filemill_core::ids::JobId;
use filemill_core::job::JobStatus;
use std::collections::BTreeMap;

#[derive(Default)]
struct Life {
    is_open: bool,
    births: u32,
    resumptions: u32,
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
                life.is_open = true;
                life.resumptions += 1;
            }
            _ => {}
        }
    }
    let redriven = letters::reopenings(evidence.snapshot);
    for job in &evidence.snapshot.jobs {
        let life = lives.remove(&job.id).unwrap_or_default();
        let asked = evidence.ledger.retries.get(&job.id).copied().unwrap_or(0);
        let redriven = redriven.get(&job.id).copied().unwrap_or(0);
        let again = (life.births + life.resumptions).saturating_sub(1);
        if life.births == 0 || job.run != life.births || !(redriven..=redriven + asked).contains(&again) {
            let (births, resumptions) = (life.births, life.resumptions);
            violations.push(format!(
                "{births} births and {resumptions} resumptions with {redriven} letters redriven and {asked} retries asked for: {job:?}"
            ));
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
