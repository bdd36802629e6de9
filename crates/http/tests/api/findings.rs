//! Findings: rows with filters and pages, counts and averages; they go with their file.

use crate::service::{Service, bucket, key, service_with};
use filemill_core::ports::{BlobStore, Precondition};
use serde_json::{Value, json};

async fn service() -> Service {
    let rule = json!({
        "id": "mood", "from": "notes", "output": { "bucket": "moods" }, "process": { "kind": "text.sentiment" },
    });
    let service = service_with(&[rule]).await;
    let notes: [(&str, &[u8]); 3] =
        [("a/1", b"I love this. It is wonderful!"), ("a/2", b"This is terrible, I hate it."), ("b", b"It is a table.")];
    for (name, text) in notes {
        service.put_into("notes", name, text).await;
        service.job(name, "completed").await;
    }
    service
}

async fn found(service: &Service, query: &str) -> Vec<String> {
    let list = service.get(&format!("/v1/findings?{query}")).await.ok();
    let items = list["items"].as_array().expect("items").clone();
    items
        .iter()
        .map(|f| format!("{} {}", f["key"].as_str().expect("a key"), f["label"].as_str().expect("a label")))
        .collect()
}

#[tokio::test]
async fn findings_are_listed_filtered_and_paged() {
    let service = service().await;
    let all = ["a/1 POSITIVE", "a/2 NEGATIVE", "b NEUTRAL"];
    assert_eq!(found(&service, "").await, all);
    assert_eq!(found(&service, "processor=text.sentiment&label=NEGATIVE").await, ["a/2 NEGATIVE"]);
    assert_eq!(found(&service, "key=a/*").await, all[..2]);
    assert_eq!(found(&service, "since=2999-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(found(&service, "until=2999-01-01T00:00:00Z&bucket=notes").await, all);
    let mut paged = Vec::new();
    let mut query = "limit=1".to_owned();
    loop {
        let page = service.get(&format!("/v1/findings?{query}")).await.ok();
        paged.extend(page["items"].as_array().expect("items").iter().map(|f| f["key"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("limit=1&cursor={cursor}");
    }
    assert_eq!(paged, [json!("a/1"), json!("a/2"), json!("b")]);
}

#[tokio::test]
async fn findings_are_counted_and_averaged() {
    let service = service().await;
    let summary = service.get("/v1/findings/summary?processor=text.sentiment").await.ok();
    assert_eq!(summary["count"], 3);
    assert_eq!(summary["labels"], json!({ "POSITIVE": 1, "NEGATIVE": 1, "NEUTRAL": 1 }));
    let average = |name: &str| summary["averages"][name].as_f64().expect("a number");
    let sum = average("positive") + average("negative") + average("neutral") + average("mixed");
    assert!((sum - 1.0).abs() < 1e-6, "{summary}");
    assert_eq!(service.get("/v1/findings/summary?label=NONE").await.ok()["count"], 0);
}

#[tokio::test]
async fn a_finding_goes_with_its_file_and_is_replaced_by_a_newer_version() {
    let service = service().await;
    service.store.delete(&bucket("notes"), &key("b"), Precondition::None).await.expect("deleted");
    service.put_into("notes", "a/1", b"I hate this. It is awful!").await;
    let mut feed = service.engine.listen(Some(0)).await.expect("feed");
    while found(&service, "").await != ["a/1 NEGATIVE", "a/2 NEGATIVE"] {
        feed.next().await.expect("the feed goes on");
    }
}

#[tokio::test]
async fn wrong_filters_are_named() {
    let service = service().await;
    for (query, name) in [
        ("since=yesterday", "since"),
        ("limit=0", "limit"),
        ("bucket=A", "bucket"),
        ("cursor=x", "cursor"),
        ("x=1", "x"),
    ] {
        let refused = service.get(&format!("/v1/findings?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert!(String::from_utf8_lossy(&refused.body).contains(name), "{query}: {:?}", refused.body);
    }
    let unpaged: Value = service.get("/v1/findings/summary?limit=5").await.json();
    assert_eq!(unpaged["status"], 400, "a summary has no pages");
}
