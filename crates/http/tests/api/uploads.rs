//! Promises to upload.

use crate::service::service;
use filemill_core::time::Timestamp;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_upload_answers_its_links_and_can_be_looked_at() {
    let service = service().await;
    let wish = json!({"filename": "a b.txt", "content_type": "text/plain", "size": 3, "rule": "hello", "metadata": {"order": 17}});
    let before = service.engine.now();
    let answer = service.post("/v1/uploads", wish).await;
    assert_eq!(answer.status, 201);
    let links = answer.json();
    let id = links["id"].as_str().expect("id");
    assert_eq!(answer.header("location"), format!("/v1/uploads/{id}"));
    assert_eq!(
        (&links["method"], &links["status"], &links["bucket"]),
        (&json!("PUT"), &json!("pending"), &json!("uploads"))
    );
    let folder = links["key"].as_str().and_then(|key| key.strip_suffix("/a b.txt")).expect("a folder and the name");
    let again = service.post("/v1/uploads", json!({"filename": "a b.txt"})).await.ok();
    assert!(folder.len() >= 20 && !again["key"].as_str().expect("key").starts_with(folder), "unguessable: {folder}");
    assert!(links["url"].as_str().expect("url").starts_with("http"));
    let ends = links["expires_at"].as_str().and_then(Timestamp::parse).expect("a time");
    let quarter_of_an_hour = Duration::from_secs(15 * 60);
    assert!(ends >= before.plus(quarter_of_an_hour) && ends <= service.engine.now().plus(quarter_of_an_hour));
    assert!(links.get("part_urls").is_none());

    let upload = service.get(answer.header("location")).await.ok();
    assert_eq!(upload["metadata"], json!({"order": 17}));
    assert_eq!((&upload["mode"], &upload["rule"]), (&json!("put"), &json!("hello")));
    assert!(upload.get("url").is_none(), "links are made once and never stored");
}

#[tokio::test]
async fn a_multipart_upload_answers_a_link_per_part() {
    let service = service().await;
    let wish = json!({"filename": "big", "size": 20 << 20, "mode": "multipart"});
    let links = service.post("/v1/uploads", wish).await.ok();
    let part_size = links["part_size"].as_u64().expect("part_size");
    let parts = links["part_urls"].as_array().expect("part_urls").len() as u64;
    assert_eq!(parts, (20u64 << 20).div_ceil(part_size));
    for field in ["complete_url", "abort_url", "upload_id"] {
        assert!(links[field].is_string(), "{field}");
    }
}

#[tokio::test]
async fn what_the_body_names_must_exist() {
    let service = service().await;
    for (body, field) in [
        (json!({"filename": "a", "bucket": "nowhere"}), "bucket"),
        (json!({"filename": "a", "rule": "nothing"}), "rule"),
        (json!({}), "filename"),
        (json!({"filename": "a", "options": {"text": "x"}}), "options"),
        (json!({"filename": "a", "rule": "hello", "options": {"txt": "x"}}), "options"),
        (json!({"filename": "a", "size": 6u64 << 40}), "size"),
        (json!({"filename": "a", "mode": "multipart"}), "size"),
        (json!({"filename": "a".repeat(2000)}), "filename"),
        (json!({"filename": "a", "content_type": "text/plain\r\nx: y"}), "content_type"),
        (json!({"filename": "a", "metadata": {"x": "x".repeat(20_000)}}), "metadata"),
    ] {
        let problem = service.post("/v1/uploads", body).await.is_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    assert!(service.store.snapshot().uploads.is_empty());
}

#[tokio::test]
async fn an_outage_is_503_and_never_an_empty_answer() {
    let service = service().await;
    service.fail_stores();
    let answer = service.post("/v1/uploads", json!({"filename": "a"})).await;
    let problem = answer.is_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
    assert!(!problem.to_string().contains("memory"), "no inner details: {problem}");
    for path in ["/v1/jobs", "/v1/files", "/v1/jobs/job_00000000000000000000000000", "/v1/events"] {
        service.get(path).await.is_problem(503, "unavailable");
    }
}
