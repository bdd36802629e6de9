//! The client against servers on this machine that say exactly what a case needs.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

/// Answers each connection with `answer`; what it was sent comes back through the channel.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (told, hears) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let request = read_request(&stream);
            if told.send(request).is_err() {
                return;
            }
            answer(&mut stream);
        }
    });
    (address, hears)
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return head;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
    let mut body = String::new();
    reader.take(length.unwrap_or(0)).read_to_string(&mut body).expect("a body");
    head + &body
}

fn limits() -> OutboundLimits {
    OutboundLimits::of(Duration::from_secs(20), 1000)
}

fn outbound(address: SocketAddr, limits: OutboundLimits) -> Outbound {
    Outbound::new(Guard::allowing([address.to_string().as_str()]).expect("a list"), limits)
}

fn post(outbound: &Outbound, url: &str, body: &str) -> Result<(u16, String), OutboundError> {
    let headers = [("x-one".to_owned(), "1".to_owned())];
    let mut bytes = body.as_bytes();
    let body_bytes = Some(body.len() as u64);
    let mut response = outbound.post(Request { url, headers: &headers, body: &mut bytes, body_bytes })?;
    let mut read = Vec::new();
    let mut block = [0; 64];
    loop {
        match response.read_block(&mut block)? {
            0 => return Ok((response.status, String::from_utf8(read).expect("text"))),
            n => read.extend_from_slice(&block[..n]),
        }
    }
}

fn says(text: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |stream| drop(stream.write_all(text.as_bytes()))
}

#[test]
fn a_body_goes_out_and_the_answer_comes_back() {
    let (address, hears) = server(says("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"));
    let answer = post(&outbound(address, limits()), &format!("http://{address}/v1?x=1"), "abc").expect("an answer");
    assert_eq!(answer, (200, "hello".to_owned()));
    let request = hears.recv().expect("a request");
    assert!(request.starts_with("POST /v1?x=1 HTTP/1.1\r\n") && request.ends_with("\r\n\r\nabc"), "{request}");
    assert!(request.contains("x-one: 1\r\n"), "{request}");
}

