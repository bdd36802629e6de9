//! Files: listed, looked at, downloaded, deleted.

use crate::service::{bucket, key, service};
use filemill_core::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

async fn listed(service: &crate::service::Service, query: &str) -> Vec<String> {
    let list = service.get(&format!("/v1/files?{query}")).await.ok();
    let items = list["items"].as_array().expect("items");
    items.iter().map(|f| format!("{}/{}", f["bucket"].as_str().expect("b"), f["key"].as_str().expect("k"))).collect()
}

#[tokio::test]
async fn files_are_listed_with_their_results_by_bucket_and_key() {
    let service = service().await;
    for name in ["b.txt", "a/1.txt", "a/2.txt"] {
        service.put(name, b"x").await;
        service.job(name, "completed").await;
    }
    assert_eq!(listed(&service, "bucket=uploads").await, ["uploads/a/1.txt", "uploads/a/2.txt", "uploads/b.txt"]);
    assert_eq!(listed(&service, "bucket=uploads&prefix=a/").await, ["uploads/a/1.txt", "uploads/a/2.txt"]);
    assert_eq!(listed(&service, "bucket=nowhere").await, Vec::<String>::new());

    let mut joined = Vec::new();
    let mut query = "bucket=uploads&limit=1".to_owned();
    loop {
        joined.extend(listed(&service, &query).await);
        let page = service.get(&format!("/v1/files?{query}")).await.ok();
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("bucket=uploads&limit=1&cursor={cursor}");
    }
    assert_eq!(joined, listed(&service, "bucket=uploads").await);
}

#[tokio::test]
async fn a_file_is_downloaded_by_a_signed_link_and_deleted_with_its_bytes() {
    let service = service().await;
    service.put("a.txt", b"hello").await;
    service.job("a.txt", "completed").await;
    let list = service.get("/v1/files?bucket=uploads").await.ok();
    let file = &list["items"][0];
    let path = format!("/v1/files/{}", file["id"].as_str().expect("id"));
    assert_eq!(&service.get(&path).await.ok(), file);
    assert_eq!((&file["size"], &file["upload"], &file["job"]), (&json!(5), &Value::Null, &Value::Null));

    let redirect = service.get(&format!("{path}/download")).await;
    assert_eq!(redirect.status, 303);
    let before = service.engine.now();
    let link = service.get(&format!("{path}/download?redirect=false")).await.ok();
    assert_eq!(redirect.header("location"), link["url"].as_str().expect("url"));
    let ends = link["expires_at"].as_str().and_then(Timestamp::parse).expect("a time");
    let hour = Duration::from_secs(60 * 60);
    assert!(ends >= before.plus(hour) && ends <= service.engine.now().plus(hour));

    let deleted = service.delete(&path).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    assert!(service.store.content(&bucket("uploads"), &key("a.txt")).is_err(), "the bytes are gone");
    service.get(&path).await.is_problem(404, "file_not_found");
    service.delete(&path).await.is_problem(404, "file_not_found");
    assert_eq!(listed(&service, "bucket=uploads").await, Vec::<String>::new());
}
