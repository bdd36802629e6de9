//! Archives: ordered by names or by a selection of jobs, pinned, refused with the entry's place.

use crate::service::{Answer, Service, bucket, idle_service, key, service_with};
use filemill_core::ports::{BlobStore, Precondition};
use serde_json::{Value, json};
use std::io::Read;

fn zip_rule(more: Value) -> Value {
    let mut rule = json!({
        "id": "zip", "from": "orders", "output": { "bucket": "archives", "key": "{stem}.zip" },
        "process": { "kind": "archive.zip", "method": "store" },
    });
    rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    rule
}

async fn service() -> Service {
    let service = service_with(&[zip_rule(json!({}))]).await;
    service.put("notes/a.txt", b"alpha").await;
    service.put("b.txt", b"beta").await;
    service.job("notes/a.txt", "completed").await;
    service.job("b.txt", "completed").await;
    service
}

/// The ended job of an order that was taken.
async fn made(service: &Service, ordered: &Answer) -> Value {
    assert_eq!(ordered.status, 202, "{:?}", ordered.body);
    let job = ordered.json();
    let location = ordered.header("location");
    assert_eq!(location, format!("/v1/jobs/{}", job["id"].as_str().expect("an id")));
    let upload = job["upload"].as_str().expect("an upload");
    let mut feed = service.engine.listen(Some(0)).await.expect("feed");
    loop {
        let found = service.get(&format!("/v1/jobs?upload={upload}")).await.ok()["items"][0].clone();
        if ["completed", "failed"].contains(&found["status"].as_str().expect("a status")) {
            return found;
        }
        feed.next().await.expect("the feed goes on");
    }
}

/// Names and contents of a completed job's archive, in their order.
async fn entries(service: &Service, job: &Value) -> Vec<(String, String)> {
    assert_eq!(job["status"], "completed", "{job}");
    let bytes = service.store.content(&bucket("archives"), &key(job["output"]["key"].as_str().expect("a key")));
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes.expect("an archive"))).expect("a zip");
    let mut read = |index| {
        let mut entry = archive.by_index(index).expect("an entry");
        let name = entry.name().expect("a name").into_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("its content");
        (name, content)
    };
    (0..job["records"].as_u64().expect("a count") as usize).map(&mut read).collect()
}

fn pair(name: &str, content: &str) -> (String, String) {
    (name.to_owned(), content.to_owned())
}

#[tokio::test]
async fn named_files_come_in_their_order_under_their_names() {
    let service = service().await;
    let order = json!({
        "files": [{ "source": "b.txt", "destination": "in/" }, { "source": "s3://uploads/notes/a.txt" },
                  { "source": "s3://results/b.txt", "destination": "second.txt" }],
        "name": "mine", "metadata": { "order": 17 },
    });
    let job = made(&service, &service.post("/v1/archives", order).await).await;
    let expected = [pair("in/b.txt", "beta"), pair("a.txt", "alpha"), pair("second.txt", "> beta")];
    assert_eq!(entries(&service, &job).await, expected);
    assert_eq!((&job["metadata"]["order"], &job["rule"]), (&json!(17), &json!("zip")));
    let link = service.get(&format!("/v1/jobs/{}/result", job["id"].as_str().expect("id"))).await;
    assert_eq!(link.status, 303);
}

#[tokio::test]
async fn one_call_takes_the_results_of_a_selection() {
    let service = service().await;
    let all = made(&service, &service.post("/v1/archives", json!({ "jobs": { "rule": "hello" } })).await).await;
    let mut found = entries(&service, &all).await;
    found.sort();
    assert_eq!(found, [pair("b.txt", "> beta"), pair("notes/a.txt", "> alpha")]);
    // a result that was replaced counts once, one that is gone does not, and archives go into no archive unasked
    service.put("b.txt", b"gamma").await;
    let mut feed = service.engine.listen(Some(0)).await.expect("feed");
    while service.store.content(&bucket("results"), &key("b.txt")).expect("a result") != "> gamma" {
        feed.next().await.expect("the feed goes on");
    }
    service.store.delete(&bucket("results"), &key("notes/a.txt"), Precondition::None).await.expect("deleted");
    let rest = made(&service, &service.post("/v1/archives", json!({ "jobs": {} })).await).await;
    assert_eq!(entries(&service, &rest).await, [pair("b.txt", "> gamma")]);
    service.put("notes/c.txt", b"delta").await;
    service.job("notes/c.txt", "completed").await;
    let some = json!({ "jobs": { "key": "notes/*", "status": "completed" } });
    let some = made(&service, &service.post("/v1/archives", some).await).await;
    assert_eq!(entries(&service, &some).await, [pair("notes/c.txt", "> delta")]);
    for (selection, field) in [
        (json!({ "key": "none" }), "jobs"),
        (json!({ "status": "failed" }), "jobs"),
        (json!({ "limit": 5 }), "jobs"),
        (json!({ "rule": "a b" }), "jobs: rule"),
    ] {
        let refused = service.post("/v1/archives", json!({ "jobs": selection })).await;
        assert_eq!(refused.status, 422, "{selection}");
        assert!(String::from_utf8_lossy(&refused.body).contains(field), "{selection}: {:?}", refused.body);
    }
}

