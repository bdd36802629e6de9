//! Feeds of two tenants at once, by server-sent events and by WebSocket: each hears all of its own, and no word of the
//! other.

use crate::feeds::{Feed, connect_as, listening, next_event};
use crate::service::{Service, request_by, service_of_tenants};
use crate::walk::Known;
use axum::body::Body;
use axum::http::Method;
use filemill_core::event::NewEvent;
use filemill_core::ids::KeyId;
use serde_json::{Value, json};

const TENANTS: [&str; 2] = ["acme", "beta"];
const ROUNDS: usize = 3;

fn other(tenant: &str) -> &'static str {
    TENANTS.into_iter().find(|name| *name != tenant).expect("two tenants")
}

/// A bucket for input and one for results each, with a rule between them.
async fn two_tenants() -> Service {
    let rules = TENANTS.map(|tenant| {
        json!({ "id": format!("{tenant}-lines"), "from": format!("{tenant}-in"),
            "process": { "kind": "lines.prefix", "text": "> " }, "output": { "bucket": format!("{tenant}-out") } })
    });
    let buckets = [("acme-in", "acme"), ("acme-out", "acme"), ("beta-in", "beta"), ("beta-out", "beta")];
    service_of_tenants(&rules, &buckets).await
}

/// Files of both in turn, each once by the tenant's uploader and once by nobody in particular.
async fn work(service: &Service, listeners: &[(&'static str, Option<Known>, String)]) {
    for round in 0..ROUNDS {
        for (tenant, uploader, _) in listeners {
            let name = format!("{tenant}-{round}-{}.txt", uploader.is_some());
            let owner = uploader.as_ref().and_then(|key| KeyId::parse(&key.id));
            service.put_for(owner, &format!("{tenant}-in"), &name, b"x").await;
            service.job(&name, "completed").await;
        }
    }
}

/// What was stored, as far as somebody may hear of it: of its tenant, and if it is an uploader, of its own.
fn expected(service: &Service, tenant: &str, uploader: Option<&Known>) -> Vec<u64> {
    let events = service.store.snapshot().events;
    let of_tenant = |data: &Value| data["bucket"].as_str().is_some_and(|bucket| bucket.starts_with(tenant));
    let owner = uploader.and_then(|key| KeyId::parse(&key.id));
    let is_heard = |event: &NewEvent| of_tenant(&event.data) && (owner.is_none() || event.owner == owner);
    let heard: Vec<u64> = events.iter().filter(|(_, event)| is_heard(event)).map(|(seq, _)| *seq).collect();
    assert!(heard.len() >= 3 * ROUNDS && heard.len() < events.len(), "there is something to hear, and more to hide");
    heard
}

fn expect_no_word_of(tenant: &str, told: &str) {
    assert!(!told.contains(tenant), "{told}");
}

/// A listener of each tenant, one that hears its own and one that hears its tenant's: tenant, whose uploads, token.
async fn listeners(service: &Service) -> Vec<(&'static str, Option<Known>, String)> {
    let mut listeners = Vec::new();
    for tenant in TENANTS {
        let uploader = Known::make(service, "u", "uploader", tenant).await;
        let token = uploader.token.clone();
        listeners.push((tenant, Some(uploader), token));
        listeners.push((tenant, None, Known::make(service, "v", "viewer", tenant).await.token));
    }
    listeners
}

#[tokio::test]
async fn a_feed_tells_all_of_ones_own_and_no_name_of_another_tenant() {
    let service = two_tenants().await;
    let listeners = listeners(&service).await;
    let mut feeds = Vec::new();
    for (_, _, token) in &listeners {
        let opening = request_by(token, Method::GET, "/v1/events?after=0", Body::empty());
        feeds.push(Feed::open(&service, opening).await);
    }
    work(&service, &listeners).await;
    for ((tenant, uploader, _), feed) in listeners.iter().zip(&mut feeds) {
        let expected = expected(&service, tenant, uploader.as_ref());
        let mut heard = Vec::new();
        while heard.last() != expected.last() {
            let frame = feed.next().await.expect("the feed goes on");
            // progress has no number, and a start no event
            heard.extend(frame.id.filter(|_| frame.event.is_some()));
            expect_no_word_of(other(tenant), &format!("{frame:?}"));
        }
        assert_eq!(heard, expected, "{tenant}");
    }
}

#[tokio::test]
async fn a_socket_tells_all_of_ones_own_and_no_name_of_another_tenant() {
    let service = two_tenants().await;
    let (address, _stop, _served) = listening(&service).await;
    let listeners = listeners(&service).await;
    let mut sockets = Vec::new();
    for (_, _, token) in &listeners {
        sockets.push(connect_as(token, address, "/v1/live?after=0", None).await.expect("a socket"));
    }
    work(&service, &listeners).await;
    for ((tenant, uploader, _), socket) in listeners.iter().zip(&mut sockets) {
        let expected = expected(&service, tenant, uploader.as_ref());
        let mut heard = Vec::new();
        while heard.last() != expected.last() {
            let event = next_event(socket).await;
            heard.extend(event["seq"].as_u64());
            expect_no_word_of(other(tenant), &event.to_string());
        }
        assert_eq!(heard, expected, "{tenant}");
    }
}
