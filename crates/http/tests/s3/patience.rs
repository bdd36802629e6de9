//! Slow clients, many clients, and shutdown.

use super::support::*;
use filemill_http::s3::Patience;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinHandle;

fn short() -> Patience {
    Patience { header: Duration::from_millis(300), body_idle: Duration::from_millis(300), ..Patience::default() }
}

/// Everything until the door closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    let _ = reading.await.expect("the door cuts the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a few bytes again and again, until the door hangs up.
fn drip(mut writer: OwnedWriteHalf) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while writer.write_all(b"drip").await.is_ok() {
            tick.tick().await;
        }
    })
}

#[tokio::test]
async fn half_a_head_is_cut() {
    let door = TestDoor::impatient(short()).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = door.connect().await;
        stream.write_all(b"PUT /bkt/k HTTP/1.1\r\nhost: a\r\n").await.expect("half a head");
        streams.push(stream);
    }
    door.put("other", b"served meanwhile").await;
    for stream in &mut streams {
        until_closed(stream).await;
    }
}

#[tokio::test]
async fn a_head_that_drips_is_cut() {
    let door = TestDoor::impatient(short()).await;
    let (mut reader, writer) = door.connect().await.into_split();
    let dripping = drip(writer);
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut answer));
    let _reset_is_an_end_too = reading.await.expect("the door cuts the connection");
    dripping.abort();
}

#[tokio::test]
async fn a_body_that_stops_is_cut_and_stores_nothing() {
    let door = TestDoor::impatient(short()).await;
    door.put("k", b"old").await;
    for declared in [1000, 1_000_000] {
        let mut stream = door.request("PUT", "k").send_head(Some(declared)).await;
        stream.write_all(&content(500)).await.expect("a beginning");
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("RequestTimeout"), "{answer}");
    }
    assert_eq!(door.get("k").await, "old");
}

#[tokio::test]
async fn a_body_that_drips_is_cut() {
    let patience = Patience { body_idle: Duration::from_secs(1), body_rate_min: 1_000_000, ..Patience::default() };
    let door = TestDoor::impatient(patience).await;
    let stream = door.request("PUT", "k").send_head(Some(1_000_000)).await;
    let (mut reader, writer) = stream.into_split();
    let dripping = drip(writer);
    read_response(&mut reader).await.expect_error(400, "RequestTimeout");
    drop(reader);
    dripping.abort();
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn a_document_that_drips_is_cut() {
    let time = Duration::from_millis(300);
    let door = TestDoor::with(|config| config.documents.time = time).await;
    let stream = door.bucket_request("POST", &[("delete", "")]).send_head(Some(1_000_000)).await;
    let (mut reader, writer) = stream.into_split();
    let dripping = drip(writer);
    read_response(&mut reader).await.expect_error(400, "RequestTimeout");
    dripping.abort();
}

#[tokio::test]
async fn a_document_without_a_place_is_told_to_come_again() {
    let door = TestDoor::with(|config| config.documents.places = 1).await;
    door.put("k", b"served meanwhile").await;
    let document = b"<Delete><Object><Key>gone</Key></Object></Delete>";
    let delete = door.bucket_request("POST", &[("delete", "")]).body(document);
    let slow = delete.clone().header("expect", "100-continue");
    let mut first = slow.send_head(Some(document.len() as u64)).await;
    assert_eq!(read_response(&mut first).await.status, 100);
    let second = delete.send().await.expect_error(503, "SlowDown");
    assert!(second.header("retry-after").is_some());
    assert_eq!(door.get("k").await, "served meanwhile");
    first.write_all(document).await.expect("the document");
    read_response(&mut first).await.expect_status(200);
    delete.send().await.expect_status(200);
}

#[tokio::test]
async fn a_download_that_nobody_takes_is_cut() {
    let door = TestDoor::impatient(short()).await;
    door.put("k", &content(30_000_000)).await;
    let mut stream = door.request("GET", "k").send_head(None).await;
    // the first byte shows that the answer has begun; then the reader stops
    stream.read_u8().await.expect("an answer");
    tokio::time::timeout(Duration::from_secs(20), async {
        let mut probe = tokio::time::interval(Duration::from_millis(50));
        // a write to a connection that the door has closed fails in the end
        while stream.write_all(b"x").await.is_ok() {
            probe.tick().await;
        }
    })
    .await
    .expect("the door gives up");
}

/// A byte now and then makes no room that the door could write to.
#[tokio::test]
async fn a_download_that_is_taken_in_drops_is_cut() {
    let door = TestDoor::impatient(Patience { body_idle: Duration::from_secs(1), ..Patience::default() }).await;
    door.put("k", &content(30_000_000)).await;
    let (mut reader, mut writer) = door.request("GET", "k").send_head(None).await.into_split();
    let mut sip = tokio::time::interval(Duration::from_millis(50));
    tokio::time::timeout(Duration::from_secs(20), async {
        // a write to a connection that the door has closed fails in the end
        while writer.write_all(b"x").await.is_ok() && reader.read_u8().await.is_ok() {
            sip.tick().await;
        }
    })
    .await
    .expect("the door gives up");
}

#[tokio::test]
async fn connections_beyond_the_cap_are_told_so() {
    let door = TestDoor::impatient(Patience { connections_max: 2, ..Patience::default() }).await;
    let (mut first, mut second) = (door.connect().await, door.connect().await);
    for stream in [&mut first, &mut second] {
        let (head, _) = door.request("GET", "k").signed_head(None);
        stream.write_all(head.as_bytes()).await.expect("a request");
        read_response(stream).await.expect_status(404);
    }
    let mut third = door.connect().await;
    assert!(until_closed(&mut third).await.starts_with("HTTP/1.1 503"));
    drop(first);
    // the place is free once the door has seen the end
    loop {
        let mut next = door.connect().await;
        let (head, _) = door.request("GET", "k").signed_head(None);
        next.write_all(head.as_bytes()).await.expect("a request");
        if try_read(&mut next, false).await.is_ok_and(|response| response.status == 404) {
            break;
        }
    }
}

#[tokio::test]
async fn shutdown_finishes_what_was_begun() {
    let mut door = TestDoor::open().await;
    let mut idle = door.connect().await;
    let bytes = content(500_000);
    let mut stream = door.request("PUT", "k").header("expect", "100-continue").send_head(Some(500_000)).await;
    assert_eq!(read_response(&mut stream).await.status, 100);
    door.stop.cancel();
    assert!(until_closed(&mut idle).await.is_empty());
    stream.write_all(&bytes).await.expect("the body");
    read_response(&mut stream).await.expect_status(200);
    tokio::time::timeout(Duration::from_secs(20), &mut door.served).await.expect("it ends").expect("without a panic");
    assert!(door.exists("k").await);
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let mut door = TestDoor::impatient(Patience { drain: Duration::from_millis(300), ..Patience::default() }).await;
    let mut stream = door.request("PUT", "k").header("expect", "100-continue").send_head(Some(500_000)).await;
    assert_eq!(read_response(&mut stream).await.status, 100);
    door.stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), &mut door.served).await.expect("it ends").expect("without a panic");
    assert!(!door.exists("k").await);
}
