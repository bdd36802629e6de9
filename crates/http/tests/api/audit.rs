//! The audit log: every order of a person, and nothing that was refused.

use crate::service::idle_service;
use serde_json::json;

#[tokio::test]
async fn an_order_is_in_the_log_and_a_refused_one_is_not() {
    let service = idle_service().await;
    service.put("a.txt", b"x").await;
    let job = service.job("a.txt", "queued").await["id"].as_str().expect("id").to_owned();
    service.post(&format!("/v1/jobs/{job}/retry"), json!({})).await.is_problem(409, "not_retryable");
    service.post(&format!("/v1/jobs/{job}/cancel"), json!({})).await.ok();
    service.post(&format!("/v1/jobs/{job}/cancel"), json!({})).await.is_problem(409, "not_cancellable");
    service.post(&format!("/v1/jobs/{job}/retry"), json!({})).await.ok();
    let files = service.get("/v1/files").await.ok();
    let file = files["items"][0]["id"].as_str().expect("a file").to_owned();
    assert_eq!(service.delete(&format!("/v1/files/{file}")).await.status, 204);

    let log = service.get("/v1/audit").await.ok();
    let items = log["items"].as_array().expect("items");
    let mut told: Vec<_> = items.iter().map(|e| format!("{} {}", e["action"], e["target"])).collect();
    told.sort();
    let orders = [("file.delete", &file), ("job.cancel", &job), ("job.retry", &job)];
    assert_eq!(told, orders.map(|(action, target)| format!("\"{action}\" \"{target}\"")));
    assert_eq!(log["items"][0]["actor"], "admin");
    let deleted = items.iter().find(|e| e["action"] == "file.delete").expect("the deletion");
    assert_eq!(deleted["detail"]["key"], "a.txt");

    let count = async |query: &str| {
        let log = service.get(&format!("/v1/audit?{query}")).await.ok();
        log["items"].as_array().expect("items").len()
    };
    assert_eq!(count(&format!("target={job}")).await, 2);
    assert_eq!(count("action=job.*&actor=admin").await, 2);
    assert_eq!(count("action=job.cancel").await, 1);
    assert_eq!(count("actor=somebody").await, 0);
    assert_eq!(count("until=2001-01-01T00:00:00Z").await, 0);
    assert_eq!(count("since=1970-01-01T00:00:00Z").await, 3);
}
