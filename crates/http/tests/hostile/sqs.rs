//! The SQS door: inputs of every action behind a right signature, and the signature itself. Forms of the older
//! protocol have a file of their own.

mod forms;

use crate::hearing::{Subject, hear};
use crate::spoiler::Spoiler;
use crate::sqs_client::{KEY_ID, SECRET, TestDoor};
use crate::wire::{Wire, spoil_head};
use serde_json::{Value, json};

/// Every action of the door but those that end what the others are about; they come last in [`good_ones`].
struct Site {
    door: TestDoor,
    wire: Wire,
    url: String,
    receipt: String,
}

#[derive(Debug)]
struct Raw {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Site {
    async fn open() -> Self {
        let door = TestDoor::open().await;
        let url = door.with_queue().await;
        door.call("CreateQueue", json!({ "QueueName": "letters" })).await.expect(200);
        let mut site = Site { wire: Wire::to(door.address), door, url, receipt: String::new() };
        site.renew().await.expect("a message");
        site
    }

    /// What hostile requests may have deleted.
    async fn renew(&mut self) -> Result<(), String> {
        for name in ["orders", "letters"] {
            self.call("CreateQueue", &json!({ "QueueName": name })).await?;
        }
        self.call("SetQueueAttributes", &json!({ "QueueUrl": self.url, "Attributes": usual_settings() })).await?;
        self.call("PurgeQueue", &json!({ "QueueUrl": self.url })).await?;
        self.call("SendMessage", &json!({ "QueueUrl": self.url, "MessageBody": "x" })).await?;
        let got = self.call("ReceiveMessage", &json!({ "QueueUrl": self.url })).await?;
        let receipt = got["Messages"][0]["ReceiptHandle"].as_str().ok_or("no message comes")?;
        self.receipt = receipt.to_owned();
        Ok(())
    }

    async fn call(&mut self, action: &str, input: &Value) -> Result<Value, String> {
        let request = self.door.request(action, input.to_string());
        let answer = self.wire.exchange(request.head().as_bytes(), request.body.as_bytes()).await?;
        if answer.status != 200 {
            return Err(format!("{action} {input}: {} {}", answer.status, answer.text()));
        }
        serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        let answer = self.wire.exchange(&raw.head, &raw.body).await?;
        if answer.tells(SECRET) {
            return Err("the answer tells the secret".to_owned());
        }
        if serde_json::from_slice::<Value>(&answer.body).is_err() && answer.status != 400 {
            return Err(format!("the answer is no JSON: {}", answer.text()));
        }
        Ok(answer.status)
    }

    fn good_ones(&self) -> Vec<(&'static str, Value)> {
        let (url, receipt) = (&self.url, &self.receipt);
        let attributes = json!({
            "kind": { "DataType": "String", "StringValue": "b" },
            "bytes": { "DataType": "Binary", "BinaryValue": "AAEC" },
            "count": { "DataType": "Number.int", "StringValue": "7" },
        });
        let letter = json!({ "MessageBody": "hello", "DelaySeconds": 0, "MessageAttributes": attributes });
        let with = |more: Value, id: Option<&str>| {
            let mut letter = more;
            letter.as_object_mut().expect("an object").extend(id.map(|id| ("Id".to_owned(), json!(id))));
            letter
        };
        let mut one = letter.clone();
        one["QueueUrl"] = json!(url);
        vec![
            ("GetQueueUrl", json!({ "QueueName": "orders" })),
            ("ListQueues", json!({ "QueueNamePrefix": "o", "MaxResults": 1, "NextToken": "a" })),
            ("GetQueueAttributes", json!({ "QueueUrl": url, "AttributeNames": ["All", "QueueArn"] })),
            ("SetQueueAttributes", json!({ "QueueUrl": url, "Attributes": usual_settings() })),
            ("ListDeadLetterSourceQueues", json!({ "QueueUrl": url.replace("orders", "letters"), "MaxResults": 5 })),
            ("SendMessage", one),
            (
                "SendMessageBatch",
                json!({ "QueueUrl": url, "Entries": [with(letter.clone(), Some("a")), with(letter, Some("b"))] }),
            ),
            (
                "ReceiveMessage",
                json!({ "QueueUrl": url, "MaxNumberOfMessages": 2, "VisibilityTimeout": 30, "AttributeNames": ["All"],
                    "MessageSystemAttributeNames": ["SentTimestamp"], "MessageAttributeNames": ["kind", "by*", ".*"] }),
            ),
            ("ChangeMessageVisibility", json!({ "QueueUrl": url, "ReceiptHandle": receipt, "VisibilityTimeout": 60 })),
            (
                "ChangeMessageVisibilityBatch",
                json!({ "QueueUrl": url,
                    "Entries": [{ "Id": "a", "ReceiptHandle": receipt, "VisibilityTimeout": 60 }] }),
            ),
            ("DeleteMessageBatch", json!({ "QueueUrl": url, "Entries": [{ "Id": "a", "ReceiptHandle": receipt }] })),
            ("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": receipt })),
            ("CreateQueue", json!({ "QueueName": "orders", "Attributes": usual_settings() })),
            ("PurgeQueue", json!({ "QueueUrl": url })),
            ("DeleteQueue", json!({ "QueueUrl": url })),
        ]
    }
}

