//! A thousand clients that are slow, or silent in the middle: each is ended in time, is told why if it can be told, and
//! nobody else notices.

use filemill_e2e::inputs::text;
use filemill_e2e::{Service, Stage};
use filemill_trials::trials;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::str::Bytes;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Between two bytes of what is sent slowly.
const PACE: Duration = Duration::from_millis(500);
/// A head and the next piece of a JSON body must come within 10 seconds, that of an object within 30; and a little.
const SHORT: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(36);
const CLIENTS: usize = 1001;
/// Threads that speak for them.
const CREWS: usize = 13;
/// Of everybody else's requests, 99 in 100 are answered within this.
const OTHERS_MAX: Duration = Duration::from_millis(500);
/// So that one address stays below what it may ask for in a minute.
const BETWEEN_USES: Duration = Duration::from_millis(40);

struct Slow {
    address: String,
    /// Sent at once.
    start: String,
    /// Sent byte by byte. After it, nothing more.
    rest: &'static str,
    patience: Duration,
    /// How the answer begins.
    answer: &'static str,
}

/// One conversation, until the service ends it.
struct Talk<'a> {
    slow: &'a Slow,
    stream: TcpStream,
    rest: Bytes<'static>,
    answer: Vec<u8>,
}

impl Slow {
    fn begin(&self) -> Talk<'_> {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.write_all(self.start.as_bytes()).expect("sent");
        stream.set_nonblocking(true).expect("a mode");
        Talk { slow: self, stream, rest: self.rest.bytes(), answer: Vec::new() }
    }
}

impl Talk<'_> {
    /// Hears what came and says another byte. False when the service has ended it.
    fn goes_on(&mut self) -> bool {
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(read) => self.answer.extend_from_slice(&piece[..read]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        if let Some(byte) = self.rest.next() {
            let _already_ended = self.stream.write_all(&[byte]);
        }
        true
    }
}

/// Speaks for all of these at once. `all_begun` is where all meet who have sent their start. Answers when the last was
/// ended.
fn speak(clients: &[&Slow], all_begun: &Barrier) -> Duration {
    let mut talks: Vec<Talk<'_>> = clients.iter().map(|slow| slow.begin()).collect();
    all_begun.wait();
    let began = Instant::now();
    while !talks.is_empty() {
        // not a wait for anything: this is how slow they are
        thread::sleep(PACE);
        talks.retain_mut(|talk| {
            let start = talk.slow.start.lines().next();
            if talk.goes_on() {
                assert!(began.elapsed() < talk.slow.patience, "not ended: {start:?}, answered {:?}", talk.answer);
                return true;
            }
            let answer = String::from_utf8_lossy(&talk.answer);
            assert!(answer.starts_with(talk.slow.answer), "{start:?} was answered {answer}");
            false
        });
    }
    began.elapsed()
}

/// Somebody who is not slow, and what each request took.
fn use_it(service: &Service, number: u64, took: &mut Vec<Duration>) {
    let (uploads, key, content) = (service.bucket("uploads"), format!("{number}.txt"), text(number, 10_000));
    let mut time = |request: &dyn Fn()| {
        let began = Instant::now();
        request();
        took.push(began.elapsed());
    };
    time(&|| drop(uploads.put(&key, &content)));
    time(&|| assert!(uploads.get(&key).expect(200).body == content));
    time(&|| drop(service.get("/v1/jobs?limit=1").expect(200)));
}

/// Heads that come slowly or not at all, and bodies that stop, at both doors.
fn kinds(service: &Service) -> Vec<Slow> {
    let (rest, s3) = (service.api.replace("http://", ""), service.s3.replace("http://", ""));
    let head = "GET /healthz HTTP/1.1\r\nx-slow: so slow that it never comes to its end, whatever it may be\r\n";
    let post = format!(
        "POST /v1/uploads HTTP/1.1\r\nhost: {rest}\r\nauthorization: {}\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n{{\"filename\": ",
        service.bearer()
    );
    let url = service.bucket("uploads").put_url("slow.txt");
    let target = url.strip_prefix(&service.s3).expect("a link into the S3 door");
    let put = format!("PUT {target} HTTP/1.1\r\nhost: {s3}\r\ncontent-length: 1000000\r\n\r\nthe beginning");
    let slow = |address: &str, start: &str, rest, patience, answer| Slow {
        address: address.to_owned(),
        start: start.to_owned(),
        rest,
        patience,
        answer,
    };
    vec![
        slow(&rest, "", "", SHORT, ""),
        slow(&rest, "", head, SHORT, ""),
        slow(&rest, &post, "", SHORT, "HTTP/1.1 408 "),
        slow(
            &rest,
            &post,
            "a byte at a time is too slow for a body, so that this is not heard to its end",
            SHORT,
            "HTTP/1.1 408 ",
        ),
        slow(&s3, "", "", SHORT, ""),
        slow(&s3, "", head, SHORT, ""),
        slow(&s3, &put, "", LONG, "HTTP/1.1 400 "),
    ]
}

#[test]
fn a_thousand_slow_clients_are_ended_and_harm_nobody() {
    let stage = Stage::open();
    let service = &stage.service;
    let trials = trials(1, 5);
    for trial in 0..trials {
        let kinds = kinds(service);
        let clients: Vec<&Slow> = kinds.iter().cycle().take(CLIENTS).collect();
        let crews: Vec<&[&Slow]> = clients.chunks(CLIENTS / CREWS).collect();
        let all_begun = &Barrier::new(crews.len() + 1);
        let (mut took, mut used) = (Vec::new(), 0);
        let ended = thread::scope(|scope| {
            let crews: Vec<_> = crews.iter().map(|crew| scope.spawn(move || speak(crew, all_begun))).collect();
            all_begun.wait();
            while !crews.iter().all(ScopedJoinHandle::is_finished) {
                use_it(service, trial * 10_000 + used, &mut took);
                used += 1;
                thread::sleep(BETWEEN_USES);
            }
            crews.into_iter().map(|crew| crew.join().expect("slow clients")).max()
        });
        took.sort();
        let (p99, ended) = (took[took.len() * 99 / 100], ended.expect("slow clients"));
        eprintln!(
            "{CLIENTS} slow clients, all ended after {ended:?}; {} requests beside them, p99 {p99:?}",
            took.len()
        );
        assert!(p99 < OTHERS_MAX, "others had to wait {p99:?}");
        for number in (0..used).step_by(used as usize / 10) {
            let number = trial * 10_000 + number;
            service.expect_exact("uploads", &format!("{number}.txt"), &text(number, 10_000));
        }
    }
    assert_eq!(service.bucket("uploads").get("slow.txt").status, 404, "half an object exists");
    eprintln!("{trials} trials, 0 violations");
    stage.service.stop();
}
