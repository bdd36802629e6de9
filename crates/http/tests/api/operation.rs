//! Health, metrics, rules, processors, the document.

use crate::log;
use crate::service::{TOKEN, request, service, with_header, without_token};
use axum::body::Body;
use axum::http::Method;
use filemill_core::message::{MessageQueueName, MessageQueueSettings, NewMessage};
use filemill_core::ports::MessageQueues;
use filemill_http::{ApiConfig, ApiDoor};
use serde_json::{Value, json};

#[tokio::test]
async fn rules_and_processors_are_listed() {
    let service = service().await;
    let rules = service.get("/v1/rules").await.ok();
    assert_eq!(rules["next_cursor"], Value::Null);
    let rule = &rules["items"][0];
    assert_eq!((&rule["id"], &rule["from"], &rule["queue"]), (&json!("hello"), &json!("uploads"), &json!("default")));
    assert_eq!(rule["process"], json!({"kind": "lines.prefix", "text": "> "}));
    assert_eq!(rule["output"], json!({"bucket": "results", "key": "{key}"}));
    let processors = service.get("/v1/processors").await.ok();
    let prefix = processors["items"].as_array().expect("items").iter().find(|p| p["kind"] == "lines.prefix");
    assert_eq!(prefix.expect("lines.prefix")["options"][0]["name"], "text");
}

#[tokio::test]
async fn health_asks_for_no_token_and_tells_nothing_more() {
    let service = service().await;
    let ask = |path: &'static str| service.send(without_token(request(Method::GET, path, Body::empty())));
    assert_eq!(ask("/healthz").await.ok(), json!({"status": "ok"}));
    assert_eq!(ask("/readyz").await.ok(), json!({"status": "ready", "storage": "ok"}));
}

#[tokio::test]
async fn a_full_store_refuses_uploads_with_507_and_stays_ready() {
    let service = service().await;
    service.store.set_room(Some(0));
    let refused = service.post("/v1/uploads", json!({"filename": "a.log"})).await;
    assert_eq!(refused.header("retry-after"), "30");
    refused.is_problem(507, "storage_full");
    let ready = service.send(without_token(request(Method::GET, "/readyz", Body::empty()))).await;
    assert_eq!(ready.ok(), json!({"status": "ready", "storage": "full"}));
    service.store.set_room(Some(1 << 20));
    service.post("/v1/uploads", json!({"filename": "a.log", "size": 2 << 20})).await.is_problem(507, "storage_full");
    assert_eq!(service.post("/v1/uploads", json!({"filename": "a.log", "size": 1000})).await.status, 201);
}

