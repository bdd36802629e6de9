//! Reconcile by REST: asked for, watched, refused where it makes no sense.

use crate::service::service;
use serde_json::json;

#[tokio::test]
async fn a_run_is_asked_for_and_tells_how_it_went() {
    let service = service().await;
    service.get("/v1/reconcile").await.is_problem(404, "reconcile_run_not_found");
    service.put("a.txt", b"x").await;
    service.job("a.txt", "completed").await;
    let asked = service.post("/v1/reconcile", json!({ "bucket": "uploads", "dry_run": true })).await;
    assert_eq!(asked.status, 202);
    let run = loop {
        let run = service.get("/v1/reconcile").await.ok();
        if run["status"] == "done" {
            break run;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&run["bucket"], &run["dry_run"]), (&json!("uploads"), &json!(true)));
    assert_eq!((&run["objects"], &run["files"], &run["unknown_objects"]), (&json!(1), &json!(1), &json!(0)));
    service.post("/v1/reconcile", json!({ "bucket": "nowhere" })).await.is_problem(422, "invalid");
    service.post("/v1/reconcile", json!({ "dry": true })).await.is_problem(422, "invalid");
    let log = service.get("/v1/audit?action=reconcile").await.ok();
    assert_eq!(log["items"], json!([]), "a dry run is no order");
    service.post("/v1/reconcile", json!({})).await;
    let log = service.get("/v1/audit?action=reconcile").await.ok();
    assert_eq!(log["items"][0]["target"], "all buckets");
}
