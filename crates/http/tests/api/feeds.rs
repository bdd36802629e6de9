//! The live feed: nothing missed, nothing twice, by server-sent events and by WebSocket.

use crate::service::{Service, TOKEN, door, idle_service, request, service, with_header, without_token};
use axum::body::Body;
use axum::http::{Method, Request};
use filemill_core::limits::{LISTENER_BACKLOG, LISTENERS_MAX};
use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// One frame of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    pub id: Option<u64>,
    pub event: Option<String>,
    data: Option<Value>,
}

pub struct Feed {
    body: Body,
    text: String,
}

impl Feed {
    pub async fn open(service: &Service, request: Request<Body>) -> Feed {
        let response = service.open(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Feed { body: response.into_body(), text: String::new() }
    }

    /// The next frame that is no comment; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (parse(frame), rest.to_owned());
                self.text = rest;
                if frame != Frame::default() {
                    return Some(frame);
                }
                continue;
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("something comes")?;
            let piece = piece.expect("the feed goes on").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }

    /// Stored events up to and with the first of this kind.
    async fn until(&mut self, kind: &str) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            let last = frame.event.as_deref() == Some(kind);
            frames.extend(Some(frame).filter(|f| f.id.is_some() && f.event.is_some()));
            if last {
                return frames;
            }
        }
        panic!("the feed ended before {kind}: {frames:?}");
    }
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
            Some(("id", id)) => frame.id = Some(id.parse().expect("a number")),
            Some(("event", event)) => frame.event = Some(event.to_owned()),
            Some(("data", data)) => frame.data = Some(serde_json::from_str(data).expect("JSON")),
            _ => {}
        }
    }
    frame
}

fn events(path: &str) -> Request<Body> {
    request(Method::GET, path, Body::empty())
}

#[tokio::test]
async fn a_feed_starts_where_it_says_and_hears_what_follows() {
    let service = service().await;
    service.put("before", b"x").await;
    service.job("before", "completed").await;
    let mut feed = Feed::open(&service, events("/v1/events")).await;
    let start = feed.next().await.expect("a start");
    assert_eq!(start.id, service.store.snapshot().events.last().map(|(seq, _)| *seq));
    assert_eq!((start.event, start.data), (None, None));

    service.put("after", b"x").await;
    let heard = feed.until("job.completed").await;
    assert!(heard.iter().all(|f| f.id > start.id), "{heard:?}");
    assert!(heard.iter().all(|f| f.data.as_ref().expect("data")["seq"].as_u64() == f.id), "{heard:?}");
    let stored: Vec<u64> =
        service.store.snapshot().events.iter().map(|(seq, _)| *seq).filter(|s| Some(*s) > start.id).collect();
    let heard: Vec<u64> = heard.iter().filter_map(|f| f.id).collect();
    assert!(heard.len() >= 3, "file created, job created, job completed: {heard:?}");
    assert_eq!(heard, stored[..heard.len()]);
}

#[tokio::test]
async fn resuming_behind_any_event_misses_nothing_and_repeats_nothing() {
    let service = service().await;
    for name in ["a", "b", "c"] {
        service.put(name, b"x").await;
        service.job(name, "completed").await;
    }
    let all: Vec<u64> = service.store.snapshot().events.iter().map(|(seq, _)| *seq).collect();
    for cut in 0..all.len() {
        let after = if cut == 0 { 0 } else { all[cut - 1] };
        for header in [true, false] {
            let request = match header {
                true => with_header(events("/v1/events?after=0"), "last-event-id", &after.to_string()),
                false => events(&format!("/v1/events?after={after}")),
            };
            let mut feed = Feed::open(&service, request).await;
            assert_eq!(feed.next().await.expect("a start").id, Some(after));
            let mut heard = Vec::new();
            while heard.len() < all.len() - cut {
                heard.extend(feed.next().await.expect("an event").id);
            }
            assert_eq!(heard, all[cut..], "after {after}");
        }
    }
}

#[tokio::test]
async fn a_cut_feed_goes_on_while_jobs_go_on() {
    let service = service().await;
    let mut heard = Vec::new();
    for round in 0..10 {
        let after = heard.last().copied().unwrap_or(0u64).to_string();
        let mut feed = Feed::open(&service, with_header(events("/v1/events"), "last-event-id", &after)).await;
        feed.next().await.expect("a start");
        service.put(&format!("file-{round}"), b"x").await;
        for _ in 0..3 {
            heard.extend(feed.next().await.expect("an event").id);
        }
        drop(feed);
        service.job(&format!("file-{round}"), "completed").await;
    }
    let stored: Vec<u64> = service.store.snapshot().events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(heard, stored[..heard.len()]);
}