#[tokio::test]
async fn readiness_fails_with_the_stores_and_life_goes_on() {
    let service = service().await;
    service.fail_stores();
    let answer = service.send(without_token(request(Method::GET, "/readyz", Body::empty()))).await;
    answer.is_problem(503, "not_ready");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(service.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let mut service = service().await;
    service.get("/metrics").await.is_problem(404, "metrics_off");

    let recorder = filemill_http::metrics::install().expect("the only recorder of this test process");
    let engine = service.engine.clone();
    let config = ApiConfig {
        keeper: None,
        engine,
        admin_token: TOKEN.to_owned(),
        metrics: Some(recorder),
        rates: filemill_http::Rates::default(),
        allowed_origins: Vec::new(),
        version: "1.2.3".to_owned(),
    };
    service.router = ApiDoor::new(config).router();
    service.get("/v1/jobs/job_00000000000000000000000000").await.is_problem(404, "job_not_found");
    service.put("a.txt", b"x").await;
    service.job("a.txt", "completed").await;
    let queue = MessageQueueName::parse("orders").expect("a name");
    service.store.create_queue(&queue, &MessageQueueSettings::default()).await.expect("a queue");
    service.store.send(&queue, vec![NewMessage::of("one")]).await.expect("sent");
    let answer = service.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(answer.body.to_vec()).expect("text");
    for line in [
        "filemill_http_requests_total{route=\"/v1/jobs/{id}\",method=\"GET\",status=\"404\"} ",
        "filemill_http_request_seconds_bucket{route=\"/v1/jobs/{id}\",method=\"GET\",le=\"0.001\"} ",
        "filemill_jobs{status=\"queued\"} 0",
        "filemill_jobs_total{rule=\"hello\",status=\"completed\"} ",
        "filemill_expired_total{what=\"object\"} ",
        "filemill_tasks{state=\"ready\"} 0",
        "filemill_store_up 1",
        "filemill_message_queue_messages{queue=\"orders\",state=\"visible\"} 1",
        "filemill_message_queue_oldest_age_seconds{queue=\"orders\"} 0",
        "filemill_build_info{version=\"1.2.3\"} 1",
        "filemill_uptime_seconds ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    for metric in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(text.contains(&format!("# HELP {metric} ")), "{metric} has no HELP");
    }
    service.store.delete_queue(&queue).await.expect("it was there");
    let text = String::from_utf8(service.get("/metrics").await.body.to_vec()).expect("text");
    assert!(!text.contains("orders"), "nothing stays of a removed queue: {text}");
    service.fail_stores();
    let text = String::from_utf8(service.get("/metrics").await.body.to_vec()).expect("text");
    assert!(text.contains("filemill_store_up 0"), "{text}");
}

#[tokio::test]
async fn the_front_page_links_the_document() {
    let page = service().await.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(String::from_utf8_lossy(&page.body).contains("/openapi.json"));
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let service = service().await;
    let answer = service.send(request(Method::HEAD, "/v1/rules", Body::empty())).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    let spoofed = with_header(request(Method::HEAD, "/v1/nothing", Body::empty()), "x-forwarded-for", "1.2.3.4");
    assert_eq!(service.send(spoofed).await.status, 404);
}

/// `UPDATE_GOLDEN=1 cargo test -p filemill-http` writes the document anew.
#[tokio::test]
async fn the_document_is_the_golden_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let service = service().await;
    let served = service.send(without_token(request(Method::GET, "/openapi.json", Body::empty()))).await;
    let served = String::from_utf8(served.body.to_vec()).expect("text");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &served).expect("docs/openapi.json can be written");
    }
    let golden = std::fs::read_to_string(path).expect("docs/openapi.json");
    assert!(
        golden == served,
        "docs/openapi.json is not what the handlers say; look at the change, then UPDATE_GOLDEN=1"
    );
}

#[tokio::test]
async fn every_operation_of_the_document_is_described() {
    let document: Value =
        serde_json::from_str(&filemill_http::api::openapi_document(std::iter::empty())).expect("JSON");
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let at = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{at} has no summary");
            let answers = operation["responses"].as_object().expect("responses");
            assert!(answers.keys().any(|status| status.starts_with(['1', '2', '3'])), "{at} has no good answer");
            for (status, answer) in answers.iter().filter(|(status, _)| status.as_str() >= "400") {
                let schema = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{at} {status}");
            }
        }
    }
}

#[tokio::test]
async fn secrets_and_signed_links_never_reach_the_log() {
    log::begin();
    let service = service().await;
    service.put("a", b"x").await;
    let job = service.job("a", "completed").await;
    let ticket = service.post("/v1/tickets", json!({})).await.json()["ticket"].as_str().expect("ticket").to_owned();
    let events = format!("/v1/events?ticket={ticket}");
    assert_eq!(service.open(without_token(request(Method::GET, &events, Body::empty()))).await.status(), 200);
    let wrong = with_header(request(Method::GET, "/v1/jobs", Body::empty()), "authorization", "Bearer wrong-secret");
    service.send(wrong).await.is_problem(401, "unauthorized");
    let once =
        with_header(request(Method::POST, "/v1/uploads", Body::from("{\"filename\": \"a\"}")), "idempotency-key", "k");
    let links = service.send(with_header(once, "content-type", "application/json")).await.ok();
    let result = format!("/v1/jobs/{}/result", job["id"].as_str().expect("id"));
    assert_eq!(service.get(&result).await.status, 303);
    service.fail_stores();
    service.get("/v1/jobs").await.is_problem(503, "unavailable");

    let log = log::text();
    assert!(log.contains("a store is unavailable") && log.contains("/v1/uploads"), "something is logged: {log}");
    for secret in [TOKEN, "wrong-secret", &ticket, links["url"].as_str().expect("url"), "memory.invalid"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
