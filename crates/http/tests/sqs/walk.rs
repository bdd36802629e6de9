//! Every action of the door, by a key of every role, about a queue that it was given and about one that it was not.

use super::client::*;
use filemill_core::access::{Principal, Role, default_tenant};
use filemill_core::message::MessageQueueName;
use filemill_core::ports::MessageQueues;
use filemill_engine::{Engine, KeyTicket, NewKey};
use filemill_http::Rates;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const LOOK: &[Role] = &Role::ALL;
const USE: &[Role] = &[Role::Uploader, Role::Operator, Role::Admin];
const EMPTY: &[Role] = &[Role::Operator, Role::Admin];
/// What the whole service's admins may alone.
const NOBODY: &[Role] = &[];

const TABLE: [(&str, &[Role]); 15] = [
    ("GetQueueUrl", LOOK),
    ("ListQueues", LOOK),
    ("GetQueueAttributes", LOOK),
    ("ListDeadLetterSourceQueues", LOOK),
    ("SendMessage", USE),
    ("SendMessageBatch", USE),
    ("ReceiveMessage", USE),
    ("DeleteMessage", USE),
    ("DeleteMessageBatch", USE),
    ("ChangeMessageVisibility", USE),
    ("ChangeMessageVisibilityBatch", USE),
    ("PurgeQueue", EMPTY),
    ("CreateQueue", NOBODY),
    ("SetQueueAttributes", NOBODY),
    ("DeleteQueue", NOBODY),
];

struct World {
    door: TestDoor,
    engine: Engine,
}

impl World {
    /// Its queues are `mine` and `theirs`.
    async fn open(rates: Rates) -> World {
        let (door, engine) = TestDoor::of_service_with(rates).await;
        for queue in ["mine", "theirs"] {
            door.call("CreateQueue", json!({ "QueueName": queue })).await.expect(200);
        }
        World { door, engine }
    }

    /// One of a tenant, so that none of them is the whole service's.
    async fn key(&self, role: Role, queues: &[&str]) -> KeyTicket {
        let queues = queues.iter().map(|name| MessageQueueName::parse(name).expect(name)).collect();
        let tenant = Some(default_tenant());
        let new = NewKey { name: "k".into(), role, tenant, limits: vec![], queues, expires_at: None };
        self.engine.create_key(&Principal::service(), new, rand()).await.expect("a key")
    }

    fn by(&self, key: &KeyTicket, action: &str, input: &Value) -> Request {
        let pair = key.s3.clone().expect("a pair");
        let request = self.door.request(action, input.to_string());
        Request { key_id: pair.access_key_id, secret: pair.secret_access_key, ..request }
    }

    /// What the action needs to be done to a queue with one message in flight.
    async fn input(&self, action: &str, queue: &str) -> Value {
        let url = format!("http://{}/000000000000/{queue}", self.door.address);
        self.door.call("SendMessage", json!({ "QueueUrl": url, "MessageBody": "x" })).await.expect(200);
        let received = self.door.call("ReceiveMessage", json!({ "QueueUrl": url })).await.expect(200);
        let receipt = received["Messages"][0]["ReceiptHandle"].clone();
        let entry = json!({ "Id": "a", "MessageBody": "x" });
        let of_receipt = json!({ "Id": "a", "ReceiptHandle": receipt, "VisibilityTimeout": 0 });
        match action {
            "GetQueueUrl" | "CreateQueue" => json!({ "QueueName": queue }),
            "ListQueues" => json!({ "QueueNamePrefix": queue }),
            "SendMessage" => json!({ "QueueUrl": url, "MessageBody": "x" }),
            "SendMessageBatch" => json!({ "QueueUrl": url, "Entries": [entry] }),
            "DeleteMessage" | "ChangeMessageVisibility" => {
                json!({ "QueueUrl": url, "ReceiptHandle": receipt, "VisibilityTimeout": 0 })
            }
            "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
                json!({ "QueueUrl": url, "Entries": [of_receipt] })
            }
            "SetQueueAttributes" => json!({ "QueueUrl": url, "Attributes": { "DelaySeconds": "0" } }),
            _ => json!({ "QueueUrl": url }),
        }
    }
}

/// Enough of a chance for keys of a test.
fn rand() -> [u8; 32] {
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    [NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 32]
}

#[tokio::test]
async fn every_action_answers_every_role_as_the_table_says() {
    let world = World::open(Rates::default()).await;
    for role in Role::ALL {
        let key = world.key(role, &["mine"]).await;
        for (action, roles) in TABLE {
            let may = roles.contains(&role);
            for queue in ["mine", "theirs"] {
                let reply = world.by(&key, action, &world.input(action, queue).await).send().await;
                match (may, queue, action) {
                    (false, ..) => assert!(reply.refused(403, "AccessDenied").contains(role.as_str()), "{action}"),
                    (true, "mine", _) => drop(reply.expect(200)),
                    (true, _, "ListQueues") => {
                        let told = reply.expect(200);
                        assert_eq!(told["QueueUrls"], json!([]), "{role:?} sees {told}");
                    }
                    (true, ..) => drop(reply.refused(400, "AWS.SimpleQueueService.NonExistentQueue")),
                }
            }
        }
    }
    let left = world.door.store.message_counts(&MessageQueueName::parse("theirs").expect("a name")).await;
    let sent = TABLE.len() * Role::ALL.len();
    let left = left.expect("it is there");
    assert_eq!((left.visible + left.in_flight) as usize, sent, "nobody touched what was not theirs");
}

