//! Orders about queues are in the audit log, and other keys of the service hear that the queues are not theirs.

use super::client::*;
use filemill_core::access::{Principal, Role};
use filemill_engine::{AuditQuery, Engine, KeyPair, NewKey};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What was done to which queue. Those of one millisecond are in no order.
async fn audited(engine: &Engine) -> BTreeSet<(String, String)> {
    let query = AuditQuery { action: Some("message_queue.*".into()), limit: 100, ..AuditQuery::default() };
    let log = engine.audit_log(&Principal::service(), &query).await.expect("the log").items;
    let entry = |entry: filemill_core::audit::AuditEntry| {
        assert_eq!((entry.actor.name.as_str(), entry.actor.address.is_some()), ("admin", true));
        (entry.action, entry.target)
    };
    let count = log.len();
    let all: BTreeSet<_> = log.into_iter().map(entry).collect();
    assert_eq!(all.len(), count, "each once");
    all
}

#[tokio::test]
async fn orders_about_queues_are_audited_and_messages_are_not() {
    let (door, engine) = TestDoor::of_service().await;
    let url = door.with_queue().await;
    door.with_queue().await;
    let of_queue = json!({ "QueueUrl": url });
    let with = |field: &str, value: Value| json!({ "QueueUrl": url, field: value });
    door.call("SetQueueAttributes", with("Attributes", json!({ "DelaySeconds": "1" }))).await.expect(200);
    door.call("SendMessage", with("MessageBody", json!("x"))).await.expect(200);
    door.call("ReceiveMessage", of_queue.clone()).await.expect(200);
    door.call("PurgeQueue", of_queue.clone()).await.expect(200);
    door.call("DeleteQueue", of_queue.clone()).await.expect(200);
    for action in ["PurgeQueue", "DeleteQueue"] {
        door.call(action, of_queue.clone()).await.refused(400, "AWS.SimpleQueueService.NonExistentQueue");
    }
    let done = audited(&engine).await;
    let expected = ["create", "set", "purge", "delete"].map(|verb| (format!("message_queue.{verb}"), "orders".into()));
    assert_eq!(done, BTreeSet::from(expected), "what changed nothing is no order");
}

#[tokio::test]
async fn a_key_that_was_given_no_queue_hears_so() {
    let (door, engine) = TestDoor::of_service().await;
    let new = NewKey {
        name: "scanner".into(),
        role: Role::Uploader,
        tenant: None,
        limits: vec![],
        queues: [].into(),
        expires_at: None,
    };
    let made = engine.create_key(&Principal::service(), new, [3; 32]).await.expect("a key");
    let KeyPair { access_key_id: key_id, secret_access_key: secret } = made.s3.expect("a pair");
    let list = Request { key_id, secret, ..door.request("ListQueues", "{}") };
    assert!(list.send().await.refused(403, "AccessDenied").contains("may not use the queues"));
    let unproven = Request { secret: "a guess".into(), ..list.clone() };
    unproven.send().await.refused(403, "SignatureDoesNotMatch");
    engine.revoke_key(&Principal::service(), &made.key.id).await.expect("revoked");
    list.send().await.refused(403, "InvalidClientTokenId");
}

#[tokio::test]
async fn an_order_that_came_to_nothing_says_so() {
    let (door, engine) = TestDoor::of_service().await;
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:local:000000000000:nobody", "maxReceiveCount": 3 });
    let wish = json!({ "QueueName": "orphan", "Attributes": { "RedrivePolicy": policy.to_string() } });
    door.call("CreateQueue", wish).await.refused(400, "InvalidAttributeValue");
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let log = engine.audit_log(&Principal::service(), &query).await.expect("the log").items;
    assert!(log.iter().all(|entry| entry.action == "message_queue.create" && entry.target == "orphan"), "{log:?}");
    let failed: Vec<&Value> = log.iter().map(|entry| &entry.detail["failed"]).filter(|why| !why.is_null()).collect();
    assert_eq!((log.len(), failed), (2, vec![&json!("there is no message queue nobody")]));
}
