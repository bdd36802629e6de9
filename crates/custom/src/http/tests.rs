//! Services that say exactly what a case needs, on this machine.

use super::*;
use filemill_core::chunks::ChunkLimits;
use filemill_core::ports::{Load, Pulse, RejectSink, SourceInfo, SourceName, Sources};
use filemill_core::reject::Reject;
use filemill_core::task::TaskError;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers each request with what `answer` makes of its body; the requests come back through the channel.
fn service(answer: impl Fn(&str) -> String + Send + 'static) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (told, hears) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (head, body) = read_request(&stream);
            let _ = stream.write_all(answer(&body).as_bytes());
            if told.send(head + &body).is_err() {
                return;
            }
        }
    });
    (address, hears)
}

fn read_request(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut body) = (String::new(), String::new());
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
    if head.contains("transfer-encoding: chunked") {
        while !body.ends_with("0\r\n\r\n") && reader.read_line(&mut body).is_ok_and(|n| n > 0) {}
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
    reader.take(length.unwrap_or(0)).read_to_string(&mut body).expect("a body");
    (head, body)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn transform(address: SocketAddr, more: &str, options: &Value) -> Box<dyn Transform> {
    let text = format!("url = \"http://{address}/v1?token=hush\"\nallow = [\"{address}\"]\n{more}");
    let http: Http = toml::from_str(&text).expect("a definition");
    let processor = HttpProcessor::of("tagger", &http).expect("a processor");
    processor.prepare(options.as_object().expect("options")).expect("options")
}

fn facts(size: u64) -> InputFacts<'static> {
    InputFacts { key: "in/ä b%.txt", size, content_type: Some("text/plain"), etag: None }
}

fn run(transform: &dyn Transform, chunk: &Chunk<'_>, input: &[u8], pulse: &dyn Pulse) -> Result<Vec<u8>, TaskError> {
    let (mut output, mut input) = (Vec::new(), input);
    let mut work = Work { input: &mut input, output: &mut output, rejects: &mut Nowhere, sources: &Nowhere, pulse };
    match transform.process(chunk, &mut work) {
        Ok(_) => Ok(output),
        Err(ProcessError::Failed(error)) => Err(error),
        Err(ProcessError::Io(e)) => Err(TaskError::transient("io", e.to_string())),
    }
}

fn whole(transform: &dyn Transform, input: &str) -> Result<String, TaskError> {
    let output = run(transform, &Chunk::whole(facts(input.len() as u64)), input.as_bytes(), &Nowhere)?;
    Ok(String::from_utf8(output).expect("text"))
}

struct Nowhere;

impl Pulse for Nowhere {
    fn beat(&self) {}
    fn is_stopped(&self) -> bool {
        false
    }
}