#[tokio::test]
async fn what_cannot_be_archived_is_refused_by_its_place() {
    let service = service().await;
    for (order, says) in [
        (json!({}), "either files or jobs"),
        (json!({ "files": [], "jobs": {} }), "either files or jobs"),
        (json!({ "files": [] }), "at least one"),
        (json!({ "files": [{ "source": "b.txt" }, { "source": "gone" }] }), "files[1].source: there is no gone"),
        (json!({ "files": [{ "source": "s3://elsewhere/x" }] }), "files[0].source: there is no s3://elsewhere/x"),
        (json!({ "files": [{ "source": "s3://uploads" }] }), "files[0].source"),
        (json!({ "files": [{ "source": "b.txt" }], "rule": "hello" }), "makes no archives"),
        (json!({ "files": [{ "source": "b.txt", "folder": "x" }] }), "folder"),
    ] {
        let refused = service.post("/v1/archives", order.clone()).await;
        assert_eq!(refused.status, 422, "{order}: {:?}", refused.body);
        assert!(String::from_utf8_lossy(&refused.body).contains(says), "{order}: {:?}", refused.body);
    }
    let order = json!({ "files": [{ "source": "b.txt" }], "rule": "nope" });
    assert!(service.post("/v1/archives", order).await.status.is_client_error());
    let order = json!({ "files": [{ "source": "b.txt" }] });
    idle_service().await.post("/v1/archives", order).await.is_problem(422, "invalid");
    let none = service.get("/v1/jobs?rule=zip").await.ok();
    assert_eq!(none["items"], json!([]), "nothing was begun");
}

/// Whoever has a link to something may fetch it, but cannot have it fetched here.
#[tokio::test]
async fn a_link_is_no_source() {
    let service = service().await;
    let here = service.get("/v1/files?prefix=b.txt").await.ok()["items"][0]["id"].as_str().expect("an id").to_owned();
    let link = service.get(&format!("/v1/files/{here}/download?redirect=false")).await.ok();
    let link = link["url"].as_str().expect("a link");
    for source in [link, "http://127.0.0.1/b.txt", "file:///etc/passwd", "/etc/passwd", "../b.txt"] {
        let refused = service.post("/v1/archives", json!({ "files": [{ "source": source }] })).await;
        assert_eq!(refused.status, 422, "{source}: {:?}", refused.body);
    }
}

/// Not there and not allowed read the same.
#[tokio::test]
async fn a_rule_reads_only_its_sources_and_lists_what_it_skips() {
    let rule = zip_rule(json!({
        "sources": ["uploads"], "process": { "kind": "archive.zip", "method": "store", "on_missing": "skip" },
    }));
    let service = service_with(&[rule]).await;
    service.put("b.txt", b"beta").await;
    service.job("b.txt", "completed").await;
    let order = json!({ "files": [{ "source": "b.txt" }, { "source": "s3://results/b.txt" }, { "source": "gone" }] });
    let job = made(&service, &service.post("/v1/archives", order).await).await;
    assert_eq!((&job["status"], &job["rejects"]), (&json!("completed"), &json!(2)), "{job}");
    let file = job["reject_file"]["key"].as_str().expect("a reject file");
    let lines = service.store.content(&bucket("archives"), &key(file)).expect("its content");
    let lines: Vec<Value> = lines
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).expect("JSON"))
        .collect();
    assert_eq!((&lines[0]["record"], &lines[1]["record"]), (&json!("s3://results/b.txt"), &json!("gone")));
    assert_eq!(lines[0]["reason"], lines[1]["reason"]);
}

/// Whoever may put an object need not be one who may read all others.
#[tokio::test]
async fn a_manifest_that_lies_in_a_bucket_reads_only_its_own_and_the_default_bucket() {
    let service = service().await;
    service
        .put_into("orders", "mine.json", br#"{"files": [{"source": "b.txt"}, {"source": "s3://results/b.txt"}]}"#)
        .await;
    let job = service.job("mine.json", "failed").await;
    assert_eq!(job["failure"]["code"], "source_missing", "{job}");
    assert!(job["failure"]["message"].as_str().expect("a text").contains("entry 2"), "{job}");
}

#[tokio::test]
async fn the_version_that_was_there_at_the_order_is_the_one_that_counts() {
    let service = service().await;
    let stale = json!({ "files": [{ "source": "b.txt", "etag": "00000000000000000000000000000000" }] });
    let job = made(&service, &service.post("/v1/archives", stale).await).await;
    assert_eq!((&job["status"], &job["failure"]["code"]), (&json!("failed"), &json!("source_changed")), "{job}");
    service.store.delete(&bucket("uploads"), &key("b.txt"), Precondition::None).await.expect("deleted");
}

#[tokio::test]
async fn an_order_sent_twice_under_one_key_is_one_job() {
    let service = service().await;
    let send = async || {
        let body = json!({ "files": [{ "source": "b.txt" }] }).to_string();
        let request = crate::service::request(axum::http::Method::POST, "/v1/archives", body.into());
        let request = crate::service::with_header(crate::service::with_json(request), "idempotency-key", "k1");
        service.send(request).await
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(first.json()["id"], second.json()["id"]);
    made(&service, &first).await;
    assert_eq!(service.get("/v1/jobs?rule=zip").await.ok()["items"].as_array().expect("items").len(), 1);
}

#[tokio::test]
async fn a_long_list_of_files_is_taken_and_one_beyond_the_limit_is_not() {
    let service = service().await;
    let long: Vec<Value> =
        (0..20_000).map(|n| json!({ "source": "b.txt", "destination": format!("{n:090}") })).collect();
    let order = json!({ "files": long });
    assert!(order.to_string().len() > 2 << 20, "longer than other requests may be");
    let job = made(&service, &service.post("/v1/archives", order).await).await;
    assert_eq!((&job["status"], &job["summary"]["entries"]), (&json!("completed"), &json!(20_000)), "{job}");
    let too_long = "x".repeat(17 << 20);
    service.post("/v1/archives", json!({ "name": too_long })).await.is_problem(413, "body_too_large");
}
