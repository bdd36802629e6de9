//! The query protocol: forms do what JSON does, whatever is in them is answered in XML, and S3 keeps what is its own.
//! Older clients themselves are in the end-to-end tests.

use super::client::*;
use filemill_core::message::{MessageQueueName, NewMessage};
use filemill_core::ports::MessageQueues;
use quick_xml::events::Event;
use serde_json::{Value, json};

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// The texts of the elements of this name; the document must be well-formed.
#[track_caller]
fn texts(reply: &Reply, name: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(&reply.text);
    let (mut found, mut inside) = (Vec::new(), false);
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e}: {reply:?}")) {
            Event::Start(start) if start.name().as_ref() == name.as_bytes() => {
                inside = true;
                found.push(String::new());
            }
            Event::End(end) if end.name().as_ref() == name.as_bytes() => inside = false,
            Event::Text(text) if inside => {
                found.last_mut().expect("inside one").push_str(&text.xml10_content().expect("UTF-8"));
            }
            Event::GeneralRef(reference) if inside => {
                let text = reference.xml10_content().expect("UTF-8");
                let entity = reference.resolve_char_ref().expect("a number").map(String::from);
                let entity = entity.or_else(|| quick_xml::escape::resolve_predefined_entity(&text).map(str::to_owned));
                found.last_mut().expect("inside one").push_str(&entity.expect("known"));
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) -> String {
    assert_eq!((reply.status, texts(reply, "Code")), (status, vec![code.to_owned()]), "{reply:?}");
    assert!(reply.text.contains(NAMESPACE) && !reply.text.contains(SECRET), "{reply:?}");
    assert_eq!(texts(reply, "Type"), ["Sender"]);
    texts(reply, "Message").remove(0)
}

async fn queue(door: &TestDoor) -> String {
    let made = door.form(&[("Action", "CreateQueue"), ("Version", "2012-11-05"), ("QueueName", "orders")]).send().await;
    assert_eq!(made.status, 200, "{made:?}");
    texts(&made, "QueueUrl").remove(0)
}

#[tokio::test]
async fn a_form_and_json_are_two_ways_to_the_same() {
    let door = TestDoor::open().await;
    let url = queue(&door).await;
    let body = " \r\n<é>&amp;]]>\u{10ffff}\t ";
    let sent = door.form(&[
        ("Action", "SendMessage"),
        ("QueueUrl", &url),
        ("MessageBody", body),
        ("MessageAttribute.1.Name", "a"),
        ("MessageAttribute.1.Value.DataType", "String"),
        ("MessageAttribute.1.Value.StringValue", "b"),
    ]);
    let sent = sent.send().await;
    assert_eq!(texts(&sent, "MD5OfMessageAttributes"), ["bef8bf215374a0a228d67533b1a488be"], "{sent:?}");
    let wish = json!({ "QueueUrl": url, "VisibilityTimeout": 0, "MessageAttributeNames": ["All"] });
    let by_json = door.call("ReceiveMessage", wish).await.expect(200);
    let message = &by_json["Messages"][0];
    assert_eq!(message["Body"], body);
    assert_eq!(message["MessageAttributes"], json!({ "a": { "DataType": "String", "StringValue": "b" } }));
    let wish = [("Action", "ReceiveMessage"), ("QueueUrl", &url), ("MessageAttributeName.1", "All")];
    let by_form = door.form(&wish).send().await;
    assert!(by_form.head.contains("content-type: text/xml"), "{by_form:?}");
    assert_eq!(texts(&by_form, "Body"), [body]);
    assert_eq!(texts(&by_form, "MD5OfBody"), [message["MD5OfBody"].as_str().expect("a digest")]);
    assert_eq!(texts(&by_form, "StringValue"), ["b"]);
    let id = by_form.head.lines().find_map(|line| line.strip_prefix("x-amzn-requestid: ")).expect("an id");
    assert_eq!(texts(&by_form, "RequestId"), [id]);
}