/// None of them makes a receiver wait: how long one waits is no matter of parsing.
fn usual_settings() -> Value {
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:local:000000000000:letters", "maxReceiveCount": 3 });
    json!({ "VisibilityTimeout": "30", "DelaySeconds": "0", "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "262144", "ReceiveMessageWaitTimeSeconds": "0", "RedrivePolicy": policy.to_string() })
}

#[rustfmt::skip]
const INPUT_WORDS: &[&str] = &[
    "QueueUrl", "QueueName", "MessageBody", "ReceiptHandle", "Attributes", "Entries", "Id", "DataType",
    "StringValue", "BinaryValue", "StringListValues", "MessageGroupId", "AWSTraceHeader", "RedrivePolicy",
    "RedriveAllowPolicy", "Policy", "KmsMasterKeyId", "String", "Binary", "Number", "Number.x", "All", "a.fifo",
    "http://x/000000000000/orders", "arn:aws:sqs:local:000000000000:orders", "{\"maxReceiveCount\": 1e99}", "\u{0}",
    "\u{fffe}", "\\ud800", "{", "}", "[", "]", "\"", ",", ":",
];

#[rustfmt::skip]
const SIGNATURE_WORDS: &[&str] = &[
    "AWS4-HMAC-SHA256 ", "Credential=", "SignedHeaders=", "Signature=", ", ", ";", "host", KEY_ID, "/aws4_request",
    "/sqs/", "us-east-1", "20260101T000000Z", "AmazonSQS.", "AmazonSQS.PurgeQueue", "?Action=PurgeQueue",
    "/000000000000/orders", "%00", "%ff", "x-amz-target", "application/x-www-form-urlencoded", "Bearer x",
];

#[test]
fn inputs_of_actions() {
    hear::<Inputs>("inputs_of_actions");
}

struct Inputs(Site);

impl Subject for Inputs {
    type Request = Raw;

    async fn open() -> Self {
        Inputs(Site::open().await)
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let good = self.0.good_ones();
        let (action, input) = spoiler.one(&good);
        let name = if spoiler.one_in(40) { spoiler.line(action, INPUT_WORDS) } else { (*action).to_owned() };
        let mut body = spoiler.json(input, INPUT_WORDS, 300 << 10);
        // a number that took the place of this 0 would make later receivers wait
        if memchr::memmem::find(&body, b"WaitTimeSeconds").is_some()
            && memchr::memmem::find(&body, b"\"ReceiveMessageWaitTimeSeconds\":\"0\"").is_none()
        {
            body = input.to_string().into_bytes();
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let request = self.0.door.request(&name, body);
        Raw { head: request.head().into_bytes(), body: request.body.into_bytes() }
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        self.0.send(raw).await
    }

    async fn good(&mut self) -> Result<(), String> {
        self.0.renew().await?;
        for (action, input) in self.0.good_ones() {
            self.0.call(action, &input).await?;
        }
        self.0.renew().await
    }
}

#[test]
fn signatures_of_actions() {
    hear::<Signatures>("signatures_of_actions");
}

struct Signatures(Site);

impl Subject for Signatures {
    type Request = Raw;

    async fn open() -> Self {
        Signatures(Site::open().await)
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let input = json!({ "QueueUrl": self.0.url, "AttributeNames": ["All"] });
        let request = self.0.door.request("GetQueueAttributes", input.to_string());
        let head = spoil_head(&request.head(), SIGNATURE_WORDS, spoiler);
        Raw { head, body: request.body.into_bytes() }
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        // what is not meant for queues is answered by the S3 door on the same port, in XML
        let answer = self.0.wire.exchange(&raw.head, &raw.body).await?;
        if answer.tells(SECRET) { Err("the answer tells the secret".to_owned()) } else { Ok(answer.status) }
    }

    /// The one message is still there: nothing else was signed for.
    async fn good(&mut self) -> Result<(), String> {
        let wish = json!({ "QueueUrl": self.0.url, "AttributeNames": ["All"] });
        let told = self.0.call("GetQueueAttributes", &wish).await?;
        match told["Attributes"]["ApproximateNumberOfMessagesNotVisible"].as_str() {
            Some("1") => Ok(()),
            other => Err(format!("{other:?} messages are there")),
        }
    }
}
