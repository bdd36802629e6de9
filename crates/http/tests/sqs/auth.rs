//! Who may speak to the queues: only a correct, recent signature of a known key over the whole request.

use super::client::*;
use filemill_core::limits::CLOCK_SKEW_MAX;
use std::time::Duration;

fn list(door: &TestDoor) -> Request {
    door.request("ListQueues", "{}")
}

#[tokio::test]
async fn a_signed_request_is_answered() {
    let door = TestDoor::open().await;
    list(&door).send().await.expect(200);
    Request { region: "us-east-1".into(), ..list(&door) }.send().await.expect(200);
}

#[tokio::test]
async fn a_signature_that_does_not_fit_is_refused() {
    let door = TestDoor::open().await;
    let target = |name: &str| ("x-amz-target".to_owned(), format!("AmazonSQS.{name}"));
    let mut other_action = list(&door);
    other_action.unsigned_headers = vec![target("PurgeQueue")];
    for (what, request) in [
        ("secret", Request { secret: "wrong".into(), ..list(&door) }),
        ("body", Request { sent_body: Some("{ }".into()), ..list(&door) }),
        ("a second target", other_action),
    ] {
        let reply = request.send().await;
        assert_eq!(reply.status, 403, "{what}: {reply:?}");
        reply.refused(403, "SignatureDoesNotMatch");
    }
}

#[tokio::test]
async fn the_hash_of_the_body_is_checked() {
    let door = TestDoor::open().await;
    let mut request = list(&door);
    request.unsigned_headers = vec![("x-amz-content-sha256".into(), "0".repeat(64))];
    request.send().await.refused(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn strangers_and_strange_scopes_are_refused() {
    let door = TestDoor::open().await;
    Request { key_id: "NOBODY".into(), ..list(&door) }.send().await.refused(403, "InvalidClientTokenId");
    let region = Request { region: "eu-north-1".into(), ..list(&door) }.send().await;
    assert!(region.refused(403, "IncompleteSignature").contains("us-east-1"));
    Request { service: "s3".into(), ..list(&door) }.send().await.refused(403, "IncompleteSignature");
    let token = vec![("x-amz-security-token".to_owned(), "t".to_owned())];
    let mut with_token = list(&door);
    with_token.headers.extend(token);
    with_token.send().await.refused(403, "InvalidClientTokenId");
}

#[tokio::test]
async fn a_clock_may_be_wrong_by_a_quarter_of_an_hour() {
    let door = TestDoor::open().await;
    let minute = Duration::from_secs(60);
    for at in [now().minus(CLOCK_SKEW_MAX - minute), now().plus(CLOCK_SKEW_MAX - minute)] {
        Request { at, ..list(&door) }.send().await.expect(200);
    }
    for at in [now().minus(CLOCK_SKEW_MAX + minute), now().plus(CLOCK_SKEW_MAX + minute)] {
        Request { at, ..list(&door) }.send().await.refused(403, "RequestExpired");
    }
}

#[tokio::test]
async fn headers_that_matter_must_be_signed() {
    let door = TestDoor::open().await;
    let mut request = list(&door);
    request.unsigned_headers = vec![("x-amz-meaning".into(), "more".into())];
    assert!(request.send().await.refused(403, "IncompleteSignature").contains("x-amz-meaning"));
}

#[tokio::test]
async fn nothing_goes_into_the_url() {
    let door = TestDoor::open().await;
    let reply = Request { query: "Action=ListQueues".into(), ..list(&door) }.send().await;
    reply.refused(400, "AWS.SimpleQueueService.UnsupportedOperation");
}

#[tokio::test]
async fn without_a_signature_nothing_is_answered() {
    use tokio::io::AsyncWriteExt;
    let door = TestDoor::open().await;
    let mut stream = tokio::net::TcpStream::connect(door.address).await.expect("the door listens");
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonSQS.ListQueues\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(head.as_bytes()).await.expect("written");
    Reply::read(&mut stream).await.refused(403, "MissingAuthenticationToken");
}
