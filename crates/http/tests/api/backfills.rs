//! Backfills by REST: counted, ordered, followed, refused.

use crate::service::service;
use serde_json::json;

#[tokio::test]
async fn a_backfill_is_counted_ordered_and_followed() {
    let service = service().await;
    service.put("a.txt", b"x").await;
    let job = service.job("a.txt", "completed").await;
    let rule = job["rule"].as_str().expect("a rule").to_owned();
    let path = format!("/v1/rules/{rule}/backfill");
    let count = service.post(&path, json!({ "dry_run": true })).await;
    assert_eq!(count.status, 200);
    let count = count.ok();
    assert_eq!((&count["files"], &count["is_complete"]), (&json!(0), &json!(true)), "it has its job");
    let order = service.post(&path, json!({ "prefix": "a", "rate": 5 })).await;
    assert_eq!(order.status, 202);
    let id = service.get("/v1/backfills").await.ok()["items"][0]["id"].as_str().expect("an id").to_owned();
    let done = loop {
        let order = service.get(&format!("/v1/backfills/{id}")).await.ok();
        if order["status"] != "running" {
            break order;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&done["status"], &done["files_seen"], &done["jobs_started"]), (&json!("done"), &json!(1), &json!(0)));
    service.post(&format!("/v1/backfills/{id}/cancel"), json!({})).await.is_problem(409, "not_cancellable");
    let log = service.get("/v1/audit?action=rule.backfill").await.ok();
    assert_eq!(log["items"][0]["target"], rule.as_str());
    service.post("/v1/rules/nope/backfill", json!({})).await.is_problem(404, "rule_not_found");
    service.post(&path, json!({ "rate": 0 })).await.is_problem(422, "invalid");
    service.post(&path, json!({ "since": "yesterday" })).await.is_problem(422, "invalid");
    service.get("/v1/backfills/bkf_nope").await.is_problem(404, "backfill_not_found");
}