#[tokio::test]
async fn without_a_queue_url_the_path_names_the_queue() {
    let door = TestDoor::open().await;
    let url = queue(&door).await;
    for path in ["/000000000000/orders", "/000000000000/orders/"] {
        let send = door.form(&[("Action", "SendMessage"), ("MessageBody", "x")]);
        let sent = Request { path: path.into(), ..send }.send().await;
        assert_eq!(sent.status, 200, "{sent:?}");
    }
    let elsewhere = door.form(&[("Action", "SendMessage"), ("QueueUrl", &url), ("MessageBody", "x")]);
    let sent = Request { path: "/000000000000/another".into(), ..elsewhere }.send().await;
    assert_eq!(sent.status, 200, "the parameter says which: {sent:?}");
    assert_eq!(count(&door, &url).await, "3");
    let nameless = door.form(&[("Action", "SendMessage"), ("MessageBody", "x")]).send().await;
    assert!(refused(&nameless, 400, "MissingParameter").contains("QueueUrl"));
}

async fn count(door: &TestDoor, url: &str) -> String {
    let wish = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let told = door.call("GetQueueAttributes", wish).await.expect(200);
    told["Attributes"]["ApproximateNumberOfMessages"].as_str().expect("a count").to_owned()
}

#[tokio::test]
async fn parameters_may_stand_in_the_url() {
    let door = TestDoor::open().await;
    let url = queue(&door).await;
    let query = encoded(&[("Action", "SendMessage"), ("MessageBody", "é +&"), ("Version", "2012-11-05")]);
    let empty = Request { path: "/000000000000/orders".into(), query, ..door.form(&[]) };
    let plus = "Version=2012-11-05&MessageBody=%c3%A9+%2B%26&Action=SendMessage".to_owned();
    for request in [
        empty.clone(),
        Request { method: "GET", headers: Vec::new(), ..empty.clone() },
        Request { headers: Vec::new(), ..empty.clone() },
        Request { sent_query: Some(plus), ..empty.clone() },
        Request {
            query: encoded(&[("MessageBody", "é +&")]),
            ..door.form(&[("Action", "SendMessage"), ("QueueUrl", &url)])
        },
    ] {
        let sent = request.send().await;
        assert_eq!(sent.status, 200, "{sent:?}");
    }
    let got = door.call("ReceiveMessage", json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 })).await.expect(200);
    let bodies: Vec<&Value> = got["Messages"].as_array().expect("messages").iter().map(|m| &m["Body"]).collect();
    assert_eq!(bodies, [&json!("é +&"); 5]);
}

