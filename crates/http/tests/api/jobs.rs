//! Jobs, from their birth to their result.

use crate::service::{idle_service, service};
use filemill_core::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_job_reads_as_documented() {
    let service = service().await;
    service.put("a.txt", b"one\ntwo\n").await;
    let job = service.job("a.txt", "completed").await;
    let fields: Vec<&str> = job.as_object().expect("object").keys().map(String::as_str).collect();
    let documented = [
        "id",
        "status",
        "tenant",
        "rule",
        "processor",
        "input",
        "generation",
        "output",
        "chunks",
        "bytes",
        "records",
        "rejects",
        "reject_file",
        "summary",
        "attempts",
        "failure",
        "dead_letter",
        "upload",
        "metadata",
        "created_at",
        "started_at",
        "finished_at",
    ];
    assert_eq!(fields, documented);
    assert_eq!((&job["rule"], &job["processor"]), (&json!("hello"), &json!("lines.prefix")));
    assert_eq!(job["chunks"], json!({"total": 1, "done": 1}));
    assert_eq!(job["bytes"], json!({"in": 8, "out": 12}));
    assert_eq!(job["input"]["key"], "a.txt");
    assert_eq!((&job["output"]["bucket"], &job["output"]["size"]), (&json!("results"), &json!(12)));
    assert_eq!((&job["failure"], &job["upload"], &job["metadata"]), (&Value::Null, &Value::Null, &json!({})));
    let id = job["id"].as_str().expect("id");
    assert_eq!(service.get(&format!("/v1/jobs/{id}")).await.ok(), job);
}

#[tokio::test]
async fn pages_join_to_the_whole_list_newest_first() {
    let service = idle_service().await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        service.put(name, b"x").await;
        service.job(name, "queued").await;
    }
    let ids = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("items");
        items.iter().map(|job| job["id"].as_str().expect("id").to_owned()).collect()
    };
    let whole = service.get("/v1/jobs").await.ok();
    assert_eq!(whole["next_cursor"], Value::Null);
    let mut sorted = ids(&whole);
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!((ids(&whole).len(), ids(&whole)), (names.len(), sorted));

    let mut joined = Vec::new();
    let mut path = "/v1/jobs?limit=2".to_owned();
    loop {
        let page = service.get(&path).await.ok();
        joined.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/jobs?limit=2&cursor={cursor}");
    }
    assert_eq!(joined, ids(&whole));
}

#[tokio::test]
async fn filters_are_anded() {
    let service = idle_service().await;
    service.put("logs/a", b"x").await;
    service.put("other", b"x").await;
    service.job("logs/a", "queued").await;
    service.job("other", "queued").await;
    for (query, count) in [
        ("key=logs/a", 1),
        ("key=logs/*", 1),
        ("rule=hello", 2),
        ("rule=another", 0),
        ("bucket=uploads&status=queued", 2),
        ("bucket=results", 0),
        ("status=failed", 0),
        ("upload=upl_00000000000000000000000000", 0),
    ] {
        let list = service.get(&format!("/v1/jobs?{query}")).await.ok();
        assert_eq!(list["items"].as_array().expect("items").len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_result_is_a_signed_link() {
    let service = service().await;
    service.put("a.txt", b"x").await;
    let job = service.job("a.txt", "completed").await;
    let path = format!("/v1/jobs/{}/result", job["id"].as_str().expect("id"));
    let redirect = service.get(&path).await;
    assert_eq!(redirect.status, 303);
    let link = service.get(&format!("{path}?redirect=false")).await.ok();
    assert_eq!(redirect.header("location"), link["url"].as_str().expect("url"));
    assert!(link["expires_at"].as_str().expect("time").ends_with('Z'));
    assert_eq!(service.get(&format!("{path}?redirect=true")).await.status, 303);
    service.get(&format!("{path}?redirect=maybe")).await.is_problem(400, "invalid_parameter");
}

#[tokio::test(start_paused = true)]
async fn links_to_a_result_or_a_file_live_for_an_hour() {
    let service = service().await;
    service.put("a.txt", b"x").await;
    let job = service.job("a.txt", "completed").await;
    let file = service.get("/v1/files?prefix=a.txt").await.ok()["items"][0]["id"].as_str().expect("an id").to_owned();
    let job = job["id"].as_str().expect("an id");
    for path in [format!("/v1/jobs/{job}/result"), format!("/v1/files/{file}/download")] {
        let (before, link) = (service.engine.now(), service.get(&format!("{path}?redirect=false")).await.ok());
        let ends = link["expires_at"].as_str().and_then(Timestamp::parse).expect("a time");
        let hour = Duration::from_secs(3600);
        assert!(ends >= before.plus(hour) && ends <= service.engine.now().plus(hour), "{path}: {ends}");
    }
}

#[tokio::test]
async fn a_job_without_a_result_says_so() {
    let service = idle_service().await;
    service.put("a.txt", b"x").await;
    let job = service.job("a.txt", "queued").await;
    service.get(&format!("/v1/jobs/{}/result", job["id"].as_str().expect("id"))).await.is_problem(409, "no_result");
}

#[tokio::test]
async fn a_queued_job_is_cancelled_and_retried() {
    let service = idle_service().await;
    service.put("a.txt", b"x").await;
    let id = service.job("a.txt", "queued").await["id"].as_str().expect("id").to_owned();
    let (cancel, retry) = (format!("/v1/jobs/{id}/cancel"), format!("/v1/jobs/{id}/retry"));
    service.post(&retry, json!({})).await.is_problem(409, "not_retryable");
    let cancelled = service.post_text(&cancel, "").await.ok();
    assert_eq!(cancelled["status"], "cancelled");
    service.post(&cancel, json!({})).await.is_problem(409, "not_cancellable");
    assert_eq!(service.post(&retry, json!({})).await.ok()["status"], "queued");
}

#[tokio::test]
async fn a_completed_job_is_neither_cancelled_nor_retried() {
    let service = service().await;
    service.put("a.txt", b"x").await;
    let id = service.job("a.txt", "completed").await["id"].as_str().expect("id").to_owned();
    service.post(&format!("/v1/jobs/{id}/cancel"), json!({})).await.is_problem(409, "not_cancellable");
    service.post(&format!("/v1/jobs/{id}/retry"), json!({})).await.is_problem(409, "not_retryable");
}
