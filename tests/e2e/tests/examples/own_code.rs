//! A command and a service of the operator's own: the example's Python service, and one in Rust that does the same.

use filemill_e2e::example::folder;
use filemill_e2e::inputs::text;
use filemill_e2e::reference::assert_same;
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::{Example, Ran, tool};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

const TEXT: &[u8] = "first line\nsecond, with ümlaut\n\nlast".as_bytes();
const UPPER: &[u8] = "FIRST LINE\nSECOND, WITH üMLAUT\n\nLAST".as_bytes();

/// What the service is for, in the plainest way.
fn numbered(text: &[u8], mark: &str) -> Vec<u8> {
    let lines = (1..).zip(text.split_inclusive(|b| *b == b'\n'));
    lines.flat_map(|(number, line)| [format!("{number}{mark}").as_bytes(), line].concat()).collect()
}

fn listening_at(address: &str) -> impl FnOnce(&Path) {
    move |folder| fs::write(folder.join("service.address"), format!("{address}\n")).expect("an address")
}

#[track_caller]
fn expect_both(example: &mut Example) {
    example.walk();
    assert_same("the input", &example.file("files/words.txt"), TEXT);
    assert_same("the command's", &example.file("upper.txt"), UPPER);
    assert_same("the service's", &example.file("numbered.txt"), &numbered(TEXT, ": "));
    assert_same("with an option", &example.file("marked.txt"), &numbered(TEXT, ") "));
}

/// Ends with the test, however that ends.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        self.0.wait().expect("a child of ours can be waited for");
    }
}

#[test]
fn the_example_runs_with_its_own_service() {
    let Some(python) = tool("python3") else { return };
    let mut service = python.command();
    service.arg(folder("own-code").join("service.py")).arg("0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut service = Python(service.spawn().expect("python3 runs"));
    let mut said = String::new();
    BufReader::new(service.0.stdout.take().expect("piped")).read_line(&mut said).expect("a line");
    let address = said.trim().strip_prefix("listening on ").expect("an address");

    let mut example = Example::open_with("own-code", listening_at(address));
    expect_both(&mut example);
    example.stage.service.stop();
}

/// Until the test ends.
fn serve(listener: TcpListener) {
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
}

/// Numbers the lines that were posted; refuses what begins with `bad`.
fn answer(mut stream: TcpStream) {
    let mut request = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut length, mut mark) = (0, " ".to_owned());
    for line in request.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().expect("bytes")
            }
            Some((name, value)) if name.eq_ignore_ascii_case("x-filemill-option-mark") => mark = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body).expect("the whole body");
    let (status, body) = match body.starts_with(b"bad") {
        true => ("422 Unprocessable Content", b"cannot be numbered".to_vec()),
        false => ("200 OK", numbered(&body, &mark)),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).expect("an answer");
}

#[test]
fn a_large_file_goes_through_both_and_what_the_service_refuses_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    serve(listener);
    let example = Example::open_with("own-code", listening_at(&address));
    let service = &example.stage.service;
    let texts = service.bucket("texts");

    let large = text(1, 20 << 20);
    texts.put("large.txt", &large);
    let job = |key: &str, rule: &str| {
        let what = format!("the end of {rule} of {key}");
        service.feed.wait(&what, JOB_PATIENCE, || {
            service.jobs_of("texts", key).into_iter().find(|job| job.0["rule"] == rule && job.has_ended())
        })
    };
    let upper = job("large.txt", "shout").expect_completed();
    assert!(upper.chunks() > 1, "{}", upper.0);
    assert_same("the command's", &service.result(&upper), &large.to_ascii_uppercase());
    let by_service = job("large.txt", "number").expect_completed();
    assert_same("the service's", &service.result(&by_service), &numbered(&large, ": "));

    texts.put("bad.txt", b"bad\n");
    job("bad.txt", "shout").expect_completed();
    let refused = job("bad.txt", "number");
    assert_eq!(refused.status(), "failed", "{}", refused.0);
    assert_eq!(refused.0["failure"]["code"], "http_refused", "{}", refused.0);
    assert!(
        !refused.0.to_string().contains("cannot be numbered"),
        "a service's words are not for uploaders: {}",
        refused.0
    );
    assert!(service.get("/v1/processors").expect(200).text().contains("\"numbered\""));
    example.stage.service.stop();
}

#[test]
fn a_service_inside_that_the_config_does_not_allow_is_refused_by_the_check() {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let config = fs::read_to_string(folder("own-code").join("filemill.toml")).expect("a config");
    let without: String = config.lines().filter(|l| !l.starts_with("allow")).map(|line| format!("{line}\n")).collect();
    fs::write(copy.path().join("filemill.toml"), without).expect("a config");
    listening_at("127.0.0.1:8090")(copy.path());
    Ran::filemill(copy.path(), &["rules", "check", "filemill.toml"]).bad(2, &["http.url", "127.0.0.1"]);
}
