//! Results: byte for byte what one pass over the whole input gives, and nobody's but their job's.

use super::Evidence;
use super::jobs::{newest_job, starts};
use crate::records::Expected;
use crate::scenario::{RECORDS, bucket, prefix_of};
use bytes::Bytes;
use filemill_core::job::{Job, JobStatus};

/// What one pass over the input gives, in the plainest way.
fn one_pass(rule: &str, content: &[u8]) -> Vec<u8> {
    if rule == RECORDS { Expected::of(content).output } else { prefixed(rule, content) }
}

fn prefixed(rule: &str, content: &[u8]) -> Vec<u8> {
    sed(&prefix_of(rule), content)
}

/// GNU `sed 's/^/TEXT/'`.
pub fn sed(text: &str, content: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut starts_line = true;
    for byte in content {
        if starts_line {
            result.extend_from_slice(text.as_bytes());
        }
        result.push(*byte);
        starts_line = *byte == b'\n';
    }
    result
}

pub fn equal_the_one_pass(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    for job in evidence.snapshot.jobs.iter().filter(|j| j.status == JobStatus::Completed) {
        tell_the_whole(evidence, job, violations);
    }
    for (object, rule) in starts(evidence) {
        let Some(job) = newest_job(evidence, object, &rule) else { continue };
        let input = evidence.store.content(&object.bucket, &object.key).unwrap_or_default();
        if job.status == JobStatus::Completed {
            is_result_of(evidence, job, &input, violations);
        }
        if rule == RECORDS {
            sets_aside_what_it_should(evidence, job, &input, violations);
        }
    }
    belong_to_their_jobs(evidence, violations);
}

/// A completed job's counts fit its input, its plan and its output.
fn tell_the_whole(evidence: &Evidence<'_>, job: &Job, violations: &mut Vec<String>) {
    let input = input_of(evidence, job);
    let expected = input.as_ref().map(|i| one_pass(job.rule.as_str(), i).len() as u64);
    let output = job.output.as_ref().map(|o| o.size);
    let counts_fit = job.plan.is_some_and(|p| p.count == job.chunks_done && p.count == job.chunks_planned)
        && job.bytes_in == job.input.size
        && Some(job.bytes_out) == output;
    if !counts_fit || expected.is_some_and(|e| Some(e) != output) || job.failure.is_some() {
        violations.push(format!("a completed job's counts do not fit ({expected:?} bytes expected): {job:?}"));
    }
}

/// What a client sent, where the input came from a client.
fn input_of(evidence: &Evidence<'_>, job: &Job) -> Option<Bytes> {
    let from_client = job.input.bucket == evidence.scenario.from();
    from_client.then(|| evidence.ledger.content(&job.input.key, &job.input.etag)).flatten()
}

/// The verdict, the counts and the reject file are those of one pass.
fn sets_aside_what_it_should(evidence: &Evidence<'_>, job: &Job, input: &[u8], violations: &mut Vec<String>) {
    let expected = Expected::of(input);
    let was_refused = job.failure.as_ref().is_some_and(|f| f.code == "too_many_rejects");
    if !was_refused && job.status != JobStatus::Completed {
        return;
    }
    let file = job.reject_file.as_ref().map(|f| evidence.store.content(&f.bucket, &f.key).unwrap_or_default());
    let wanted = (!expected.reject_file.is_empty()).then(|| Bytes::from(expected.reject_file.clone()));
    let counts_fit = (job.rejects, job.records) == (expected.rejects, expected.records)
        && job.summary.get("lines").and_then(|n| n.as_u64()) == Some(expected.records);
    if was_refused != expected.is_refused() || file != wanted || !counts_fit {
        violations.push(format!("rejects {file:?} instead of {wanted:?}, or other counts: {job:?}"));
    }
    let found = evidence.snapshot.findings.iter().find(|f| f.bucket == job.input.bucket && f.key == job.input.key);
    let is_found = found.is_some_and(|f| f.job == job.id);
    let finds = job.status == JobStatus::Completed && job.chunks_total() == 1;
    if finds != is_found {
        violations.push(format!("its finding is {found:?}: {job:?}"));
    }
}

fn is_result_of(evidence: &Evidence<'_>, job: &Job, input: &[u8], violations: &mut Vec<String>) {
    let expected = one_pass(job.rule.as_str(), input);
    match evidence.store.content(&job.target.bucket, &job.target.key) {
        Ok(found) if found == expected => {}
        Ok(found) => {
            violations.push(format!("the result is {found:?} instead of {:?}: {job:?}", Bytes::from(expected)))
        }
        Err(e) => violations.push(format!("a completed job has no result ({e}): {job:?}")),
    }
}

/// An object that a job wrote is that job's output. Where the object comes before the commit, a job that was stopped
/// in between may have left one.
fn belong_to_their_jobs(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    for object in evidence.snapshot.objects.iter().filter(|o| o.bucket == bucket("results")) {
        let origin = object.attributes.origin.as_ref();
        let job = origin.and_then(|o| evidence.snapshot.jobs.iter().find(|j| j.id == o.job));
        let made = |j: &Job| [&j.output, &j.reject_file].into_iter().flatten().any(|o| *o == object.reference());
        let is_output = job.is_some_and(made);
        let may_be_early = !evidence.scenario.publishes && job.is_some_and(|j| j.status != JobStatus::Completed);
        if !is_output && !may_be_early {
            violations.push(format!("a result is nobody's output: {object:?} of {job:?}"));
        }
    }
}
