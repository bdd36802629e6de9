//! Keys: made with their secrets, used, exchanged, revoked and run out; limited to places; and what they have open.

use crate::service::{
    Service, TOKEN, bucket, door, idle_service, key, request_by, service, service_of_tenants, with_json,
};
use axum::body::Body;
use axum::http::Method;
use futures::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
const MANY_CHUNKS: usize = 20 << 20;

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}")).to_owned()
}

async fn make(service: &Service, wish: Value) -> Value {
    service.post("/v1/keys", wish).await.ok()
}

async fn status(service: &Service, token: &str, path: &str) -> u16 {
    service.send(request_by(token, Method::GET, path, Body::empty())).await.status.as_u16()
}

#[tokio::test]
async fn a_keys_secrets_are_told_once_and_stored_nowhere() {
    let service = service().await;
    let made = make(&service, json!({ "name": "scanner", "role": "viewer" })).await;
    let (token, secret) = (text(&made, "token"), text(&made, "secret_access_key"));
    assert!(token.starts_with("fmk_") && token.len() == 68, "256 bits: {token}");
    assert_eq!(status(&service, &token, "/v1/jobs").await, 200);
    let id = text(&made, "id");
    let shown = [service.get("/v1/keys").await, service.get(&format!("/v1/keys/{id}")).await];
    let audit = service.get("/v1/audit").await;
    let stored = format!("{:?}", service.store.snapshot());
    for text in shown.iter().chain([&audit]).map(|a| String::from_utf8_lossy(&a.body).into_owned()).chain([stored]) {
        assert!(text.contains("scanner") && !text.contains(&token) && !text.contains(&secret), "{text}");
    }
    assert_eq!(shown[1].ok()["created_by"], "admin");
    let entry = &audit.ok()["items"][0];
    assert_eq!((&entry["action"], &entry["target"]), (&json!("key.create"), &json!(id)));
}

