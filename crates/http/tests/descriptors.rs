//! Out of descriptors: who comes is told so, and service goes on when there are some again. A test process of its own,
//! because it takes them all.

use axum::Router;
use axum::routing::get;
use filemill_http::serve::{Patience, guard, serve};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

async fn answer(mut stream: TcpStream) -> String {
    let _refused_already = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let _reset_is_an_end_too = reading.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

/// On one thread: the listener runs only while the test waits.
#[tokio::test]
async fn without_descriptors_a_client_is_told_and_service_goes_on_afterwards() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/", get(async || "hello"));
    let (patience, stop) = (Patience::default(), CancellationToken::new());
    let service = TowerToHyperService::new(router.map_request(move |request| guard(request, patience)));
    tokio::spawn(serve("test", listener, service, patience, stop));
    assert!(answer(connect(address).await).await.starts_with("HTTP/1.1 200"));

    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) }).expect("a lower limit");
    let waiting = std::net::TcpStream::connect(address).expect("the system takes it for the listener");
    waiting.set_nonblocking(true).expect("a mode");
    let waiting = TcpStream::from_std(waiting).expect("a stream");
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let told = answer(waiting).await;
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("retry-after"), "{told:?}");
    drop(taken);
    assert!(answer(connect(address).await).await.starts_with("HTTP/1.1 200"));
}