#[tokio::test]
async fn the_signature_covers_the_url() {
    let door = TestDoor::open().await;
    queue(&door).await;
    let query = encoded(&[("Action", "ListQueues"), ("QueueNamePrefix", "a")]);
    let list = Request { method: "GET", query, ..door.form(&[]) };
    assert_eq!(list.send().await.status, 200);
    for other in [
        "Action=PurgeQueue&QueueNamePrefix=a",
        "Action=ListQueues&QueueNamePrefix=b",
        "Action=ListQueues&QueueNamePrefix=a&MaxResults=1",
        "Action=ListQueues",
    ] {
        let reply = Request { sent_query: Some(other.into()), ..list.clone() }.send().await;
        refused(&reply, 403, "SignatureDoesNotMatch");
    }
    let forged = Request { secret: "wrong".into(), ..door.form(&[("Action", "ListQueues")]) }.send().await;
    refused(&forged, 403, "SignatureDoesNotMatch");
    let changed = Request { sent_body: Some("Action=PurgeQueue".into()), ..door.form(&[("Action", "ListQueues")]) };
    refused(&changed.send().await, 403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn bad_forms_are_told_by_name() {
    let door = TestDoor::open().await;
    let url = queue(&door).await;
    let unsupported = "AWS.SimpleQueueService.UnsupportedOperation";
    for (body, code, word) in [
        ("", "MissingAction", "Action"),
        ("Action=", "MissingAction", "Action"),
        ("Action=ListQueues&Action=ListQueues", "MalformedQueryString", "Action"),
        ("Action=TagQueue", unsupported, "SendMessage"),
        ("Action=ListQueues&Version=2009-02-01", "NoSuchVersion", "2012-11-05"),
        ("Action=ListQueues&a=%ff", "MalformedQueryString", "UTF-8"),
        ("Action=ListQueues&a=%f", "MalformedQueryString", "hexadecimal"),
        ("Action=ListQueues&a..b=1", "MalformedQueryString", "a..b"),
        ("Action=ListQueues&MaxResults=x", "InvalidParameterValue", "MaxResults"),
        ("Action=CreateQueue&QueueName=a&Tag.1.Key=a&Tag.1.Value=b", unsupported, "tags"),
        ("Action=CreateQueue&QueueName=a&Attribute.1.Name=DelaySeconds", "MissingParameter", "Attribute.1.Value"),
        ("Action=CreateQueue&QueueName.1=a", "InvalidParameterValue", "QueueName"),
        ("Action=GetQueueUrl&QueueName=nowhere", "AWS.SimpleQueueService.NonExistentQueue", "nowhere"),
        ("Action=SendMessage&MessageBody=%01", "InvalidMessageContents", "U+0001"),
        ("Action=SendMessage&MessageBody=%EF%BF%BF", "InvalidMessageContents", "U+FFFF"),
        ("Action=SendMessageBatch&Entries=", "AWS.SimpleQueueService.EmptyBatchRequest", "Entries"),
        ("Action=ReceiveMessage&MaxNumberOfMessages=11", "InvalidParameterValue", "between 1 and 10"),
    ] {
        let path = "/000000000000/orders".into();
        let reply = Request { path, body: body.into(), ..door.form(&[]) }.send().await;
        let message = refused(&reply, 400, code);
        assert!(message.contains(word), "{body}: {message}");
    }
    assert_eq!(count(&door, &url).await, "0");
}

#[tokio::test]
async fn entries_of_a_batch_come_in_their_order_and_fail_alone() {
    let door = TestDoor::open().await;
    let url = queue(&door).await;
    let mut form = vec![("Action".to_owned(), "SendMessageBatch".to_owned()), ("QueueUrl".to_owned(), url)];
    for n in 1..=10 {
        let body = if n == 3 { "\0".to_owned() } else { format!("body {n}") };
        form.push((format!("SendMessageBatchRequestEntry.{n}.Id"), format!("e{n}")));
        form.push((format!("SendMessageBatchRequestEntry.{n}.MessageBody"), body));
    }
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let sent = door.form(&form).send().await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let good = ["e1", "e2", "e4", "e5", "e6", "e7", "e8", "e9", "e10"];
    assert_eq!(texts(&sent, "Id"), [&good[..], &["e3"]].concat());
    assert_eq!(texts(&sent, "SenderFault"), ["true"]);
    assert_eq!(texts(&sent, "Code"), ["InvalidMessageContents"]);
}

/// The service writes into queues by itself, and JSON carries what XML cannot.
#[tokio::test]
async fn a_text_that_xml_cannot_carry_does_not_keep_the_others_back() {
    let door = TestDoor::open().await;
    let url = queue(&door).await;
    let name = MessageQueueName::parse("orders").expect("a name");
    let message = |body: &str| NewMessage { body: body.into(), attributes: Default::default(), delay: None };
    door.store.send(&name, vec![message("a\u{ffff}\u{1}"), message("b")]).await.expect("sent");
    let wish = [("Action", "ReceiveMessage"), ("QueueUrl", &url), ("MaxNumberOfMessages", "10")];
    let got = door.form(&wish).send().await;
    assert_eq!(got.status, 200);
    let mut bodies = texts(&got, "Body");
    bodies.sort();
    assert_eq!(bodies, ["a\u{fffd}\u{fffd}", "b"]);
}

#[tokio::test]
async fn s3_keeps_what_is_not_signed_for_queues() {
    let door = TestDoor::open().await;
    let url = queue(&door).await;
    let send = || door.form(&[("Action", "SendMessage"), ("QueueUrl", &url), ("MessageBody", "x")]);
    let of_s3 = Request { service: "s3".into(), ..send() };
    for request in [
        of_s3.clone(),
        Request { path: "/000000000000/orders".into(), ..of_s3.clone() },
        Request { method: "GET", query: encoded(&[("Action", "ListQueues")]), ..of_s3 },
        Request { path: "/bucket/orders".into(), ..send() },
        Request { method: "PUT", ..send() },
    ] {
        let reply = request.send().await;
        assert!(reply.status >= 400 && !reply.text.contains(NAMESPACE), "{reply:?}");
    }
    assert_eq!(count(&door, &url).await, "0");
}