/// Neither half of a pair, nor what a link shows of it, is a token.
#[tokio::test]
async fn what_opens_the_s3_door_opens_nothing_here() {
    let service = service().await;
    let made = make(&service, json!({ "name": "k", "role": "admin" })).await;
    let (id, secret) = (text(&made, "access_key_id"), text(&made, "secret_access_key"));
    for wrong in [id.clone(), secret.clone(), format!("{id}:{secret}"), text(&made, "id"), "a".repeat(64)] {
        assert_eq!(status(&service, &wrong, "/v1/jobs").await, 401, "{wrong}");
        assert_eq!(status(&service, TOKEN, "/v1/jobs").await, 200);
    }
    let by_link = format!("/v1/jobs?X-Amz-Credential={id}%2F20260101%2Flocal%2Fs3%2Faws4_request&X-Amz-Signature=00");
    assert_eq!(status(&service, "", &by_link).await, 401);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_from_that_moment() {
    let service = service().await;
    let made = make(&service, json!({ "name": "k", "role": "viewer" })).await;
    let (id, token) = (text(&made, "id"), text(&made, "token"));
    assert_eq!(status(&service, &token, "/v1/jobs").await, 200, "and it is in memory now");
    let ticket = service.send(request_by(&token, Method::POST, "/v1/tickets", Body::empty())).await.ok();
    service.delete(&format!("/v1/keys/{id}")).await.ok();
    let refused = service.send(request_by(&token, Method::GET, "/v1/jobs", Body::empty())).await;
    let unknown = service.send(request_by("fmk_nobody", Method::GET, "/v1/jobs", Body::empty())).await;
    assert_eq!(refused.is_problem(401, "unauthorized"), unknown.is_problem(401, "unauthorized"));
    let path = format!("/v1/events?ticket={}", text(&ticket, "ticket"));
    assert_eq!(status(&service, "", &path).await, 401, "nor does a ticket that it was given before");
    let again = service.delete(&format!("/v1/keys/{id}")).await.ok();
    assert!(again["revoked_at"].is_string());
    service.post(&format!("/v1/keys/{id}/rotate"), json!({})).await.is_problem(409, "key_revoked");
}

#[tokio::test]
async fn an_exchanged_key_keeps_its_rights_and_loses_its_old_secrets() {
    let service = service().await;
    let made = make(&service, json!({ "name": "k", "role": "viewer" })).await;
    let rotated = service.post(&format!("/v1/keys/{}/rotate", text(&made, "id")), json!({})).await.ok();
    assert_eq!((&rotated["id"], &rotated["role"]), (&made["id"], &made["role"]));
    for field in ["token", "access_key_id", "secret_access_key"] {
        assert_ne!(made[field], rotated[field], "{field}");
    }
    assert_eq!(status(&service, &text(&made, "token"), "/v1/jobs").await, 401);
    assert_eq!(status(&service, &text(&rotated, "token"), "/v1/jobs").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_key_runs_out_at_its_time() {
    let service = idle_service().await;
    let ends = service.engine.now().plus(Duration::from_secs(3600)).to_string();
    let made = make(&service, json!({ "name": "k", "role": "viewer", "expires_at": ends })).await;
    let token = text(&made, "token");
    assert_eq!(status(&service, &token, "/v1/jobs").await, 200);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(status(&service, &token, "/v1/jobs").await, 401);
    let past = json!({ "name": "k", "role": "viewer", "expires_at": ends });
    service.post("/v1/keys", past).await.is_problem(422, "invalid");
}

/// Nobody revokes it, so nothing rings: when it ends is known.
#[tokio::test(start_paused = true)]
async fn a_key_that_runs_out_closes_its_feeds_at_once() {
    let service = idle_service().await;
    let ends = service.engine.now().plus(Duration::from_secs(90)).to_string();
    let made = make(&service, json!({ "name": "k", "role": "viewer", "expires_at": ends })).await;
    let opened = tokio::time::Instant::now();
    let feed = service.open(request_by(&text(&made, "token"), Method::GET, "/v1/events", Body::empty())).await;
    assert_eq!(feed.status(), 200);
    let mut feed = feed.into_body();
    let ended = async { while feed.frame().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(600), ended).await.expect("the feed ends");
    let lived = opened.elapsed();
    assert!((Duration::from_secs(90)..=Duration::from_secs(91)).contains(&lived), "{lived:?}");
}

#[tokio::test]
async fn wishes_that_make_no_sense_are_refused_by_field() {
    let service = service_of_tenants(&[], &[("acme-in", "acme")]).await;
    for (field, wish) in [
        ("name", json!({ "name": "", "role": "viewer" })),
        ("name", json!({ "name": "admin", "role": "viewer" })),
        ("name", json!({ "name": "a\nb", "role": "viewer" })),
        ("role", json!({ "name": "k", "role": "king" })),
        ("tenant", json!({ "name": "k", "role": "viewer", "tenant": "nobody" })),
        ("limits", json!({ "name": "k", "role": "viewer", "tenant": "acme", "limits": ["uploads"] })),
        ("limits[0]", json!({ "name": "k", "role": "viewer", "limits": ["No Bucket"] })),
        ("queues[0]", json!({ "name": "k", "role": "viewer", "queues": ["no queue"] })),
    ] {
        let problem = service.post("/v1/keys", wish).await.is_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let given = make(&service, json!({ "name": "k", "role": "uploader", "queues": ["orders", "orders"] })).await;
    assert_eq!(given["queues"], json!(["orders"]));
    let admin = make(&service, json!({ "name": "part", "role": "admin", "tenant": "acme" })).await;
    let gives = Body::from(json!({ "name": "k", "role": "uploader", "queues": ["orders"] }).to_string());
    let wish = with_json(request_by(&text(&admin, "token"), Method::POST, "/v1/keys", gives));
    let problem = service.send(wish).await.is_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "queues", "nobody gives what is not theirs: {problem}");
    let has = make(&service, json!({ "name": "k", "role": "uploader", "tenant": "acme", "queues": ["orders"] })).await;
    let path = format!("/v1/keys/{}/rotate", text(&has, "id"));
    let rotate = |token: &str| request_by(token, Method::POST, &path, Body::empty());
    service.send(rotate(&text(&admin, "token"))).await.is_problem(409, "key_has_queues");
    service.send(rotate(TOKEN)).await.ok();
}

#[tokio::test]
async fn a_limited_key_stays_within_its_prefix() {
    let service = idle_service().await;
    for name in ["a/mine", "a/more", "ab", "b/other"] {
        service.put(name, b"x").await;
        service.job(name, "queued").await;
    }
    let wish = json!({ "name": "k", "role": "admin", "limits": ["uploads/a/"] });
    let token = text(&make(&service, wish).await, "token");
    let get = async |path: &str| service.send(request_by(&token, Method::GET, path, Body::empty())).await;
    for list in ["/v1/jobs", "/v1/files"] {
        let items = get(list).await.ok()["items"].as_array().expect("items").clone();
        let keys: Vec<String> = items
            .iter()
            .map(|item| {
                let key = if list == "/v1/jobs" { &item["input"]["key"] } else { &item["key"] };
                key.as_str().expect("a key").to_owned()
            })
            .collect();
        assert!(keys.len() == 2 && keys.iter().all(|key| key.starts_with("a/")), "{list}: {keys:?}");
    }
    let whole = ["/v1/keys", "/v1/audit", "/metrics"];
    for path in whole {
        assert_eq!(get(path).await.status, 403, "{path}: what is told apart by tenant only");
    }
    let post = async |wish: Value| {
        let request = request_by(&token, Method::POST, "/v1/uploads", Body::from(wish.to_string()));
        service.send(with_json(request)).await
    };
    assert_eq!(post(json!({ "filename": "x", "key": "a/x" })).await.status, 201);
    post(json!({ "filename": "x", "key": "b/x" })).await.is_problem(422, "invalid");
    post(json!({ "filename": "x", "bucket": "results" })).await.is_problem(422, "invalid");
    let named = post(json!({ "filename": "x" })).await.ok();
    assert!(text(&named, "key").starts_with("a/upl_"), "the service's own keys lie within too: {named}");
}

#[tokio::test]
async fn a_repeated_request_is_answered_to_who_sent_it_only() {
    let service = service().await;
    let make = async |name: &str| text(&make(&service, json!({ "name": name, "role": "uploader" })).await, "token");
    let (one, two) = (make("one").await, make("two").await);
    let send = async |token: &str| {
        let body = Body::from(json!({ "filename": "x" }).to_string());
        let mut request = with_json(request_by(token, Method::POST, "/v1/uploads", body));
        request.headers_mut().insert("idempotency-key", "same".parse().expect("a header"));
        service.send(request).await.ok()["id"].clone()
    };
    let (first, again, other) = (send(&one).await, send(&one).await, send(&two).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[tokio::test]
async fn a_feed_tells_of_ones_own_only() {
    let service = service().await;
    let made = make(&service, json!({ "name": "k", "role": "uploader" })).await;
    let owner = filemill_core::ids::KeyId::parse(&text(&made, "id"));
    let feed = service.open(request_by(&text(&made, "token"), Method::GET, "/v1/events?after=0", Body::empty())).await;
    assert_eq!(feed.status(), 200);
    service.put("others.txt", b"x").await;
    service.job("others.txt", "completed").await;
    service.put_for(owner, "uploads", "mine.txt", b"x").await;
    service.job("mine.txt", "completed").await;
    let mut told = String::new();
    let mut body = feed.into_body();
    while !told.contains("job.completed") {
        let piece = tokio::time::timeout(PATIENCE, body.frame()).await.expect("something comes").expect("no end");
        told += std::str::from_utf8(&piece.expect("a frame").into_data().expect("data")).expect("text");
    }
    assert!(told.contains("mine.txt") && !told.contains("others.txt"), "{told}");
    for (name, by) in [("mine.txt", made["id"].clone()), ("others.txt", Value::Null)] {
        let files = service.get(&format!("/v1/files?bucket=uploads&prefix={name}")).await.ok();
        assert_eq!(files["items"][0]["owner"], by, "{files}");
    }
}

#[tokio::test]
async fn revoking_a_key_closes_what_it_has_open_and_nothing_else() {
    let service = idle_service().await;
    let made = make(&service, json!({ "name": "k", "role": "viewer" })).await;
    let token = text(&made, "token");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, stop) = (listener.local_addr().expect("an address"), CancellationToken::new());
    let _stops = stop.clone().drop_guard();
    let door = door(&service.engine);
    tokio::spawn(door.serve(listener, stop));
    let open = async |token: &str| {
        let mut request = format!("ws://{address}/v1/live").into_client_request().expect("a request");
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        connect_async(request).await.expect("a socket").0
    };
    let (mut socket, mut admins) = (open(&token).await, open(TOKEN).await);
    let events = service.open(request_by(&token, Method::GET, "/v1/events", Body::empty())).await;
    let mut events = events.into_body();
    events.frame().await.expect("a start").expect("a frame");

    service.delete(&format!("/v1/keys/{}", text(&made, "id"))).await.ok();
    let closed = async {
        while let Some(message) = socket.next().await {
            if let Message::Close(frame) = message.expect("a message") {
                return frame.expect("a reason");
            }
        }
        panic!("the socket broke off without a word");
    };
    let reason = tokio::time::timeout(PATIENCE, closed).await.expect("it is closed");
    assert_eq!(u16::from(reason.code), 1008);
    assert!(reason.reason.contains("key"), "{reason:?}");
    let ended = async { while events.frame().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the stream ends");

    service.put("still", b"x").await;
    let heard = tokio::time::timeout(PATIENCE, admins.next()).await.expect("an event").expect("no end");
    assert!(matches!(heard, Ok(Message::Text(_) | Message::Ping(_))), "{heard:?}");
}

/// A promise is kept by who made it.
#[tokio::test]
async fn somebody_elses_promise_takes_no_hold_of_an_object() {
    let service = service().await;
    let uploader = |name: &'static str| make(&service, json!({ "name": name, "role": "uploader" }));
    let (thief, owner) = (uploader("thief").await, uploader("owner").await);
    let wish = json!({ "filename": "r.csv", "bucket": "uploads", "key": "r.csv", "rule": "hello", "options": { "text": "stolen " } });
    let promise =
        with_json(request_by(&text(&thief, "token"), Method::POST, "/v1/uploads", Body::from(wish.to_string())));
    assert_eq!(service.send(promise).await.status, 201);
    for (key, name) in [(Some(&owner), "owner"), (None, "service")] {
        let id = key.map(|key| filemill_core::ids::KeyId::parse(&text(key, "id")).expect("an id"));
        service.put_for(id, "uploads", "r.csv", b"secret\n").await;
        let job = service.job("r.csv", "completed").await;
        assert_eq!((&job["upload"], &job["bytes"]["out"]), (&Value::Null, &json!(9)), "{name}: by the rule as it is");
        let seen = service.send(request_by(&text(&thief, "token"), Method::GET, "/v1/jobs", Body::empty())).await.ok();
        assert_eq!(seen["items"], json!([]), "{name}");
    }
}

/// As little as by hand, however large the upload is.
#[tokio::test]
async fn the_result_of_an_uploader_replaces_nothing_that_is_anothers() {
    let service = service().await;
    let owner = async |name: &str, role: &str| {
        let made = make(&service, json!({ "name": name, "role": role })).await;
        filemill_core::ids::KeyId::parse(&text(&made, "id"))
    };
    let alice = owner("alice", "uploader").await;
    let (bob, admin) = (owner("bob", "uploader").await, owner("chief", "admin").await);
    let cases = [
        ("hers", &alice, &bob, "failed"),
        ("nobodys", &None, &bob, "failed"),
        ("his", &bob, &bob, "completed"),
        ("by-admin", &bob, &admin, "completed"),
        ("by-service", &bob, &None, "completed"),
    ];
    for content in [&b"x"[..], vec![b'x'; MANY_CHUNKS].leak()] {
        for (case, before, by, end) in cases {
            let name = format!("{case}/{}", content.len());
            service.put_for(before.clone(), "results", &name, b"before").await;
            service.put_for(by.clone(), "uploads", &name, content).await;
            let job = service.job(&name, end).await;
            let there = service.store.content(&bucket("results"), &key(&name)).expect("an object");
            assert_eq!(there == b"before"[..], end == "failed", "{name}: {job}");
            assert!(end == "completed" || job["failure"]["code"] == "result_taken", "{name}: {job}");
        }
    }
    let left = service.store.snapshot().multiparts;
    assert!(left.is_empty(), "of what was refused: {left:?}");
}
