//! The same request twice, with an `Idempotency-Key`.

use crate::service::{Answer, Service, idle_service, request, service, with_header, with_json};
use axum::body::Body;
use axum::http::Method;
use filemill_memory::FaultPlan;
use serde_json::{Value, json};
use std::time::Duration;

async fn post(service: &Service, path: &str, key: &str, body: Value) -> Answer {
    let request = with_json(request(Method::POST, path, Body::from(body.to_string())));
    service.send(with_header(request, "idempotency-key", key)).await
}

#[tokio::test]
async fn the_same_request_is_answered_twice_and_done_once() {
    let service = service().await;
    let first = post(&service, "/v1/uploads", "k1", json!({"filename": "a"})).await;
    let second = post(&service, "/v1/uploads", "k1", json!({"filename": "a"})).await;
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), ("", "true"));
    assert_eq!(service.store.snapshot().uploads.len(), 1);
    post(&service, "/v1/uploads", "k2", json!({"filename": "a"})).await.ok();
    assert_eq!(service.store.snapshot().uploads.len(), 2);
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let service = service().await;
    post(&service, "/v1/uploads", "k1", json!({"filename": "a"})).await.ok();
    let other = post(&service, "/v1/uploads", "k1", json!({"filename": "b"})).await;
    other.is_problem(422, "idempotency_key_reused");
    let elsewhere = post(&service, "/v1/jobs/job_00000000000000000000000000/retry", "k1", json!({})).await;
    elsewhere.is_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_refused_request_may_be_mended_under_its_key() {
    let service = service().await;
    post(&service, "/v1/uploads", "k1", json!({"filename": 1})).await.is_problem(422, "invalid");
    assert_eq!(post(&service, "/v1/uploads", "k1", json!({"filename": "a"})).await.status, 201);
}

#[tokio::test]
async fn a_repeated_cancel_is_no_conflict_with_a_key() {
    let service = idle_service().await;
    service.put("a", b"x").await;
    let id = service.job("a", "queued").await["id"].as_str().expect("id").to_owned();
    let cancel = format!("/v1/jobs/{id}/cancel");
    let first = post(&service, &cancel, "k1", json!({})).await.ok();
    assert_eq!(post(&service, &cancel, "k1", json!({})).await.ok(), first);
    post(&service, &cancel, "k2", json!({})).await.is_problem(409, "not_cancellable");
}

#[tokio::test]
async fn bad_keys_are_refused() {
    let service = service().await;
    for bad in ["", &"k".repeat(256)] {
        let answer = post(&service, "/v1/uploads", bad, json!({"filename": "a"})).await;
        answer.is_problem(400, "bad_idempotency_key");
    }
    assert!(service.store.snapshot().uploads.is_empty());
}

#[tokio::test]
async fn a_client_that_gave_up_and_asks_again_gets_what_it_began() {
    let service = service().await;
    service.store.set_faults(FaultPlan { delay: 1.0, delay_max: Duration::from_millis(50), ..FaultPlan::none() });
    let wish = json!({"filename": "a"});
    let mut first = Box::pin(post(&service, "/v1/uploads", "k1", wish.clone()));
    let calls = service.store.calls();
    while service.store.calls() == calls {
        assert!(futures::poll!(&mut first).is_pending(), "the store is slow");
        tokio::task::yield_now().await;
    }
    drop(first);
    let second = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let answer = post(&service, "/v1/uploads", "k1", wish.clone()).await;
            if answer.status != 409 {
                return answer;
            }
            answer.is_problem(409, "idempotency_in_progress");
            tokio::task::yield_now().await;
        }
    });
    let second = second.await.expect("an answer in time");
    assert_eq!((second.status.as_u16(), second.header("idempotency-replayed")), (201, "true"));
    assert_eq!(service.store.snapshot().uploads.len(), 1);
}