#[tokio::test]
async fn the_table_has_every_action_of_the_door() {
    let world = World::open(Rates::default()).await;
    let known = world.door.call("Nothing", json!({})).await.refused(400, "AWS.SimpleQueueService.UnsupportedOperation");
    let (_, known) = known.split_once("there are ").expect("the actions");
    let mut known: Vec<&str> = known.trim_end_matches('.').split(", ").collect();
    let mut table: Vec<&str> = TABLE.iter().map(|(action, _)| *action).collect();
    known.sort_unstable();
    table.sort_unstable();
    assert_eq!(table, known);
}

#[tokio::test]
async fn an_admin_of_the_whole_service_has_every_queue() {
    let world = World::open(Rates::default()).await;
    let new = |limits: Vec<_>| NewKey {
        name: "k".into(),
        role: Role::Admin,
        tenant: None,
        limits,
        queues: [].into(),
        expires_at: None,
    };
    let admin = world.engine.create_key(&Principal::service(), new(vec![]), rand()).await.expect("a key");
    for (action, _) in TABLE {
        world.by(&admin, action, &world.input(action, "theirs").await).send().await.expect(200);
    }
    let place = filemill_core::access::Place::parse("uploads/a/").expect("a place");
    let limited = world.engine.create_key(&Principal::service(), new(vec![place]), rand()).await.expect("a key");
    let refused = world.by(&limited, "ListQueues", &json!({})).send().await.refused(403, "AccessDenied");
    assert!(refused.contains("it was given none"), "{refused}");
}

#[tokio::test]
async fn a_key_lists_the_queues_that_it_was_given_and_that_are_there() {
    let world = World::open(Rates::default()).await;
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:local:000000000000:mine", "maxReceiveCount": 3 });
    for queue in ["a1", "a2", "b1", "hidden"] {
        let attributes = json!({ "RedrivePolicy": policy.to_string() });
        world.door.call("CreateQueue", json!({ "QueueName": queue, "Attributes": attributes })).await.expect(200);
    }
    let key = world.key(Role::Viewer, &["b1", "a2", "gone", "a1", "mine"]).await;
    let names = |told: &Value, field: &str| -> Vec<String> {
        let urls = told[field].as_array().expect("a list").iter();
        urls.map(|url| url.as_str().and_then(|url| url.rsplit('/').next()).expect("a URL").to_owned()).collect()
    };
    let ask = async |action: &str, input: Value| world.by(&key, action, &input).send().await.expect(200);
    assert_eq!(names(&ask("ListQueues", json!({})).await, "QueueUrls"), ["a1", "a2", "b1", "mine"]);
    assert_eq!(names(&ask("ListQueues", json!({ "QueueNamePrefix": "a" })).await, "QueueUrls"), ["a1", "a2"]);
    let first = ask("ListQueues", json!({ "MaxResults": 3 })).await;
    let rest = ask("ListQueues", json!({ "MaxResults": 3, "NextToken": first["NextToken"] })).await;
    assert_eq!((names(&first, "QueueUrls").len(), names(&rest, "QueueUrls")), (3, vec!["mine".to_owned()]));
    let url = format!("http://{}/000000000000/mine", world.door.address);
    let sources = ask("ListDeadLetterSourceQueues", json!({ "QueueUrl": url })).await;
    assert_eq!(names(&sources, "queueUrls"), ["a1", "a2", "b1"]);
}

/// Nothing tells when a poll has begun, so a key that was revoked before it is no trial.
#[tokio::test]
async fn revoking_a_key_ends_its_long_poll() {
    let world = World::open(Rates::default()).await;
    let url = format!("http://{}/000000000000/mine", world.door.address);
    for patience in 1..100 {
        let key = world.key(Role::Operator, &["mine"]).await;
        let request = world.by(&key, "ReceiveMessage", &json!({ "QueueUrl": url, "WaitTimeSeconds": 20 }));
        let begun = Instant::now();
        let polling = tokio::spawn(async move { request.send().await });
        tokio::time::sleep(Duration::from_millis(patience)).await;
        world.engine.revoke_key(&Principal::service(), &key.key.id).await.expect("revoked");
        let reply = polling.await.expect("an answer");
        if reply.text.contains("AccessDenied") {
            reply.refused(403, "AccessDenied");
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
            return;
        }
        reply.refused(403, "InvalidClientTokenId");
    }
    panic!("no poll ever began");
}

#[tokio::test]
async fn beyond_its_rate_a_key_is_told_to_wait_and_the_services_own_pair_is_not() {
    let per_key = NonZeroU32::new(1).expect("not zero");
    let world = World::open(Rates { per_key, ..Rates::default() }).await;
    let key = world.key(Role::Viewer, &["mine"]).await;
    for _ in 0..5 {
        world.by(&key, "ListQueues", &json!({})).send().await.expect(200);
    }
    let refused = world.by(&key, "ListQueues", &json!({})).send().await.refused(400, "RequestThrottled");
    assert!(refused.contains("asks too often"), "{refused}");
    for _ in 0..9 {
        world.door.call("ListQueues", json!({})).await.expect(200);
    }
}
