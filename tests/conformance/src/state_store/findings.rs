//! Surveys of jobs, and what processors found in files.

use super::refuses_whole;
use crate::backend::Backend;
use crate::samples::*;
use filemill_core::chunks::{Start, Survey};
use filemill_core::finding::{Finding, FindingRecord};
use filemill_core::job::{Job, JobStatus};
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

fn survey() -> Survey {
    let starts = [(0, 1, 0), (8 << 20, 77_000, 76_000)].map(Start::from).to_vec();
    Survey { starts, note: serde_json::json!({ "header": ["a,\"b", "\u{feff}"] }) }
}

fn insert(job: &Job) -> Change {
    Change::InsertSurvey { job: job.id.clone(), run: job.run, survey: survey() }
}

/// S1, S2
pub async fn a_survey_is_stored_once_and_read_whole(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[]).await;
    assert_eq!(backend.state.survey(&job.id, job.run).await.expect("survey"), None);
    commit(&backend, [insert(&job)]).await.expect("insert");
    assert_eq!(backend.state.survey(&job.id, job.run).await.expect("survey"), Some(survey()));
    assert_eq!(backend.state.survey(&job.id, job.run + 1).await.expect("survey"), None);
    refuses_whole(&backend, || insert(&job)).await;
}

/// S5
pub async fn cleaning_takes_the_surveys_of_ended_jobs(backend: Backend) {
    let (open, ended) = (job("open", 1), Job { status: JobStatus::Completed, ..job("ended", 2) });
    for job in [&open, &ended] {
        stored_job(&backend, job, &[plan_task(job)]).await;
        commit(&backend, [insert(job)]).await.expect("insert");
    }
    while backend.state.clean(100, 1).await.expect("clean") > 0 {}
    assert_eq!(backend.state.survey(&open.id, 1).await.expect("survey"), Some(survey()));
    assert_eq!(backend.state.survey(&ended.id, 1).await.expect("survey"), None);
}

fn found(processor: &str, name: &str, label: &str, score: f64, second: u64) -> FindingRecord {
    let values = BTreeMap::from([("score".to_owned(), score)]);
    FindingRecord {
        owner: None,
        processor: processor.into(),
        bucket: bucket(),
        key: key(name),
        job: job(name, second).id,
        at: time().plus(Duration::from_secs(second)),
        finding: Finding { label: label.into(), values },
    }
}

async fn names(backend: &Backend, query: FindingQuery) -> Vec<String> {
    let limit = if query.limit == 0 { 100 } else { query.limit };
    let page = backend.state.findings(&FindingQuery { limit, ..query }).await.expect("findings");
    page.items.iter().map(|f| f.key.to_string()).collect()
}

/// S9
pub async fn an_object_has_one_finding_by_processor(backend: Backend) {
    let (first, second) = (found("mood", "a", "BAD", 0.25, 1), found("mood", "a", "GOOD", 0.75, 2));
    let other = found("size", "a", "LARGE", 9.0, 1);
    commit(&backend, [Change::PutFinding(first), Change::PutFinding(other.clone())]).await.expect("put");
    commit(&backend, [Change::PutFinding(second.clone())]).await.expect("replace");
    let all = FindingQuery { limit: 10, ..FindingQuery::default() };
    assert_eq!(backend.state.findings(&all).await.expect("findings").items, [second.clone(), other.clone()]);
    let gone = || Change::RemoveFinding { processor: "mood".into(), bucket: bucket(), key: key("a") };
    commit(&backend, [gone()]).await.expect("remove");
    commit(&backend, [gone()]).await.expect("removing nothing is fine");
    assert_eq!(backend.state.findings(&all).await.expect("findings").items, [other]);
}

/// S9
pub async fn findings_are_found_by_each_property_in_pages(backend: Backend) {
    let all = [
        found("mood", "a/1", "GOOD", 1.0, 1),
        found("mood", "a/2", "BAD", -1.0, 2),
        found("mood", "b", "GOOD", 0.5, 3),
        found("size", "b", "LARGE", 3.0, 4),
    ];
    for finding in &all {
        commit(&backend, [Change::PutFinding(finding.clone())]).await.expect("put");
    }
    let any = FindingQuery::default;
    let at = |second| -> Option<Timestamp> { Some(time().plus(Duration::from_secs(second))) };
    for (query, expected) in [
        (any(), vec!["a/1", "a/2", "b", "b"]),
        (FindingQuery { processor: Some("mood".into()), ..any() }, vec!["a/1", "a/2", "b"]),
        (FindingQuery { label: Some("GOOD".into()), ..any() }, vec!["a/1", "b"]),
        (FindingQuery { key: Some("a/*".into()), ..any() }, vec!["a/1", "a/2"]),
        (FindingQuery { key: Some("a/".into()), ..any() }, vec![]),
        (FindingQuery { bucket: Some(bucket()), key: Some("b".into()), ..any() }, vec!["b", "b"]),
        (FindingQuery { since: at(2), until: at(4), ..any() }, vec!["a/2", "b"]),
    ] {
        assert_eq!(names(&backend, query.clone()).await, expected, "{query:?}");
    }
    let mut query = FindingQuery { limit: 1, ..any() };
    let mut paged = Vec::new();
    loop {
        let page = backend.state.findings(&query).await.expect("findings");
        let last = page.items.last().expect("a finding").clone();
        query.after = Some((last.bucket, last.key, last.processor));
        paged.extend(page.items);
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, all);
}

/// S9
pub async fn findings_are_counted_and_averaged(backend: Backend) {
    let empty = backend.state.finding_summary(&FindingQuery::default()).await.expect("summary");
    assert_eq!(empty, FindingSummary::default());
    for (name, label, score) in [("a", "GOOD", 1.0), ("b", "GOOD", 0.5), ("c", "BAD", -0.75)] {
        commit(&backend, [Change::PutFinding(found("mood", name, label, score, 1))]).await.expect("put");
    }
    let summary = backend.state.finding_summary(&FindingQuery::default()).await.expect("summary");
    assert_eq!((summary.count, summary.labels.get("GOOD"), summary.means.get("score")), (3, Some(&2), Some(&0.25)));
    let good = FindingQuery { label: Some("GOOD".into()), limit: 1, ..FindingQuery::default() };
    let summary = backend.state.finding_summary(&good).await.expect("summary");
    assert_eq!((summary.count, summary.labels.len(), summary.means.get("score")), (2, 1, Some(&0.75)));
}
