//! Bodies that are too long, too slow or too short, and waits that the door's end ends.

use super::client::*;
use filemill_core::limits::SQS_BODY_BYTES_MAX;
use filemill_http::s3::Patience;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn send_head(door: &TestDoor, length: &str, body: &str) -> TcpStream {
    let request = door.request("ListQueues", "{}");
    let head = request.head().replace("content-length: 2\r\n", &format!("connection: close\r\n{length}"));
    let mut stream = TcpStream::connect(door.address).await.expect("the door listens");
    stream.write_all((head + body).as_bytes()).await.expect("written");
    stream
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_comes() {
    let door = TestDoor::open().await;
    let length = format!("content-length: {}\r\n", SQS_BODY_BYTES_MAX + 1);
    let mut stream = send_head(&door, &length, "").await;
    stream.shutdown().await.expect("nothing more comes");
    Reply::read(&mut stream).await.refused(413, "RequestEntityTooLarge");
}

#[tokio::test]
async fn a_body_without_a_length_is_refused() {
    let door = TestDoor::open().await;
    let mut stream = send_head(&door, "transfer-encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n").await;
    Reply::read(&mut stream).await.refused(411, "MissingContentLength");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let patience = Patience { body_idle: Duration::from_millis(100), ..Patience::default() };
    let door = TestDoor::with(patience).await;
    let mut stream = send_head(&door, "content-length: 100\r\n", "{").await;
    Reply::read(&mut stream).await.refused(400, "RequestTimeout");
}

#[tokio::test]
async fn a_long_poll_ends_when_the_door_closes() {
    let door = TestDoor::open().await;
    let url = door.with_queue().await;
    let wish = json!({ "QueueUrl": url, "WaitTimeSeconds": 20 }).to_string();
    let request = door.request("ReceiveMessage", wish);
    let mut stream = TcpStream::connect(door.address).await.expect("the door listens");
    let whole = request.head() + &request.body;
    let calls = door.store.calls();
    stream.write_all(whole.as_bytes()).await.expect("written");
    while door.store.calls() == calls {
        tokio::task::yield_now().await;
    }
    door.stop.cancel();
    let reply = tokio::time::timeout(Duration::from_secs(10), Reply::read(&mut stream)).await.expect("at once");
    assert_eq!(reply.expect(200), json!({}));
    tokio::time::timeout(Duration::from_secs(10), door.served).await.expect("the door is closed").expect("in order");
}
