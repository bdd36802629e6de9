//! Deliveries by REST: what an uploader missed, filters, and sending one again.

use crate::log;
use crate::service::{Service, service_telling};
use filemill_core::ports::NotifyError;
use serde_json::{Value, json};

/// The upload, once its job has ended.
async fn uploaded(service: &Service, name: &str) -> String {
    let upload = service.post("/v1/uploads", json!({ "filename": name, "key": name })).await.ok();
    service.put(name, b"x\n").await;
    service.job(name, "completed").await;
    upload["id"].as_str().expect("an id").to_owned()
}

async fn listed(service: &Service, query: &str) -> Vec<Value> {
    let list = service.get(&format!("/v1/deliveries?{query}")).await.ok();
    list["items"].as_array().expect("items").clone()
}

/// The one delivery to the webhook, once it has this status.
async fn to_webhook(service: &Service, status: &str) -> Value {
    for _ in 0..2000 {
        if let [one] = &listed(service, &format!("kind=webhook&status={status}")).await[..] {
            return one.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("no delivery is {status}: {:?}", listed(service, "kind=webhook").await);
}

#[tokio::test]
async fn an_uploader_who_was_offline_reads_what_was_told() {
    let service = service_telling(|| Ok(())).await;
    let (first, second) = (uploaded(&service, "a").await, uploaded(&service, "b").await);
    let mine = listed(&service, &format!("upload={first}&kind=live")).await;
    assert_eq!(mine.len(), 1);
    assert_eq!(
        (&mine[0]["status"], &mine[0]["event"], &mine[0]["upload"], &mine[0]["data"]["key"]),
        (&json!("delivered"), &json!("job.completed"), &json!(first), &json!("a"))
    );
    let job = mine[0]["job"].as_str().expect("a job");
    assert_eq!(listed(&service, &format!("job={job}&kind=live")).await, mine);
    assert_eq!(listed(&service, "kind=live&rule=hello&event=job.completed").await.len(), 2);
    let behind = service.get("/v1/deliveries?kind=live&limit=1").await.ok();
    let cursor = behind["next_cursor"].as_str().expect("there is more");
    assert_eq!(listed(&service, &format!("kind=live&limit=1&cursor={cursor}")).await, mine);
    assert_eq!(listed(&service, "since=2999-01-01T00:00:00Z").await.len(), 0);
    assert_ne!(first, second);
    let id = mine[0]["id"].as_str().expect("an id");
    let refused = service.post(&format!("/v1/deliveries/{id}/resend"), json!({})).await;
    refused.is_problem(409, "not_resendable");
}

#[tokio::test]
async fn a_dead_one_is_sent_again_under_the_same_event_id_and_audited() {
    log::begin();
    let mut answers = vec![Ok(()), Err(NotifyError::permanent("status 410"))];
    let answers = std::sync::Mutex::new(std::mem::take(&mut answers));
    let service = service_telling(move || answers.lock().expect("answers").pop().unwrap_or(Ok(()))).await;
    uploaded(&service, "a").await;
    let dead = to_webhook(&service, "dead").await;
    assert_eq!((&dead["last_error"], &dead["attempts"]), (&json!("status 410"), &json!(1)));
    let path = format!("/v1/deliveries/{}", dead["id"].as_str().expect("an id"));
    let again = service.post(&format!("{path}/resend"), json!({})).await.ok();
    assert_eq!((&again["status"], &again["event_id"]), (&json!("pending"), &dead["event_id"]));
    let id = format!("delivery={}", dead["id"].as_str().expect("an id"));
    assert_eq!(log::lines_with(&["delivery is sent again", &id]), 1);
    let delivered = to_webhook(&service, "delivered").await;
    assert_eq!((&delivered["id"], &delivered["attempts"]), (&dead["id"], &json!(2)));
    assert_eq!(service.get(&path).await.ok()["event_id"], dead["event_id"]);
    let log = service.get("/v1/audit?action=delivery.resend").await.ok();
    assert_eq!(log["items"][0]["target"], dead["id"]);
}

#[tokio::test]
async fn wrong_filters_and_unknown_deliveries_are_named() {
    let service = service_telling(|| Ok(())).await;
    for query in ["status=lost", "kind=pigeon", "event=job.started", "job=x", "upload=x", "since=yesterday", "x=1"] {
        service.get(&format!("/v1/deliveries?{query}")).await.is_problem(400, "invalid_parameter");
    }
    service.get("/v1/deliveries/dlv_00000000000000000000000000").await.is_problem(404, "delivery_not_found");
    service.get("/v1/deliveries/x").await.is_problem(404, "delivery_not_found");
}

#[tokio::test]
async fn an_upload_names_only_receivers_that_the_operator_allows() {
    let service = service_telling(|| Ok(())).await;
    let wish = |notify: Value| json!({ "filename": "x", "notify": notify });
    let hook = |url: &str| json!({ "kind": "webhook", "url": url });
    for (notify, says) in [
        (json!([hook("https://evil.example/")]), "allowed.example only"),
        (json!([{ "kind": "email", "url": "x" }]), "unknown variant"),
        (json!([{ "kind": "webhook", "url": "https://allowed.example/", "on": ["alarm.raised"] }]), "its jobs only"),
        (json!(vec![hook("https://allowed.example/"); 5]), "up to 4"),
    ] {
        let problem = service.post("/v1/uploads", wish(notify.clone())).await.is_problem(422, "invalid");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{notify}: {problem}");
    }
    service.post("/v1/uploads", wish(json!([hook("https://allowed.example/x")]))).await.ok();
}
