//! The listener: slow, greedy and vanishing clients, and the way out.

use crate::service::{TOKEN, door, idle_service};
use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use filemill_http::serve::{Patience, guard, serve};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

fn short() -> Patience {
    Patience {
        connections_max: 2,
        connections_per_address_max: 2,
        header: Duration::from_millis(200),
        body_idle: Duration::from_millis(200),
        body_rate_min: 1024,
        drain: Duration::from_secs(5),
    }
}

async fn open(router: Router, patience: Patience) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, stop) = (listener.local_addr().expect("an address"), CancellationToken::new());
    let service = TowerToHyperService::new(router.map_request(move |request| guard(request, patience)));
    let served = tokio::spawn(serve("test", listener, service, patience, stop.clone()));
    (address, stop, served)
}

fn echo() -> Router {
    Router::new().route("/", post(async |body: Bytes| body.len().to_string()).get(async || "hello"))
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await;
    let _reset_is_an_end_too = read.expect("the service ends the connection");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_slow_head_is_cut() {
    let (address, _stop, _served) = open(echo(), short()).await;
    for begun in ["", "GET / HT"] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(begun.as_bytes()).await.expect("sent");
        let started = Instant::now();
        rest(&mut stream).await;
        assert!(started.elapsed() < Duration::from_secs(10), "{begun:?}");
    }
}

#[tokio::test]
async fn a_kept_connection_without_a_next_request_is_cut() {
    let (address, _stop, _served) = open(echo(), short()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    assert!(rest(&mut stream).await.ends_with("hello"), "one answer, then the end");
}

#[tokio::test]
async fn a_body_that_stops_is_cut() {
    let (address, _stop, _served) = open(echo(), short()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await.expect("sent");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_body_that_only_drips_is_cut() {
    let (address, _stop, _served) = open(echo(), short()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n").await.expect("sent");
    let (mut read, mut write) = stream.split();
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let drip = async {
        loop {
            beat.tick().await;
            if write.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = [0; 12];
    tokio::select! {
        () = drip => {}
        done = tokio::time::timeout(Duration::from_secs(20), read.read_exact(&mut answer)) => {
            done.expect("an answer in time").expect("an answer");
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let dropped = Arc::new(Notify::new());
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let told = dropped.clone();
    let endless = move || {
        let tell = Tell(told.clone());
        let block = Bytes::from(vec![0; 1 << 16]);
        let blocks = futures::stream::repeat_with(move || {
            let _held_as_long_as_the_answer_runs = &tell;
            Ok::<_, std::io::Error>(block.clone())
        });
        async move { axum::body::Body::from_stream(blocks) }
    };
    let (address, _stop, _served) = open(Router::new().route("/", get(endless)), short()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    tokio::time::timeout(Duration::from_secs(20), dropped.notified()).await.expect("the answer is given up");
}

#[tokio::test]
async fn connections_over_the_cap_are_told_to_come_back() {
    let (address, _stop, _served) = open(echo(), Patience { header: Duration::from_secs(20), ..short() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        stream.read_exact(&mut [0; 12]).await.expect("an answer");
        held.push(stream);
    }
    let mut third = TcpStream::connect(address).await.expect("connected");
    let answer = rest(&mut third).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
}

#[tokio::test]
async fn one_address_does_not_get_all_places() {
    let patience = Patience { connections_max: 3, header: Duration::from_secs(20), ..short() };
    let (address, _stop, _served) = open(echo(), patience).await;
    let greet = async |from: &str| {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("a loopback address");
        let mut stream = socket.connect(address).await.expect("connected");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        (stream, String::from_utf8_lossy(&status).into_owned())
    };
    let mut held = Vec::new();
    for (from, status) in [("127.0.0.1", 200), ("127.0.0.1", 200), ("127.0.0.1", 503), ("127.0.0.2", 200)] {
        let (stream, answer) = greet(from).await;
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{from}");
        held.push(stream);
    }
}

#[tokio::test]
async fn stopping_finishes_what_was_begun_and_takes_nothing_new() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (is_in, may_go) = (entered.clone(), leave.clone());
    let wait = move || {
        let (is_in, may_go) = (is_in.clone(), may_go.clone());
        async move {
            is_in.notify_one();
            may_go.notified().await;
            "done"
        }
    };
    let (address, stop, served) = open(Router::new().route("/", get(wait)), short()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    entered.notified().await;
    let mut idle = TcpStream::connect(address).await.expect("connected");
    stop.cancel();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    leave.notify_one();
    assert!(rest(&mut stream).await.ends_with("done"));
    tokio::time::timeout(Duration::from_secs(20), served).await.expect("the door closes").expect("no panic");
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let service = idle_service().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, stop) = (listener.local_addr().expect("an address"), CancellationToken::new());
    tokio::spawn(door(&service.engine).serve(listener, stop));
    let long = "x".repeat(100_000);
    for head in [format!("GET /{long} HTTP/1.1\r\n"), format!("GET / HTTP/1.1\r\nx: {long}\r\n")] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("{head}host: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n");
        let _cut_while_sending = stream.write_all(request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

/// A proxy in front may have read another length than we: what follows such a request is no request.
#[tokio::test]
async fn two_lengths_end_the_connection() {
    let (address, _stop, _served) = open(echo(), short()).await;
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity\r\ncontent-length: 5",
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let smuggled = "0\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\n{lengths}\r\n\r\n{smuggled}");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answers = rest(&mut stream).await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{lengths:?}: {answers}");
        assert!(!answers.contains("hello"), "{lengths:?}: {answers}");
    }
}
