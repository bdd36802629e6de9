//! The live feed over the wire: a listener that is cut off again and again while jobs end, and comes back, also to a
//! service that was started anew, hears every stored event once, in order and soon.

use filemill_e2e::feed::{Frame, Frames};
use filemill_e2e::inputs::text;
use filemill_e2e::rounds::seed;
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::stage::MANY_CHUNKS;
use filemill_e2e::{Service, Stage};
use filemill_trials::trials;
use jiff::Timestamp;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;

/// Opens a feed behind this number. It ends when the connection does, or the patience of who waits for it.
type Connect = fn(&Service, u64) -> Box<dyn Iterator<Item = Frame>>;

/// Between them the service is started anew.
const ROUNDS: usize = 3;
/// Of each kind of listener: with every change, and before a release.
const CUTS: (usize, usize) = (100, 1000);
const FILES_WHILE_AWAY: usize = 3;
/// Of a small one. A visit hears up to as many, and as long as so many are to come no file is needed for them.
const EVENTS_OF_A_JOB: usize = 4;
/// Of 99 in 100 events.
const LAG_MAX: Duration = Duration::from_secs(1);

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

/// What a listener heard who was cut off again and again.
#[derive(Default)]
struct Heard {
    frames: Vec<Frame>,
    completed: usize,
    cuts: usize,
    /// From an event, or from the moment when the listener was there again, until it was heard.
    lags: Vec<Duration>,
}

impl Heard {
    /// Listens behind the last event that was heard, until so many events are heard or so many jobs have completed.
    fn visit(&mut self, connect: Connect, service: &Service, events: usize, completed: usize) {
        let last = self.frames.last().and_then(|frame| frame.id).unwrap_or(0);
        let came = Timestamp::now();
        for frame in connect(service, last).filter(|frame| frame.id.is_some()).take(events) {
            let at: Timestamp = frame.data["at"].as_str().expect("an event has its time").parse().expect("a time");
            self.lags.push(Timestamp::now().duration_since(at.max(came)).unsigned_abs());
            self.completed += usize::from(frame.kind == "job.completed");
            self.frames.push(frame);
            if self.completed >= completed {
                return;
            }
        }
        self.cuts += 1;
    }

    fn slowest_of_a_hundred(&mut self) -> Duration {
        self.lags.sort();
        self.lags[self.lags.len() * 99 / 100]
    }
}

/// Files arrive as fast as they are heard of, so that jobs end while the listener is cut off and comes back.
fn comes_back(connect: Connect) {
    let (cuts, began) = (trials(CUTS.0, CUTS.1), Instant::now());
    let seed = seed();
    let (mut stage, mut chance) = (Stage::open(), SmallRng::seed_from_u64(seed));
    let (mut heard, mut files) = (Heard::default(), 0);
    for round in 1..=ROUNDS {
        let uploads = stage.service.bucket("uploads");
        for number in 0..FILES_WHILE_AWAY {
            uploads.put(&format!("{round}/away/{number}"), b"x");
        }
        files += FILES_WHILE_AWAY;
        stage.service.ended_job("uploads", &format!("{round}/away/0"));
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || told.iter().for_each(|number: usize| drop(uploads.put(&format!("{number:05}"), b"x"))));
            while heard.cuts < cuts * round / ROUNDS {
                if files - heard.completed < EVENTS_OF_A_JOB {
                    files += 1;
                    tell.send(files).expect("the uploader is there");
                }
                heard.visit(connect, &stage.service, chance.random_range(1..=EVENTS_OF_A_JOB), usize::MAX);
            }
            drop(tell);
            let waiting = Instant::now();
            while heard.completed < files {
                assert!(waiting.elapsed() < JOB_PATIENCE, "heard of {} jobs of {files}", heard.completed);
                heard.visit(connect, &stage.service, usize::MAX, files);
            }
        });
        if round < ROUNDS {
            stage = stage.restarted();
        }
    }
    let history = stage.service.feed.wait("the whole history", JOB_PATIENCE, || {
        let mut history = stage.service.feed.events();
        history.retain(|event| event["seq"].is_u64());
        (history.len() >= heard.frames.len()).then_some(history)
    });
    let ids: Vec<u64> = heard.frames.iter().filter_map(|frame| frame.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "out of order or twice: {ids:?}");
    let history: Vec<Frame> = history.into_iter().take(heard.frames.len()).map(frame).collect();
    assert!(heard.frames == history, "not what one heard who was never cut off: {:?}\n{history:?}", heard.frames);
    let (cuts, lag, took) = (heard.cuts, heard.slowest_of_a_hundred(), began.elapsed());
    eprintln!("{cuts} cuts, {files} jobs, {} events, 0 violations, lag p99 {lag:?}, {took:?}", ids.len());
    assert!(lag < LAG_MAX, "events came {lag:?} late");
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