#[test]
fn a_listed_server_is_not_reached_by_what_is_not_listed() {
    let (address, hears) = server(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let port = address.port();
    let stranger = Outbound::new(Guard::default(), limits());
    let listed = outbound(address, limits());
    for (client, url) in [
        (&stranger, format!("http://127.0.0.1:{port}/")),
        (&stranger, format!("http://2130706433:{port}/")),
        (&listed, format!("http://localhost:{port}/")),
        (&listed, format!("http://[::ffff:127.0.0.1]:{port}/")),
        (&listed, format!("http://0.0.0.0:{port}/")),
        (&listed, format!("http://u:p@127.0.0.1:{port}/")),
    ] {
        let refused = post(client, &url, "").expect_err(&url);
        assert!(matches!(refused, OutboundError::Refused(_)), "{url}: {refused}");
    }
    assert!(hears.try_recv().is_err(), "the server was reached");
}

#[test]
fn a_name_is_judged_by_the_addresses_that_it_leads_to() {
    // port 80 of localhost passes the check of the URL; it is the resolver that refuses
    let refused = post(&Outbound::new(Guard::default(), limits()), "http://localhost/", "").expect_err("refused");
    assert!(matches!(&refused, OutboundError::Refused(r) if r.0.contains("loopback")), "{refused}");
}

#[test]
fn a_listed_name_is_reached() {
    let (address, _hears) = server(says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    let name = format!("localhost:{}", address.port());
    let listed = Outbound::new(Guard::allowing([name.as_str()]).expect("a list"), limits());
    assert_eq!(post(&listed, &format!("http://{name}/"), "").expect("an answer").1, "ok");
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let (target, reached) = server(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let (address, _hears) = server(move |stream| {
        let answer = format!("HTTP/1.1 307 Go\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    });
    assert_eq!(post(&outbound(address, limits()), &format!("http://{address}/"), "").expect("an answer").0, 307);
    assert!(reached.try_recv().is_err(), "the redirect was followed");
}

#[test]
fn an_answer_that_is_cut_short_or_does_not_say_its_length_is_incomplete() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: x-chunked\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello",
    ] {
        let (address, _hears) = server(says(answer));
        let failed = post(&outbound(address, limits()), &format!("http://{address}/"), "").expect_err(answer);
        assert!(matches!(failed, OutboundError::Incomplete(_)), "{answer:?}: {failed:?}");
    }
}

#[test]
fn an_answer_that_never_ends_is_cut_at_the_limit() {
    let (declared, _hears) = server(says("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n"));
    let (endless, _hears2) = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(b"a\r\n0123456789\r\n").is_ok() {}
    });
    for address in [declared, endless] {
        let failed = post(&outbound(address, limits()), &format!("http://{address}/"), "").expect_err("too large");
        assert!(matches!(failed, OutboundError::TooLarge(1000)), "{failed:?}");
    }
}

/// Whoever only tells wants no words back: an endless answer costs its limit and is forgotten, a redirect is not followed.
#[test]
fn of_an_answer_to_what_was_told_only_the_status_is_kept() {
    let (endless, _hears) = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 503 No\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(b"a\r\n0123456789\r\n").is_ok() {}
    });
    let (target, reached) = server(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let (moved, _hears) = server(move |stream| {
        let answer = format!("HTTP/1.1 302 Go\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    });
    for (address, status, retry_after) in [(endless, 503, Some("7".to_owned())), (moved, 302, None)] {
        let url = format!("http://{address}/");
        let request = Request { url: &url, headers: &[], body: &mut &b"x"[..], body_bytes: Some(1) };
        let began = Instant::now();
        let verdict = outbound(address, limits()).tell(request).expect("an answer");
        assert_eq!(verdict, Verdict { status, retry_after });
        assert!(began.elapsed() < limits().total / 2, "it was the time that ended it");
    }
    assert!(reached.try_recv().is_err(), "the redirect was followed");
}

#[test]
fn silence_and_slowness_end() {
    let (held, _kept) = mpsc::channel::<TcpStream>();
    let (mute, _hears) = server(move |stream| drop(stream.try_clone().map(|s| held.send(s))));
    let quick = OutboundLimits { first_byte: Duration::from_millis(200), ..limits() };
    let failed = post(&outbound(mute, quick), &format!("http://{mute}/"), "").expect_err("no answer");
    assert!(matches!(failed, OutboundError::Unavailable(_)), "{failed:?}");

    let (held, _kept) = mpsc::channel::<TcpStream>();
    let (stalls, _hears) = server(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        drop(stream.try_clone().map(|s| held.send(s)));
    });
    let quick = OutboundLimits { total: Duration::from_millis(300), ..limits() };
    let failed = post(&outbound(stalls, quick), &format!("http://{stalls}/"), "").expect_err("a stall");
    assert!(matches!(failed, OutboundError::Unavailable(_)), "{failed:?}");
}

#[test]
fn nobody_there_is_unavailable_and_a_body_that_fails_is_told_apart() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let failed = post(&outbound(gone, limits()), &format!("http://{gone}/secret?token=secret"), "").expect_err("gone");
    assert!(matches!(&failed, OutboundError::Unavailable(words) if !words.contains("secret")), "{failed:?}");

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let (address, _hears) = server(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let url = format!("http://{address}/");
    let request = Request { url: &url, headers: &[], body: &mut Broken, body_bytes: Some(5) };
    let failed = outbound(address, limits()).post(request).err();
    assert!(matches!(&failed, Some(OutboundError::Body(e)) if e.to_string().contains("disk")), "{failed:?}");
}

#[test]
fn another_thread_can_cancel() {
    let (held, kept) = mpsc::channel::<TcpStream>();
    let (mute, _hears) = server(move |stream| drop(stream.try_clone().map(|s| held.send(s))));
    let exchange = outbound(mute, limits()).exchange();
    let (canceller, url) = (&exchange, format!("http://{mute}/"));
    let failed = thread::scope(|scope| {
        scope.spawn(move || {
            let open = kept.recv().expect("a connection");
            canceller.cancel();
            open
        });
        exchange.post(Request { url: &url, headers: &[], body: &mut io::empty(), body_bytes: Some(0) }).err()
    });
    assert!(matches!(failed, Some(OutboundError::Unavailable(_))), "{failed:?}");
}

/// Runs the first test again, in a process whose environment names a proxy that is not there.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let mut again = std::process::Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", "client::tests::a_body_goes_out_and_the_answer_comes_back"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(name, "http://127.0.0.1:1");
    }
    let ran = again.env_remove("NO_PROXY").env_remove("no_proxy").output().expect("an end");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && text.contains("1 passed"), "{text}");
}
