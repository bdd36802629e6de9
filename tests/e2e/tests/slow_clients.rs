//! Clients that are slow, or silent in the middle: each is ended in time, is told why if it can be told, and nobody else
//! notices.

use filemill_e2e::inputs::text;
use filemill_e2e::{Service, Stage};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// Between two bytes of what is sent slowly.
const PACE: Duration = Duration::from_millis(200);
/// A head and the next piece of a JSON body must come within 10 seconds, that of an object within 30; and a little.
const SHORT: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(36);
const OF_EACH_KIND: usize = 10;

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

impl Slow {
    /// Goes on until the service ends it. `all_begun` is where all meet who have sent their start.
    fn run(&self, all_begun: &Barrier) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PACE)).expect("a socket has a time limit");
        stream.write_all(self.start.as_bytes()).expect("sent");
        all_begun.wait();
        let (began, mut answer) = (Instant::now(), Vec::new());
        let (mut rest, mut piece) = (self.rest.bytes(), [0; 4096]);
        loop {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&piece[..read]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if let Some(byte) = rest.next() {
                        let _already_ended = stream.write_all(&[byte]);
                    }
                }
                Err(_) => break,
            }
            assert!(began.elapsed() < self.patience, "not ended: {:?}, answered {answer:?}", self.start.lines().next());
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(self.answer), "{:?} was answered {answer}", self.start.lines().next());
    }
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
fn slow_clients_are_ended_and_harm_nobody() {
    let stage = Stage::open();
    let service = &stage.service;
    let kinds = kinds(service);
    let all_begun = &Barrier::new(kinds.len() * OF_EACH_KIND + 1);
    std::thread::scope(|scope| {
        let one = |slow| scope.spawn(move || Slow::run(slow, all_begun));
        let slow: Vec<_> = kinds.iter().cycle().take(kinds.len() * OF_EACH_KIND).map(one).collect();
        all_begun.wait();
        for number in 0..30 {
            let (key, content) = (format!("{number}.txt"), text(number, 10_000));
            service.bucket("uploads").put(&key, &content);
            service.expect_exact("uploads", &key, &content);
        }
        assert!(!slow.iter().all(ScopedJoinHandle::is_finished), "others had to wait for the slow ones");
    });
    assert_eq!(service.bucket("uploads").get("slow.txt").status, 404, "half an object exists");
    stage.service.stop();
}
