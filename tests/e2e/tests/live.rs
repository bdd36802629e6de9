//! The live feed over the wire: a listener that goes away and comes back, also to a service that was started anew, hears
//! every stored event once and in order.

use filemill_e2e::feed::{Frame, Frames};
use filemill_e2e::inputs::text;
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::stage::MANY_CHUNKS;
use filemill_e2e::{Service, Stage};
use serde_json::Value;
use std::net::TcpStream;
use std::time::Instant;
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;

/// Opens a feed behind this number. It ends when the connection does, or the patience of who waits for it.
type Connect = fn(&Service, u64) -> Box<dyn Iterator<Item = Frame>>;

const ROUNDS: usize = 3;
const FILES_WHILE_LISTENING: usize = 15;
const FILES_WHILE_AWAY: usize = 3;

fn by_events(service: &Service, after: u64) -> Box<dyn Iterator<Item = Frame>> {
    Box::new(Frames::after(&service.api, &service.credentials.admin_token, after, JOB_PATIENCE).expect("a feed"))
}

fn by_socket(service: &Service, after: u64) -> Box<dyn Iterator<Item = Frame>> {
    let address = service.api.strip_prefix("http://").expect("http");
    let mut request = format!("ws://{address}/v1/live?after={after}").into_client_request().expect("a request");
    request.headers_mut().insert("authorization", service.bearer().parse().expect("a header"));
    let stream = TcpStream::connect(address).expect("a connection");
    let (mut socket, _) = tungstenite::client(request, stream).expect("a socket");
    let began = Instant::now();
    Box::new(std::iter::from_fn(move || {
        // signs of life come often, so this does not wait for ever
        while began.elapsed() < JOB_PATIENCE {
            match socket.read() {
                Ok(Message::Text(text)) => return Some(frame(serde_json::from_str(&text).expect("JSON"))),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
        None
    }))
}

fn frame(data: Value) -> Frame {
    Frame { id: data["seq"].as_u64(), kind: data["kind"].as_str().expect("a kind").to_owned(), data }
}

/// Goes away after one event, comes back, goes away after two, and so on, until so many jobs have completed.
fn listen(connect: Connect, service: &Service, heard: &mut Vec<Frame>, completed: usize) {
    let began = Instant::now();
    let enough = |heard: &[Frame]| heard.iter().filter(|frame| frame.kind == "job.completed").count() >= completed;
    for visit in 1.. {
        let last = heard.last().and_then(|frame| frame.id).unwrap_or(0);
        for frame in connect(service, last).filter(|frame| frame.id.is_some()).take(visit) {
            heard.push(frame);
            if enough(heard) {
                return;
            }
        }
        assert!(began.elapsed() < JOB_PATIENCE, "heard {} events, and not what was waited for", heard.len());
    }
}

fn comes_back(connect: Connect) {
    let mut stage = Stage::open();
    let mut heard = Vec::new();
    for round in 1..=ROUNDS {
        let uploads = stage.service.bucket("uploads");
        for number in 0..FILES_WHILE_AWAY {
            uploads.put(&format!("{round}/away/{number}"), b"x");
        }
        stage.service.ended_job("uploads", &format!("{round}/away/0"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..FILES_WHILE_LISTENING {
                    uploads.put(&format!("{round}/{number}"), b"x");
                }
            });
            listen(connect, &stage.service, &mut heard, round * (FILES_WHILE_AWAY + FILES_WHILE_LISTENING));
        });
        if round < ROUNDS {
            stage = stage.restarted();
        }
    }
    let history = stage.service.feed.wait("the whole history", JOB_PATIENCE, || {
        let mut history = stage.service.feed.events();
        history.retain(|event| event["seq"].is_u64());
        (history.len() >= heard.len()).then_some(history)
    });
    let ids: Vec<u64> = heard.iter().filter_map(|frame| frame.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "out of order or twice: {ids:?}");
    let history: Vec<Frame> = history.into_iter().take(heard.len()).map(frame).collect();
    assert!(heard == history, "not what one listener heard who never went away: {heard:?}\n{history:?}");
    stage.service.stop();
}

#[test]
fn by_server_sent_events_nothing_is_missed_and_nothing_comes_twice() {
    comes_back(by_events);
}

#[test]
fn by_websocket_nothing_is_missed_and_nothing_comes_twice() {
    comes_back(by_socket);
}

#[test]
fn progress_is_told_in_between_and_has_no_number() {
    for connect in [by_events as Connect, by_socket] {
        let stage = Stage::with_config(MANY_CHUNKS);
        stage.service.bucket("uploads").put("large.txt", &text(1, 32 << 20));
        let frames: Vec<Frame> = connect(&stage.service, 0).take_while(|frame| frame.kind != "job.completed").collect();
        let progress: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == "job.progress").collect();
        assert!(progress.iter().all(|frame| frame.id.is_none()), "{progress:?}");
        let read = |frame: &&Frame| frame.data["data"]["bytes"]["in"].as_u64().expect("bytes");
        let read: Vec<u64> = progress.iter().map(read).collect();
        assert!(read.len() > 1 && read.is_sorted() && read.last() > read.first(), "{read:?}");
        stage.service.stop();
    }
}