impl RejectSink for Nowhere {
    fn reject(&mut self, _: &Reject<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl Sources for Nowhere {
    fn find(&self, _: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        Ok(None)
    }

    fn open(&self, _: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        Err(ProcessError::input("source_missing", "there are none"))
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        Ok("https://store.example/in?signature=1".to_owned())
    }
}

#[test]
fn the_bytes_go_out_with_what_a_service_needs_and_the_answer_is_the_result() {
    let (address, hears) = service(|body| ok(&body.to_uppercase()));
    let more = "headers = { Authorization = \"Bearer hush\" }\noptions = [\"lang\"]";
    let tagger = transform(address, more, &json!({ "lang": "dé" }));
    assert_eq!(whole(&*tagger, "hello").expect("a result"), "HELLO");
    let request = hears.recv().expect("a request");
    for line in [
        "POST /v1?token=hush HTTP/1.1",
        "authorization: Bearer hush",
        "content-type: text/plain",
        "content-length: 5",
        "x-filemill-key: in/%C3%A4 b%25.txt",
        "x-filemill-chunk: 0",
        "x-filemill-line: 1",
        "x-filemill-option-lang: d%C3%A9",
    ] {
        assert!(request.lines().any(|l| l == line), "{line} in {request}");
    }
}

#[test]
fn each_attempt_at_the_same_bytes_has_the_same_idempotency_key_and_others_have_others() {
    let (address, hears) = service(|_| ok(""));
    let tagger = transform(address, "options = [\"lang\"]", &json!({}));
    let german = transform(address, "options = [\"lang\"]", &json!({ "lang": "de" }));
    let key_of = |transform: &dyn Transform, input: &str| {
        whole(transform, input).expect("a result");
        let request = hears.recv().expect("a request");
        request.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).expect("a key").to_owned()
    };
    let first = key_of(&*tagger, "one");
    assert_eq!(first.len(), 32);
    assert_eq!(key_of(&*tagger, "one"), first);
    assert_ne!(key_of(&*tagger, "two"), first);
    assert_ne!(key_of(&*tagger, "three"), first);
    assert_ne!(key_of(&*german, "one"), first);
}

#[test]
fn an_input_larger_than_a_block_and_one_of_unknown_size_go_out_whole() {
    let (address, hears) = service(|body| ok(&body.len().to_string()));
    let tagger = transform(address, "", &json!({}));
    assert_eq!(whole(&*tagger, &"x".repeat(1_000_000)).expect("a result"), "1000000");
    hears.recv().expect("a request");
    run(&*tagger, &Chunk::whole(facts(u64::MAX)), b"some\n", &Nowhere).expect("a result");
    assert!(hears.recv().expect("a request").contains("some"));
}

#[test]
fn a_link_goes_out_instead_of_the_bytes() {
    let (address, hears) = service(|_| ok("done"));
    let tagger = transform(address, "send = \"link\"", &json!({}));
    assert_eq!(whole(&*tagger, "hello").expect("a result"), "done");
    let request = hears.recv().expect("a request");
    let body = request.split("\r\n\r\n").nth(1).expect("a body");
    let told: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(told, json!({ "url": "https://store.example/in?signature=1", "key": "in/ä b%.txt", "size": 5 }));
    assert!(request.contains("content-type: application/json\r\n") && !request.contains("idempotency-key"));
}

#[test]
fn lines_cut_into_chunks_give_what_the_whole_gives() {
    let (address, _hears) = service(|body| ok(&body.to_uppercase()));
    let tagger = transform(address, "lines_independent = true", &json!({}));
    let input = b"one\ntwo\nthree\nfour";
    let plan = ChunkPlan::of(18, tagger.cut(facts(18)), ChunkLimits { chunk_bytes: 5, chunks_max: 10 });
    let survey = tagger.survey(&plan, &mut &input[..]).expect("a survey");
    let mut output = Vec::new();
    for (index, start) in (0..).zip(&survey.starts) {
        let range = survey.range(index, 18);
        let bytes = &input[range.start as usize..range.end as usize];
        let chunk = Chunk { range, index, line: start.line, ..Chunk::whole(facts(18)) };
        output.extend(run(&*tagger, &chunk, bytes, &Nowhere).expect("a chunk"));
    }
    assert!(survey.starts.len() > 2 && output == b"ONE\nTWO\nTHREE\nFOUR");
}

#[test]
fn each_answer_has_its_code_its_words_and_its_hope() {
    let long = "x".repeat(500);
    let plain = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status} Z\r\n{more}content-length: {}\r\n\r\n{body}", body.len())
    };
    for (answer, code, permanent, says, detail) in [
        (
            plain("400", "content-type: text/plain\r\n", "no such\r\n\u{1b}colour"),
            "http_refused",
            true,
            "status 400",
            Some("content-type: text/plain"),
        ),
        (
            plain("422", "content-type: application/problem+json\r\n", "{}"),
            "http_refused",
            true,
            "422",
            Some("content-type: application/problem+json"),
        ),
        (
            plain("404", "content-type: text/html\r\n", "<p>secret"),
            "http_refused",
            true,
            "status 404",
            Some("content-type: text/html"),
        ),
        (plain("403", "", "secret"), "http_refused", true, "status 403", None),
        (
            plain("413", "content-type: text/plain\r\n", &long),
            "http_refused",
            true,
            "413",
            Some("content-type: text/plain"),
        ),
        (plain("302", "location: http://169.254.169.254/\r\n", ""), "http_refused", true, "not followed", None),
        (plain("202", "", ""), "http_refused", true, "no result", None),
        (plain("206", "", "part"), "http_refused", true, "no result", None),
        (plain("408", "", ""), "http_unavailable", false, "status 408", None),
        (plain("425", "", ""), "http_unavailable", false, "status 425", None),
        (plain("429", "retry-after: 120\r\n", ""), "http_throttled", false, "429", Some("retry-after: 120")),
        (plain("500", "content-type: text/plain\r\n", "secret"), "http_unavailable", false, "status 500", None),
        (plain("503", "retry-after: 7\r\n", ""), "http_unavailable", false, "status 503", Some("retry-after: 7")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".into(), "http_incomplete", false, "in full", None),
        ("HTTP/1.1 200 OK\r\n\r\nno length".into(), "http_incomplete", false, "in full", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n".into(), "http_output_too_large", true, "100 bytes", None),
        ("SSH-2.0-OpenSSH\r\n".into(), "http_unavailable", false, "could not be asked", None),
        (String::new(), "http_unavailable", false, "could not be asked", None),
    ] {
        let shown = answer.clone();
        let (address, _hears) = service(move |_| answer.clone());
        let tagger = transform(address, "output_max = 100", &json!({}));
        let error = whole(&*tagger, "x").expect_err(&shown);
        assert_eq!((error.code.as_str(), error.permanent), (code, permanent), "{shown:?}: {error:?}");
        assert!(error.message.contains(says), "{shown:?}: {error:?}");
        assert_eq!(error.detail.as_deref(), detail, "{shown:?}");
        assert!(!format!("{error:?}").contains("hush"), "a secret in {error:?}");
    }
    let (address, _hears) = service(|_| "HTTP/1.1 204 Empty\r\n\r\n".to_owned());
    assert_eq!(whole(&*transform(address, "", &json!({})), "x"), Ok(String::new()));
}

#[test]
fn where_a_refused_name_leads_is_not_told_to_who_uploads() {
    let http: Http = toml::from_str("url = \"http://localhost/\"").expect("a definition");
    let transform = HttpProcessor::of("tagger", &http).and_then(|p| p.prepare(&Map::new())).expect("a processor");
    let error = whole(&*transform, "x").expect_err("a refusal");
    assert_eq!((error.code.as_str(), error.permanent, error.detail.as_deref()), ("http_refused", true, None));
    assert!(!error.message.contains("localhost") && !error.message.contains("127"), "{error:?}");
}

#[test]
fn a_job_that_is_stopped_leaves_a_service_that_does_not_answer() {
    struct StopsOnceAsked(AtomicBool);
    impl Pulse for StopsOnceAsked {
        fn beat(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
        fn is_stopped(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let tagger = transform(listener.local_addr().expect("its address"), "", &json!({}));
    let pulse = StopsOnceAsked(AtomicBool::new(false));
    let error = run(&*tagger, &Chunk::whole(facts(1)), b"x", &pulse).expect_err("stopped");
    assert_eq!(error.message, "the work was stopped");
}

#[test]
fn a_service_that_lets_one_wait_takes_no_core() {
    /// Stops at the first rest.
    struct Rests(Mutex<Vec<Load>>);
    impl Pulse for Rests {
        fn beat(&self) {}
        fn is_stopped(&self) -> bool {
            self.0.lock().expect("what it took").contains(&Load::Rest)
        }
        fn takes(&self, load: Load) {
            self.0.lock().expect("what it took").push(load);
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let tagger = transform(listener.local_addr().expect("its address"), "", &json!({}));
    let pulse = Rests(Mutex::default());
    let error = run(&*tagger, &Chunk::whole(facts(1)), b"x", &pulse).expect_err("stopped when it rests");
    assert_eq!(error.message, "the work was stopped");
    assert_eq!(pulse.0.lock().expect("what it took").first(), Some(&Load::Half));
}

#[test]
fn definitions_that_cannot_work_are_refused_when_they_are_read() {
    for (text, says) in [
        ("url = \"http://127.0.0.1/\"", "loopback"),
        ("url = \"http://0x7f.1/\"", "loopback"),
        ("url = \"http://169.254.169.254/\"", "credentials"),
        ("url = \"https://u:hush@tagger.example/\"", "leave it out"),
        ("url = \"https://tagger.example:8443/\"", "neither 80 nor 443"),
        ("url = \"file:///etc/passwd\"", "only http and https"),
        ("url = \"https://a.example/\"\nallow = [\"all\"]", "http.allow"),
        ("url = \"https://a.example/\"\nheaders = { a = \"hush\\r\\nb: c\" }", "not allowed in headers"),
        ("url = \"https://a.example/\"\nheaders = { \"Content-Length\" = \"hush\" }", "can be set here"),
        ("url = \"https://a.example/\"\nheaders = { \"X-Filemill-Key\" = \"hush\" }", "can be set here"),
        ("url = \"https://a.example/\"\nheaders = { \"a b\" = \"hush\" }", "can be set here"),
        ("url = \"https://a.example/\"\nsend = \"link\"\nlines_independent = true", "the whole file"),
        ("url = \"https://a.example/\"\ntimeout = \"7h\"", "6h"),
        ("url = \"https://a.example/\"\noptions = [\"A\"]", "no name"),
    ] {
        let http: Http = toml::from_str(text).expect(text);
        let error = HttpProcessor::of("a", &http).err().expect(text);
        assert!(error.contains(says) && !error.contains("hush"), "{text}: {error}");
    }
}
