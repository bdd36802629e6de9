//! A thousand clients at a service that may open 256 files: it goes on, it never answers 200 for what it did not keep,
//! and it serves as before within 5 seconds of their leaving.

use filemill_e2e::inputs::text;
use filemill_e2e::s3::S3;
use filemill_e2e::{Service, Stage};
use filemill_trials::trials;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const DESCRIPTORS: u64 = 256;
const CLIENTS: usize = 1000;
/// All are there at once for this long.
const HOLD: Duration = Duration::from_secs(5);
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Large enough for a file of its own.
const CONTENT_BYTES: usize = 70_000;

struct Client {
    /// What it put, if it did.
    key: Option<String>,
    /// Of the answer, if one came.
    status: Option<u16>,
    /// Still open.
    _stream: Option<TcpStream>,
}

fn content(key: &str) -> Vec<u8> {
    text(key.bytes().map(u64::from).sum(), CONTENT_BYTES)
}

/// Comes, asks, waits for the answer as long as all stay, and keeps its connection.
fn arrive(service: &Service, round: usize, number: usize) -> JoinHandle<Client> {
    let leave = Instant::now() + HOLD;
    let (rest, s3) = (service.api.replace("http://", ""), service.s3.replace("http://", ""));
    let key = format!("{round}/{number}");
    let url = service.bucket("uploads").put_url(&key);
    let target = url.strip_prefix(&service.s3).expect("a link into the S3 door");
    let put = format!("PUT {target} HTTP/1.1\r\nhost: {s3}\r\ncontent-length: {CONTENT_BYTES}\r\n\r\n").into_bytes();
    let (address, request, key) = match number % 4 {
        0 => (rest, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), None),
        1 => (rest, b"GET /v1/jobs HTTP/1.1\r\nhost: x\r\n".to_vec(), None),
        2 => (s3, [put, content(&key)].concat(), Some(key)),
        _ => (s3, [put, content(&key)[..CONTENT_BYTES / 2].to_vec()].concat(), None),
    };
    let come = move || {
        let Ok(mut stream) = TcpStream::connect(address) else { return Client { key, status: None, _stream: None } };
        let _turned_away = stream.write_all(&request);
        let patience = leave.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(patience)).expect("a socket has a time limit");
        let mut answer = [0; 12];
        let status = stream.read_exact(&mut answer).is_ok().then(|| String::from_utf8_lossy(&answer[9..]).parse());
        Client { key, status: status.map(|status| status.expect("a status")), _stream: Some(stream) }
    };
    thread::Builder::new().stack_size(128 << 10).spawn(come).expect("a thread")
}

/// As before: bytes go in and come out.
fn serves(uploads: &S3, key: &str, content: &[u8]) -> bool {
    uploads.try_put(key, content).is_ok() && uploads.try_get(key).is_ok_and(|found| found.as_deref() == Some(content))
}

/// `None` while the other door does not serve yet.
fn accept_failures(service: &Service) -> Option<f64> {
    let metrics = service.get("/metrics");
    (metrics.status == 200).then(|| {
        let metrics = metrics.text();
        let counts = metrics.lines().filter(|line| line.starts_with("filemill_accept_failures_total"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    })
}

#[test]
fn a_crowd_that_takes_all_descriptors_is_survived() {
    let stage = Stage::open();
    let service = &stage.service;
    let uploads = service.bucket("uploads");
    service.limit_descriptors(DESCRIPTORS);
    let (rounds, mut slowest, mut failures) = (trials(1, 10), Duration::ZERO, 0.0);
    for round in 0..rounds {
        let crowd: Vec<_> = (0..CLIENTS).map(|number| arrive(service, round, number)).collect();
        let crowd: Vec<Client> = crowd.into_iter().map(|client| client.join().expect("a client")).collect();
        let with = |status| crowd.iter().filter(|client| client.status == status).count();
        let (served, refused, unanswered) = (with(Some(200)), with(Some(503)), with(None));
        assert_eq!(served + refused + unanswered, CLIENTS, "somebody was answered neither 200 nor 503");
        let kept = crowd.iter().filter(|client| client.status == Some(200)).filter_map(|client| client.key.clone());
        let kept: Vec<String> = kept.collect();
        drop(crowd);

        let left = Instant::now();
        let (key, content_after) = (format!("after/{round}"), text(9, CONTENT_BYTES));
        let failures_now = loop {
            let serves = serves(&uploads, &key, &content_after);
            match accept_failures(service).filter(|_| serves) {
                Some(count) => break count,
                None => {
                    assert!(left.elapsed() < BACK_WITHIN, "does not serve {:?} after the crowd left", left.elapsed())
                }
            }
        };
        slowest = slowest.max(left.elapsed());
        assert!(left.elapsed() < BACK_WITHIN, "served only after {:?}", left.elapsed());
        assert!(failures_now > failures, "there were descriptors for all");
        failures = failures_now;
        for key in &kept {
            assert!(uploads.get(key).expect(200).body == content(key), "{key} was acknowledged");
        }
        service.expect_exact("uploads", &key, &content_after);
        eprintln!("{CLIENTS} clients: {served} served ({} puts), {refused} refused, {unanswered} waited", kept.len());
    }
    eprintln!("{rounds} crowds, 0 violations, back after {slowest:?} at the slowest");
    stage.service.stop();
}