/// A listener that reads nothing takes no memory for ever: beyond its backlog the feed ends, and it comes back.
#[tokio::test]
async fn a_listener_that_is_too_slow_is_let_go_and_resumes_without_a_gap() {
    let service = service().await;
    let mut slow = Feed::open(&service, events("/v1/events")).await;
    service.put("first", b"x").await;
    let mut heard: Vec<u64> = slow.until("job.completed").await.iter().filter_map(|frame| frame.id).collect();
    let mut quick = service.engine.listen(Some(0)).await.expect("a listener");
    let mut completed = 0;
    // each makes at least two events, so that together they are more than a backlog; the quick one hears a few at a time
    for n in 0..LISTENER_BACKLOG {
        service.put(&format!("file-{n}"), b"x").await;
        while n % 64 == 63 && completed < n + 2 {
            let event = quick.next().await.expect("the feed goes on").expect("an event");
            completed += usize::from(event.event.kind.as_str() == "job.completed");
        }
    }
    while let Some(frame) = slow.next().await {
        heard.extend(frame.id);
    }
    let all: Vec<u64> = service.store.snapshot().events.iter().map(|(seq, _)| *seq).collect();
    assert!(heard.len() < all.len(), "it was let go");
    let after = heard.last().expect("some events").to_string();
    let mut again = Feed::open(&service, with_header(events("/v1/events"), "last-event-id", &after)).await;
    again.next().await.expect("a start");
    while heard.len() < all.len() {
        heard.extend(again.next().await.expect("an event").id);
    }
    assert_eq!(heard, all);
}

#[tokio::test]
async fn a_number_from_another_life_of_the_store_does_not_silence_the_feed() {
    let service = service().await;
    service.put("before", b"x").await;
    service.job("before", "completed").await;
    let mut feed = Feed::open(&service, with_header(events("/v1/events"), "last-event-id", "1000000")).await;
    assert!(feed.next().await.expect("a start").id < Some(1_000_000));
    service.put("after", b"x").await;
    feed.until("job.completed").await;
}

#[tokio::test]
async fn filters_let_only_what_was_asked_for_through() {
    let service = service().await;
    for name in ["a", "b"] {
        service.put(name, b"x").await;
    }
    let job = service.job("a", "completed").await["id"].as_str().expect("id").to_owned();
    service.job("b", "completed").await;
    let path = format!("/v1/events?after=0&job={job}&kind=job.created,job.completed");
    let mut feed = Feed::open(&service, events(&path)).await;
    let heard = feed.until("job.completed").await;
    let kinds: Vec<&str> = heard.iter().filter_map(|f| f.event.as_deref()).collect();
    assert_eq!(kinds, ["job.created", "job.completed"]);
    assert!(heard.iter().all(|f| f.data.as_ref().expect("data")["job"] == json!(job)));
}

#[tokio::test]
async fn bad_listeners_are_told_why() {
    let service = service().await;
    service.get("/v1/events?kind=job.done").await.is_problem(400, "invalid_parameter");
    service.get("/v1/events?after=x").await.is_problem(400, "invalid_parameter");
    service.get("/v1/events?job=fil_00000000000000000000000000").await.is_problem(400, "invalid_parameter");
    let bad_id = with_header(events("/v1/events"), "last-event-id", "x");
    service.send(bad_id).await.is_problem(400, "invalid_header");
    let evil = with_header(events("/v1/events"), "origin", "https://evil.example");
    service.send(evil).await.is_problem(403, "origin_not_allowed");
    service.get("/v1/live").await.is_problem(400, "websocket_expected");
}

#[tokio::test]
async fn a_ticket_opens_one_feed() {
    let service = service().await;
    let ticket = service.post("/v1/tickets", json!({})).await;
    assert_eq!(ticket.status, 201);
    let path = format!("/v1/events?ticket={}", ticket.json()["ticket"].as_str().expect("ticket"));
    let same_host =
        with_header(with_header(events(&path), "host", "filemill.local:8080"), "origin", "http://filemill.local:8080");
    Feed::open(&service, without_token(same_host)).await;
    service.send(without_token(events(&path))).await.is_problem(401, "unauthorized");
    service.send(without_token(events("/v1/events?ticket=x"))).await.is_problem(401, "unauthorized");
    service.send(without_token(events("/v1/rules?ticket=x"))).await.is_problem(401, "unauthorized");
}

