//! Jobs: born once per version and rule, counting each chunk once, able to go on, ended with a reason.

use super::Evidence;
use crate::scenario::RECORDS;
use filemill_core::job::{Job, JobStatus};
use filemill_core::matching::Subject;
use filemill_core::object::ObjectInfo;
use filemill_core::rule::RuleSet;
use filemill_core::task::TaskKind;
use filemill_memory::Snapshot;
use std::collections::BTreeMap;

/// Failures that faults explain. `superseded` and the like need a newer version.
const FAULTS: [&str; 7] =
    ["store_unavailable", "state_unavailable", "store_changed", "store_refused", "io", "worker_lost", "chunks_missing"];

pub fn count_each_chunk_once(snapshot: &Snapshot, violations: &mut Vec<String>) {
    for job in snapshot.jobs.iter().filter(|j| !j.is_over()) {
        let recorded = snapshot.chunks.iter().filter(|c| c.job == job.id && c.run == job.run).count();
        if recorded != job.chunks_done as usize {
            violations.push(format!("{} chunks are recorded and {} counted: {job:?}", recorded, job.chunks_done));
        }
    }
}

/// Every open job has the tasks that bring it to its end.
pub fn can_all_go_on(snapshot: &Snapshot, violations: &mut Vec<String>) {
    for job in snapshot.jobs.iter().filter(|j| !j.status.is_terminal()) {
        let tasks = || snapshot.tasks.iter().filter(|t| t.id.job == job.id && t.id.run == job.run);
        let of = |kind| tasks().filter(|t| t.id.kind == kind).count();
        let found = [of(TaskKind::Plan), of(TaskKind::Chunk), of(TaskKind::Assemble)];
        let at_work = (job.chunks_planned - job.chunks_done) as usize;
        let wanted = match job.plan {
            None => [1, 0, 0],
            Some(plan) if job.chunks_done == plan.count => [0, 0, 1],
            Some(_) => [0, at_work, 0],
        };
        if found != wanted || tasks().count() == 0 {
            violations.push(format!("plan, chunk and assemble tasks {found:?} instead of {wanted:?}: {job:?}"));
        }
    }
}

/// For each version that is there and each rule that takes it: one job, neither none nor twins.
pub fn are_born_once(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let mut twins: BTreeMap<_, Vec<&Job>> = BTreeMap::new();
    for job in &evidence.snapshot.jobs {
        let version = (&job.input.bucket, &job.input.key, job.sequencer.as_str(), &job.rule);
        twins.entry(version).or_default().push(job);
    }
    violations.extend(twins.values().filter(|jobs| jobs.len() > 1).map(|jobs| format!("twins: {jobs:?}")));
    for (object, rule) in starts(evidence) {
        if newest_job(evidence, object, &rule).is_none() {
            violations.push(format!("rule {rule} has no job for {object:?}"));
        }
    }
}

/// The objects that are there, each with the rules that take them.
pub fn starts<'a>(evidence: &Evidence<'a>) -> Vec<(&'a ObjectInfo, String)> {
    let rules = RuleSet::new(evidence.scenario.rules()).expect("rules");
    let mut starts = Vec::new();
    for object in &evidence.snapshot.objects {
        let content_type = object.attributes.content_type.as_deref();
        let subject = Subject { key: &object.key, size: object.size, content_type };
        let taken = rules.starting_from(&object.bucket, subject, object.attributes.origin.as_ref());
        starts.extend(taken.map(|rule| (object, rule.id.to_string())));
    }
    starts
}

/// The job of exactly this version of the object.
pub fn newest_job<'a>(evidence: &Evidence<'a>, object: &ObjectInfo, rule: &str) -> Option<&'a Job> {
    evidence.snapshot.jobs.iter().find(|j| {
        j.input.bucket == object.bucket
            && j.input.key == object.key
            && j.sequencer == object.sequencer
            && j.rule.as_str() == rule
    })
}

/// The job of a version that is still there was completed, or cancelled by a person, or failed for a fault's reason.
pub fn end_with_a_reason(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    for (object, rule) in starts(evidence) {
        let Some(job) = newest_job(evidence, object, &rule) else { continue };
        let code = job.failure.as_ref().map_or("", |f| f.code.as_str());
        let was_cancelled = evidence.ledger.cancels.contains_key(&job.id) && code.is_empty();
        let met_faults = !evidence.scenario.is_calm() && FAULTS.contains(&code);
        let was_refused = rule == RECORDS && code == "too_many_rejects";
        let is_explained = match job.status {
            JobStatus::Completed => true,
            JobStatus::Cancelled => was_cancelled,
            JobStatus::Failed => met_faults || was_refused,
            JobStatus::Queued | JobStatus::Running => false,
        };
        if !is_explained {
            violations.push(format!("a job of a version that is there ended without a good reason: {job:?}"));
        }
    }
}
