//! Records that were set aside: on the job, as a file, and beyond the rule's tolerance. And what rules explain.

use crate::service::{Service, bucket, key, service_with};
use serde_json::{Value, json};

async fn service() -> Service {
    let rule = json!({
        "id": "rows", "from": "tables", "output": { "bucket": "rows", "key": "{stem}.jsonl" },
        "match": { "key": [{ "suffix": ".csv" }], "size": [{ "lte": 1000 }] },
        "process": { "kind": "csv.transform", "to": "jsonl", "ragged": "reject" },
        "rejects": { "percent": 50 },
    });
    service_with(&[rule]).await
}

#[tokio::test]
async fn a_job_with_rejects_completes_and_tells_where_they_are() {
    let service = service().await;
    service.put_into("tables", "a.csv", b"x,y\n1,2\n3\n4,5\n").await;
    let job = service.job("a.csv", "completed").await;
    assert_eq!((&job["records"], &job["rejects"]), (&json!(3), &json!(1)), "{job}");
    assert_eq!(job["reject_file"]["key"], "a.jsonl.rejects.jsonl");
    let content = service.store.content(&bucket("rows"), &key("a.jsonl.rejects.jsonl")).expect("the rejects");
    let reject: Value = serde_json::from_slice(&content).expect("one line of JSON");
    assert_eq!((&reject["line"], &reject["byte"], &reject["record"]), (&json!(3), &json!(8), &json!("3")));
    let id = job["id"].as_str().expect("an id");
    let link = service.get(&format!("/v1/jobs/{id}/rejects?redirect=false")).await.ok();
    assert!(link["url"].as_str().expect("a link").contains("/rows/"), "{link}");
    assert_eq!(service.get(&format!("/v1/jobs/{id}/rejects")).await.status, 303);
}

#[tokio::test]
async fn too_many_rejects_leave_no_result_and_all_of_the_rejects() {
    let service = service().await;
    service.put_into("tables", "b.csv", b"x,y\n1\n2\n3,4\n").await;
    let job = service.job("b.csv", "failed").await;
    assert_eq!(job["failure"]["code"], "too_many_rejects", "{job}");
    assert_eq!(job["failure"]["message"], "2 of 3 records were rejected; the rule allows 50 %");
    assert!(job["output"].is_null());
    assert!(service.store.content(&bucket("rows"), &key("b.jsonl")).is_err());
    let rejects = service.store.content(&bucket("rows"), &key("b.jsonl.rejects.jsonl")).expect("the rejects");
    assert_eq!(rejects.iter().filter(|b| **b == b'\n').count(), 2);
}

#[tokio::test]
async fn a_job_without_rejects_has_no_reject_file() {
    let service = service().await;
    service.put_into("tables", "c.csv", b"x,y\n1,2\n").await;
    let job = service.job("c.csv", "completed").await;
    assert!(job["reject_file"].is_null());
    let refused = service.get(&format!("/v1/jobs/{}/rejects", job["id"].as_str().expect("an id"))).await;
    refused.is_problem(409, "no_rejects");
    service.get("/v1/jobs/job_00000000000000000000000000/rejects").await.is_problem(404, "job_not_found");
}

#[tokio::test]
async fn rules_explain_what_they_would_do_with_an_object() {
    let service = service().await;
    let explain = async |body: Value| service.post("/v1/rules/explain", body).await;
    let answer = explain(json!({ "bucket": "tables", "key": "in/a.csv", "size": 10 })).await.ok();
    let items = answer["items"].as_array().expect("items");
    assert_eq!((&items[0]["rule"], &items[0]["starts"]), (&json!("hello"), &json!(false)));
    assert_eq!(items[0]["reason"], "it takes objects of uploads");
    assert_eq!((&items[1]["rule"], &items[1]["starts"]), (&json!("rows"), &json!(true)));
    assert_eq!(items[1]["output"], json!({ "bucket": "rows", "key": "a.jsonl" }));
    for (object, reason) in [
        (json!({ "bucket": "tables", "key": "a.txt" }), "its match says no"),
        (json!({ "bucket": "tables", "key": "a.csv", "size": 1001 }), "its match says no"),
    ] {
        assert_eq!(explain(object).await.ok()["items"][1]["reason"], reason);
    }
    assert_eq!(explain(json!({ "key": "a" })).await.ok()["items"][0]["starts"], true, "the default bucket");
    explain(json!({ "bucket": "tables" })).await.is_problem(422, "invalid");
}