#[tokio::test]
async fn feeds_beyond_the_most_are_refused_until_one_ends() {
    let service = idle_service().await;
    let mut feeds = Vec::with_capacity(LISTENERS_MAX);
    for _ in 0..LISTENERS_MAX {
        feeds.push(Feed::open(&service, events("/v1/events")).await);
    }
    // looked at before it is read: a feed has no end
    assert_eq!(service.open(events("/v1/events")).await.status(), 503);
    let refused = service.get("/v1/events").await;
    assert!(!refused.header("retry-after").is_empty());
    refused.is_problem(503, "too_many_listeners");
    feeds.pop();
    Feed::open(&service, events("/v1/events")).await;
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The service on a port of its own, until `stop`.
pub async fn listening(service: &Service) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, stop) = (listener.local_addr().expect("an address"), CancellationToken::new());
    let served = tokio::spawn(door(&service.engine).serve(listener, stop.clone()));
    (address, stop, served)
}

async fn connect(address: SocketAddr, path: &str, origin: Option<&str>) -> Result<Socket, SocketError> {
    connect_as(TOKEN, address, path, origin).await
}

pub async fn connect_as(
    token: &str,
    address: SocketAddr,
    path: &str,
    origin: Option<&str>,
) -> Result<Socket, SocketError> {
    let mut request = format!("ws://{address}{path}").into_client_request().expect("a request");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

async fn next(socket: &mut Socket) -> Message {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes");
        match message.expect("an open socket").expect("a message") {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

pub async fn next_event(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.to_text().expect("text")).expect("JSON")
}

#[tokio::test]
async fn a_websocket_hears_events_in_order_and_resumes() {
    let service = service().await;
    let (address, _stop, _served) = listening(&service).await;
    let mut socket = connect(address, "/v1/live?after=0", None).await.expect("a socket");
    service.put("a", b"x").await;
    let mut heard = Vec::new();
    loop {
        let event = next_event(&mut socket).await;
        heard.extend(event["seq"].as_u64());
        if event["kind"] == "job.completed" {
            break;
        }
    }
    let stored: Vec<u64> = service.store.snapshot().events.iter().map(|(seq, _)| *seq).collect();
    assert!(heard.len() >= 3, "file created, job created, job completed: {heard:?}");
    assert_eq!(heard, stored[..heard.len()]);
    let mut again = connect(address, &format!("/v1/live?after={}", heard[0]), None).await.expect("a socket");
    assert_eq!(next_event(&mut again).await["seq"], json!(heard[1]));
}

#[tokio::test]
async fn pages_of_other_origins_get_no_socket() {
    let service = idle_service().await;
    let (address, _stop, _served) = listening(&service).await;
    let same = format!("http://{address}");
    for (origin, allowed) in
        [("https://evil.example", false), ("null", false), ("https://console.example", true), (&*same, true)]
    {
        let answer = connect(address, "/v1/live", Some(origin)).await;
        match answer {
            Ok(_) => assert!(allowed, "{origin}"),
            Err(SocketError::Http(refused)) => {
                assert_eq!((refused.status().as_u16(), allowed), (403, false), "{origin}")
            }
            Err(e) => panic!("{origin}: {e}"),
        }
    }
}

#[tokio::test]
async fn stopping_ends_feeds_with_the_place_to_resume() {
    let service = service().await;
    let (address, stop, served) = listening(&service).await;
    service.put("a", b"x").await;
    service.job("a", "completed").await;
    let last = service.store.snapshot().events.last().expect("events").0;
    let mut socket = connect(address, "/v1/live", None).await.expect("a socket");
    socket.send(Message::Text("hello?".into())).await.expect("sent");
    stop.cancel();
    let Message::Close(Some(goodbye)) = next(&mut socket).await else { panic!("not closed") };
    assert_eq!(u16::from(goodbye.code), 1001);
    assert!(goodbye.reason.ends_with(&format!("after={last}")), "{}", goodbye.reason);
    assert!(socket.next().await.is_none(), "the goodbye is answered and the last word");
    tokio::time::timeout(PATIENCE, served).await.expect("the door closes").expect("no panic");
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_socket() {
    let service = idle_service().await;
    let (address, _stop, _served) = listening(&service).await;
    let mut socket = connect(address, "/v1/live", None).await.expect("a socket");
    let large = "x".repeat(filemill_core::limits::FEED_FRAME_BYTES_MAX + 1);
    let _cut_while_sending = socket.send(Message::Text(large.into())).await;
    let ended = tokio::time::timeout(PATIENCE, async {
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                return;
            }
        }
    });
    ended.await.expect("the service ends it");
}
