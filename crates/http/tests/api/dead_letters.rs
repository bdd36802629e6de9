//! Dead letters by the REST door: a file that cannot be read is tried, gives up and is put back to work.

use crate::log;
use crate::service::{Service, bucket, key, request_by, service_with, with_json};
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

/// A service with a rule in whose second chance there is none; and a file whose bytes rotted on the disk.
async fn with_dead_letters(names: &[&str]) -> Service {
    let rule = json!({
        "id": "fragile", "from": "fragile", "process": { "kind": "lines.prefix", "text": "> " },
        "output": { "bucket": "results" }, "retry": { "attempts": 1, "backoff": "1s..1s" },
    });
    let service = service_with(&[rule]).await;
    for name in names {
        service.put_into("fragile", name, b"one\ntwo\n").await;
        service.store.flip_bit(&bucket("fragile"), &key(name));
        service.job(name, "failed").await;
    }
    service
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_dead_letter_tells_each_attempt() {
    let service = with_dead_letters(&["a.txt"]).await;
    let job = service.job("a.txt", "failed").await;
    let id = job["dead_letter"].as_str().expect("a letter").to_owned();
    let letter = service.get(&format!("/v1/dead/{id}")).await.ok();
    assert_eq!((&letter["status"], &letter["job"], &letter["queue"]), (&json!("dead"), &job["id"], &json!("default")));
    assert_eq!(
        (&letter["error"]["code"], &letter["attempts"][0]["worker"]),
        (&json!("input_corrupt"), &json!("worker"))
    );
    let queues = service.get("/v1/queues").await.ok();
    assert_eq!((&queues["items"][0]["name"], &queues["items"][0]["dead"]), (&json!("default"), &json!(1)));
    for path in ["/v1/dead", "/v1/queues/default/dead", "/v1/dead?error=input_corrupt&bucket=fragile&key=a*"] {
        assert_eq!(ids(&service.get(path).await.ok()), [id.as_str()], "{path}");
    }
    for path in ["/v1/dead?status=redriven", "/v1/dead?rule=hello", "/v1/dead?until=2001-01-01T00:00:00Z"] {
        assert!(ids(&service.get(path).await.ok()).is_empty(), "{path}");
    }
    assert_eq!(letter["options"], json!({"text": "> "}));
    let groups = service.get("/v1/dead/groups?limit=1").await.ok();
    assert_eq!((&groups["items"][0]["count"], &groups["items"][0]["example"]), (&json!(1), &json!(id)));
    service.get("/v1/dead/groups?limit=1001").await.is_problem(400, "invalid_parameter");
    service.get("/v1/queues/default/dead?queue=other").await.is_problem(400, "invalid_parameter");
    let of_two = json!({"filter": {"queue": "other"}, "dry_run": true});
    service.post("/v1/queues/default/redrive", of_two).await.is_problem(422, "invalid");
}

#[tokio::test]
async fn a_letter_is_redriven_once() {
    let service = with_dead_letters(&["a.txt"]).await;
    let id = ids(&service.get("/v1/dead").await.ok()).remove(0);
    // the bytes are mended: a second flip brings the bit back
    service.store.flip_bit(&bucket("fragile"), &key("a.txt"));
    let wrong = service.post(&format!("/v1/dead/{id}/redrive"), json!({"options": {"txt": 1}})).await;
    wrong.is_problem(422, "invalid");
    for (path, list) in [
        (format!("/v1/dead/{id}/redrive"), json!([])),
        ("/v1/dead/discard".into(), json!([{}, true])),
        ("/v1/dead/discard".into(), json!({ "filter": [] })),
        ("/v1/redrives".into(), json!({ "filter": [] })),
        ("/v1/redrives".into(), json!({ "filter": { "status": "discarded" } })),
    ] {
        service.post(&path, list).await.is_problem(422, "invalid");
    }
    let job = service.post(&format!("/v1/dead/{id}/redrive"), json!({})).await.ok();
    assert_eq!((&job["status"], &job["dead_letter"]), (&json!("queued"), &Value::Null));
    service.job("a.txt", "completed").await;
    service.post(&format!("/v1/dead/{id}/redrive"), json!({})).await.is_problem(409, "not_dead");
    service.delete(&format!("/v1/dead/{id}")).await.is_problem(409, "not_dead");
    let letter = service.get(&format!("/v1/dead/{id}")).await.ok();
    assert_eq!(
        (&letter["status"], &letter["ended"]["by"], &letter["ended"]["run"]),
        (&json!("redriven"), &json!("admin"), &json!(2))
    );
}

#[tokio::test]
async fn many_are_counted_first_and_then_redriven() {
    let names = ["a", "b", "c"];
    let service = with_dead_letters(&names).await;
    names.iter().for_each(|name| service.store.flip_bit(&bucket("fragile"), &key(name)));
    let wish = json!({"filter": {"key": "a"}, "dry_run": true});
    assert_eq!(service.post("/v1/queues/default/redrive", wish).await.ok(), json!({"count": 1}));
    assert_eq!(service.post("/v1/redrives", json!({"filter": {}, "dry_run": true})).await.ok(), json!({"count": 3}));
    service.post("/v1/redrives", json!({})).await.is_problem(422, "invalid");
    service.post("/v1/redrives", json!({"filter": {}, "rate": 0})).await.is_problem(422, "invalid");
    service.post("/v1/redrives", json!({"filter": {"rule": "no name"}})).await.is_problem(422, "invalid");
    service.post("/v1/redrives", json!({"ids": ["x"]})).await.is_problem(422, "invalid");
    let unknown = "dead_00000000000000000000000000";
    service.post("/v1/redrives", json!({"ids": [unknown]})).await.is_problem(404, "dead_letter_not_found");
    service.post("/v1/queues/none/redrive", json!({"filter": {}})).await.is_problem(404, "queue_not_found");
    let ordered = service.post("/v1/redrives", json!({"filter": {}, "rate": 1000})).await;
    assert_eq!(ordered.status, 202);
    let order = ordered.ok();
    assert_eq!((&order["status"], &order["matched"]), (&json!("running"), &json!(3)));
    for name in names {
        service.job(name, "completed").await;
    }
    let path = format!("/v1/redrives/{}", order["id"].as_str().expect("an id"));
    assert_eq!(service.get(&path).await.ok()["redriven"], 3);
    assert_eq!(service.get("/v1/redrives").await.ok()["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn letters_are_discarded_one_by_one_or_by_filter() {
    log::begin();
    let service = with_dead_letters(&["a", "b", "c"]).await;
    let all = ids(&service.get("/v1/dead").await.ok());
    let discarded = service.delete(&format!("/v1/dead/{}", all[0])).await.ok();
    assert_eq!(discarded["status"], "discarded");
    let wish = |dry_run| json!({"filter": {"queue": "default"}, "dry_run": dry_run});
    assert_eq!(service.post("/v1/dead/discard", wish(true)).await.ok(), json!({"count": 2}));
    assert_eq!(service.post("/v1/dead/discard", wish(false)).await.ok(), json!({"count": 2}));
    assert!(ids(&service.get("/v1/dead").await.ok()).is_empty());
    let log = service.get("/v1/audit?action=dead.*").await.ok();
    assert_eq!(log["items"].as_array().map(Vec::len), Some(3));
    for id in &all {
        assert_eq!(log::lines_with(&["dead letter discarded", &format!("dead_letter={id}")]), 1, "{id}");
    }
    let job = service.job("b", "failed").await;
    assert_eq!(job["status"], "failed", "it stays failed");
}

#[tokio::test]
async fn a_limited_key_sees_its_own_orders_only() {
    let service = with_dead_letters(&["a/mine", "b/other"]).await;
    let wish = json!({ "name": "k", "role": "operator", "limits": ["fragile/a/"] });
    let made = service.post("/v1/keys", wish).await.ok();
    let token = made["token"].as_str().expect("a token").to_owned();
    let order = async |request: Request<Body>| service.send(with_json(request)).await.ok();
    let by_key = |method, path: &str, body: &Value| request_by(&token, method, path, Body::from(body.to_string()));
    let filter = json!({ "filter": {} });
    let theirs = order(by_key(Method::POST, "/v1/redrives", &filter)).await;
    assert_eq!(theirs["matched"], 1, "only what lies within");
    let ours = service.post("/v1/redrives", filter).await.ok();
    let listed = order(by_key(Method::GET, "/v1/redrives", &json!({}))).await;
    let listed: Vec<&Value> = listed["items"].as_array().expect("items").iter().map(|order| &order["id"]).collect();
    assert_eq!(listed, [&theirs["id"]]);
    let path = |order: &Value| format!("/v1/redrives/{}", order["id"].as_str().expect("an id"));
    let look = async |order: &Value| service.send(request_by(&token, Method::GET, &path(order), Body::empty())).await;
    look(&theirs).await.ok();
    look(&ours).await.is_problem(404, "redrive_not_found");
    let cancel = request_by(&token, Method::POST, &format!("{}/cancel", path(&ours)), Body::empty());
    service.send(cancel).await.is_problem(404, "redrive_not_found");
}
