//! Inputs: what is wrong is said, and nothing is done. What is right is in the end-to-end tests, by real clients.

use super::client::*;
use serde_json::{Value, json};

#[tokio::test]
async fn bad_input_is_told_by_name() {
    let door = TestDoor::open().await;
    let url = door.with_queue().await;
    for (action, input, code, word) in [
        ("CreateQueue", json!({}), "MissingParameter", "QueueName"),
        ("CreateQueue", json!({ "QueueName": "a.b" }), "InvalidParameterValue", "80 letters"),
        ("CreateQueue", json!({ "QueueName": 1 }), "InvalidParameterValue", "QueueName"),
        (
            "CreateQueue",
            json!({ "QueueName": "a", "tags": { "a": "b" } }),
            "AWS.SimpleQueueService.UnsupportedOperation",
            "tags",
        ),
        ("SendMessage", json!({ "QueueUrl": url }), "MissingParameter", "MessageBody"),
        ("SendMessage", json!({ "QueueUrl": url, "MessageBody": "" }), "MissingParameter", "MessageBody"),
        ("SendMessage", json!({ "QueueUrl": "http://x/orders", "MessageBody": "x" }), "InvalidAddress", "GetQueueUrl"),
        (
            "SendMessage",
            json!({ "QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g" }),
            "AWS.SimpleQueueService.UnsupportedOperation",
            "FIFO",
        ),
        (
            "SendMessage",
            json!({ "QueueUrl": url, "MessageBody": "x", "DelaySeconds": "soon" }),
            "InvalidParameterValue",
            "DelaySeconds",
        ),
        (
            "SendMessage",
            json!({ "QueueUrl": url, "MessageBody": "x", "MessageAttributes": { "a": { "DataType": "Text", "StringValue": "b" } } }),
            "InvalidParameterValue",
            "Binary",
        ),
        (
            "ReceiveMessage",
            json!({ "QueueUrl": url, "MaxNumberOfMessages": 0 }),
            "InvalidParameterValue",
            "between 1 and 10",
        ),
        (
            "ReceiveMessage",
            json!({ "QueueUrl": format!("{url}x") }),
            "AWS.SimpleQueueService.NonExistentQueue",
            "ordersx",
        ),
        ("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": "é" }), "ReceiptHandleIsInvalid", "receipt"),
        ("ListQueues", json!({ "NextToken": "../x" }), "InvalidParameterValue", "NextToken"),
        ("GetQueueAttributes", json!({ "QueueUrl": url, "AttributeNames": ["x"] }), "InvalidAttributeName", "x"),
        ("StartMessageMoveTask", json!({}), "AWS.SimpleQueueService.UnsupportedOperation", "SendMessage"),
    ] {
        let message = door.call(action, input.clone()).await.refused(400, code);
        assert!(message.contains(word), "{action} {input}: {message}");
    }
    for body in ["{", "[]", "\"x\"", "{\"QueueUrl\": \"a\"} {}", &"[".repeat(100_000)] {
        let reply = door.request("SendMessage", body).send().await;
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    let counts =
        door.call("GetQueueAttributes", json!({ "QueueUrl": url, "AttributeNames": ["All"] })).await.expect(200);
    assert_eq!(counts["Attributes"]["ApproximateNumberOfMessages"], "0");
}

/// These are the digests that Python's hashlib makes of the documented bytes.
#[tokio::test]
async fn digests_are_those_that_clients_compute() {
    let door = TestDoor::open().await;
    let url = door.with_queue().await;
    let attributes = json!({ "a": { "DataType": "String", "StringValue": "b" } });
    let sent =
        door.call("SendMessage", json!({ "QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes }));
    let sent = sent.await.expect(200);
    assert_eq!(sent["MD5OfMessageBody"], "9dd4e461268c8034f5c8564e155c67a6");
    // md5 of 00000001 "a" 00000006 "String" 01 00000001 "b"
    assert_eq!(sent["MD5OfMessageAttributes"], "bef8bf215374a0a228d67533b1a488be");
    let wish = json!({ "QueueUrl": url, "MessageAttributeNames": [".*"] });
    let got = door.call("ReceiveMessage", wish).await.expect(200);
    assert_eq!(got["Messages"][0]["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(got["Messages"][0]["MessageAttributes"], attributes);
}

#[tokio::test]
async fn queue_urls_name_the_door_as_the_client_does() {
    let door = TestDoor::open().await;
    assert_eq!(door.with_queue().await, format!("http://{}/000000000000/orders", door.address));
}

#[tokio::test]
async fn attributes_of_a_redrive_policy_come_back() {
    let door = TestDoor::open().await;
    door.with_queue().await;
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:local:000000000000:orders", "maxReceiveCount": 3 });
    let wish = json!({ "QueueName": "work", "Attributes": { "RedrivePolicy": policy.to_string() } });
    let made = door.call("CreateQueue", wish).await.expect(200);
    let wish = json!({ "QueueUrl": made["QueueUrl"], "AttributeNames": ["RedrivePolicy"] });
    let got = door.call("GetQueueAttributes", wish).await.expect(200);
    let text = got["Attributes"]["RedrivePolicy"].as_str().expect("a policy");
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), policy);
}
