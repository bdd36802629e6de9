//! With the feature `otel`: the real binary, a file, and a collector in this process. One job is one trace.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
schema = 1

[[rules]]
id = "hello"
from = "uploads"
process = { kind = "lines.prefix", text = "> " }
output = { bucket = "results" }

[[notify]]
on = ["job.completed"]
kind = "queue"
to = "told"
"#;

#[test]
fn a_job_is_one_trace_from_its_ingest_to_its_delivery() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("filemill.toml"), CONFIG).expect("written");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("written");
    let (endpoint, requests) = collector();
    let service = Serving::start(folder.path(), &endpoint);
    service.run(&["put", "hello.txt", "--wait"]);
    let jobs: Value = serde_json::from_str(&service.run(&["jobs", "--json"])).expect("JSON");
    let job = jobs["items"][0]["id"].as_str().expect("a job").to_owned();
    drop(service);
    let mut spans = Vec::new();
    let wanted: BTreeSet<&str> = ["ingest", "task", "publish", "delivery"].into();
    while !wanted.iter().all(|name| spans.iter().any(|span: &Span| span.name == *name)) {
        let request = requests.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{e}: only {spans:?}"));
        let text = String::from_utf8_lossy(&request);
        assert!(!text.contains("X-Amz") && !text.contains("uploads/hello"), "ids and counts only: {text}");
        spans.extend(spans_in(&request));
    }
    let of_job: Vec<&Span> =
        spans.iter().filter(|span| span.attributes.contains(&("job".into(), job.clone()))).collect();
    let names: BTreeSet<&str> = of_job.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, wanted, "{spans:?}");
    let traces: BTreeSet<&[u8]> = of_job.iter().map(|span| span.trace.as_slice()).collect();
    assert_eq!(traces.len(), 1, "{of_job:?}");
    assert!(traces.iter().all(|trace| trace.len() == 16));
}

/// A service in a folder; stopped when it is dropped, so that its last traces leave.
struct Serving<'a> {
    folder: &'a Path,
    child: Child,
    api: String,
}

fn filemill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_filemill"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FILEMILL_") || name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

impl<'a> Serving<'a> {
    fn start(folder: &'a Path, endpoint: &str) -> Self {
        let mut command = filemill(folder);
        command.args(["serve", "--config", "filemill.toml", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("FILEMILL_LOG", "warn");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
        let api = ready.split(' ').find_map(|word| word.strip_prefix("api=")).expect("the service is ready");
        Serving { folder, child, api: api.to_owned() }
    }

    fn run(&self, args: &[&str]) -> String {
        let output = filemill(self.folder).args(args).env("FILEMILL_URL", &self.api).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let stopped = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(stopped.is_ok_and(|status| status.success()), "the service takes a signal");
        self.child.wait().expect("it ends");
    }
}

/// Takes every POST, and hands its body on.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || serve(stream, &tell));
        }
    });
    (format!("http://{address}"), told)
}

/// Until the other side has enough.
fn serve(stream: TcpStream, tell: &Sender<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut line, mut length, mut head) = (String::new(), 0, Vec::new());
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
            head.push(line.to_ascii_lowercase());
        }
        assert!(head[0].starts_with("post /v1/traces "), "{head:?}");
        assert!(head.iter().any(|line| line.starts_with("content-type: application/x-protobuf")), "{head:?}");
        let value = head.iter().find_map(|line| line.strip_prefix("content-length:"));
        length += value.and_then(|value| value.trim().parse::<usize>().ok())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        tell.send(body).ok()?;
        (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

#[derive(Debug)]
struct Span {
    trace: Vec<u8>,
    name: String,
    attributes: Vec<(String, String)>,
}

/// The fields of `ExportTraceServiceRequest` that matter here, by their numbers in opentelemetry-proto.
fn spans_in(request: &[u8]) -> Vec<Span> {
    let scopes = fields(request, 1).into_iter().flat_map(|resource_spans| fields(resource_spans, 2));
    let spans = scopes.flat_map(|scope_spans| fields(scope_spans, 2));
    let text =
        |bytes: &[u8], field| String::from_utf8_lossy(fields(bytes, field).first().unwrap_or(&&b""[..])).into_owned();
    let span = |span| Span {
        trace: fields(span, 1).concat(),
        name: text(span, 5),
        attributes: fields(span, 9)
            .into_iter()
            .map(|pair| (text(pair, 1), fields(pair, 2).first().map_or_else(String::new, |value| text(value, 1))))
            .collect(),
    };
    spans.map(span).collect()
}

/// All length-delimited fields of a protobuf message with this number.
fn fields(mut message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let length = match tag & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).expect("a length"),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = message.split_at(length);
        if tag >> 3 == wanted && tag & 7 == 2 {
            found.push(value);
        }
        message = rest;
    }
    found
}

fn varint(message: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = message.split_first().expect("a whole number");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
        shift += 7;
    }
}
