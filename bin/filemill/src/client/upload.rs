//! Uploads through presigned links: one PUT, or parts side by side for large content. Passing faults are tried again.

use super::source::Source;
use super::views::UploadLinks;
use super::{Answer, Client, answer};
use crate::exit::Ending;
use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Body, SendBody};

/// Larger content goes up in parts.
pub const MULTIPART_ABOVE: u64 = 64 * 1024 * 1024;
const EXPECT_ABOVE: u64 = 1024 * 1024;
const PARTS_AT_A_TIME: usize = 4;
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What is asked for with `POST /v1/uploads`.
#[derive(Debug, Default)]
pub struct Wish {
    pub filename: String,
    pub content_type: Option<String>,
    pub bucket: Option<String>,
    pub key: Option<String>,
    pub rule: Option<String>,
    pub options: Map<String, Value>,
}

impl Wish {
    fn to_json(&self, size: u64) -> Value {
        let mode = if size > MULTIPART_ABOVE { "multipart" } else { "put" };
        let mut wish = json!({ "filename": self.filename, "size": size, "mode": mode });
        let optional =
            [("content_type", &self.content_type), ("bucket", &self.bucket), ("key", &self.key), ("rule", &self.rule)];
        for (name, value) in optional {
            if let Some(value) = value {
                wish[name] = value.as_str().into();
            }
        }
        if !self.options.is_empty() {
            wish["options"] = self.options.clone().into();
        }
        wish
    }
}

/// The promise; nothing is sent yet.
pub fn begin(client: &Client, wish: &Wish, source: &(impl Source + ?Sized)) -> Result<UploadLinks> {
    client.create_upload(&wish.to_json(source.size()))
}

/// Keeps the promise: the object exists when this returns. `bar` follows the bytes.
pub fn send(client: &Client, links: &UploadLinks, source: &(impl Source + ?Sized), bar: &ProgressBar) -> Result<()> {
    match (&links.part_urls, &links.complete_url) {
        (Some(parts), Some(complete)) => {
            let sent = send_parts(client, links, parts, source, bar)
                .and_then(|etags| complete_parts(client, links, complete, &etags));
            if sent.is_err() {
                abort(client, links);
            }
            sent
        }
        _ => {
            let piece = Piece { url: &links.url, headers: &links.headers, source, range: 0..source.size(), bar };
            put(client, &piece).map(drop)
        }
    }
}

/// Leaves nothing behind on the server; if even that fails, its own clock does it.
fn abort(client: &Client, links: &UploadLinks) {
    if let Some(url) = &links.abort_url {
        let _best_effort = client.agent().delete(url).call();
    }
}

struct Piece<'a, S: ?Sized> {
    url: &'a str,
    headers: &'a std::collections::BTreeMap<String, String>,
    source: &'a S,
    range: Range<u64>,
    bar: &'a ProgressBar,
}

/// What one try brought.
enum Try<T> {
    Done(T),
    /// A passing fault.
    Again(String),
    Never(anyhow::Error),
}

/// `attempt` hears how many tries there were before.
fn with_tries<T>(mut attempt: impl FnMut(u32) -> Try<T>) -> Result<T> {
    let mut tried = 0;
    loop {
        let why = match attempt(tried) {
            Try::Done(value) => return Ok(value),
            Try::Never(e) => return Err(e),
            Try::Again(why) => why,
        };
        tried += 1;
        if tried == TRIES {
            return Err(failed(&why));
        }
        std::thread::sleep(FIRST_WAIT * (1 << (tried - 1)));
    }
}

fn failed(why: &str) -> anyhow::Error {
    Ending::failed(format!("the upload failed: {why}"))
}

fn refused<T>(status: StatusCode, detail: String) -> Try<T> {
    let may_pass =
        status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if may_pass { Try::Again(detail) } else { Try::Never(failed(&detail)) }
}

/// The answer's headers.
fn put<S: Source + ?Sized>(client: &Client, piece: &Piece<'_, S>) -> Result<HeaderMap> {
    let began_at = piece.bar.position();
    with_tries(|tried| {
        piece.bar.set_position(began_at);
        match answer(put_once(client, piece)) {
            Ok(Answer::Ok(response)) => Try::Done(response.headers().clone()),
            // an earlier try arrived after all, and the link allows one object only
            Ok(Answer::Refused { status: StatusCode::PRECONDITION_FAILED, .. }) if tried > 0 => {
                Try::Done(HeaderMap::new())
            }
            Ok(Answer::Refused { status, detail }) => refused(status, detail),
            Err(ureq::Error::Io(e)) if is_local(&e) => Try::Never(e.into()),
            Err(e) => Try::Again(e.to_string()),
        }
    })
}

fn put_once<S: Source + ?Sized>(client: &Client, piece: &Piece<'_, S>) -> Result<Response<Body>, ureq::Error> {
    let size = piece.range.end - piece.range.start;
    let mut request = client.agent().put(piece.url).header("content-length", size);
    if size > EXPECT_ABOVE {
        // a refusal is heard before the bytes are sent, not as a broken connection
        request = request.header("expect", "100-continue");
    }
    for (name, value) in piece.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
        if !name.eq_ignore_ascii_case("host") {
            request = request.header(name, value);
        }
    }
    let mut body = piece.bar.wrap_read(Local(piece.source.open(piece.range.clone())));
    request.send(SendBody::from_reader(&mut body))
}

/// Marks errors of our own reading, which no second try mends.
struct Local<R>(R);

#[derive(Debug)]
struct LocalError(io::Error);

impl std::fmt::Display for LocalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read the input: {}", self.0)
    }
}

impl std::error::Error for LocalError {}

impl<R: Read> Read for Local<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|e| io::Error::other(LocalError(e)))
    }
}

fn is_local(e: &io::Error) -> bool {
    e.get_ref().is_some_and(|inner| inner.is::<LocalError>())
}

/// The parts' ETags, in order.
fn send_parts(
    client: &Client,
    links: &UploadLinks,
    urls: &[String],
    source: &(impl Source + ?Sized),
    bar: &ProgressBar,
) -> Result<Vec<String>> {
    let part_size = links.part_size.filter(|s| *s > 0).ok_or_else(|| Ending::failed("the answer has no part_size"))?;
    let next = AtomicUsize::new(0);
    let given_up = AtomicBool::new(false);
    let outcomes = Mutex::new(Vec::with_capacity(urls.len()));
    let no_headers = std::collections::BTreeMap::new();
    let send_next = || {
        while !given_up.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(url) = urls.get(index) else { return };
            let start = index as u64 * part_size;
            let range = start..(start + part_size).min(source.size());
            // each part counts on a bar of its own: parts that are tried again must not disturb one another
            let part_bar = ProgressBar::hidden();
            let piece = Piece { url, headers: &no_headers, source, range: range.clone(), bar: &part_bar };
            let etag = put(client, &piece).and_then(|headers| etag_of(&headers));
            given_up.fetch_or(etag.is_err(), Ordering::Relaxed);
            bar.inc(range.end - range.start);
            outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, etag));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..PARTS_AT_A_TIME.min(urls.len()) {
            scope.spawn(send_next);
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, etag)| etag).collect()
}

fn etag_of(headers: &HeaderMap) -> Result<String> {
    let etag = headers.get("etag").and_then(|v| v.to_str().ok());
    etag.map(str::to_owned).ok_or_else(|| Ending::failed("the object store answered a part without its ETag"))
}

fn complete_parts(client: &Client, links: &UploadLinks, url: &str, etags: &[String]) -> Result<()> {
    let parts: String = etags
        .iter()
        .zip(1..)
        .map(|(etag, n)| format!("<Part><PartNumber>{n}</PartNumber><ETag>{}</ETag></Part>", xml_text(etag)))
        .collect();
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    with_tries(|tried| {
        let outcome = client.agent().post(url).header("content-type", "application/xml").send(&document);
        match answer(outcome) {
            Ok(Answer::Ok(response)) => completed(response),
            // an earlier try did it, and its answer was lost
            Ok(Answer::Refused { status: StatusCode::NOT_FOUND, .. }) if tried > 0 && arrived(client, links) => {
                Try::Done(())
            }
            Ok(Answer::Refused { status, detail }) => refused(status, detail),
            Err(e) => Try::Again(e.to_string()),
        }
    })
}

/// S3 may find an error after it said 200.
fn completed(mut response: Response<Body>) -> Try<()> {
    match response.body_mut().read_to_string() {
        Ok(text) if text.contains("<Error>") => Try::Again(super::words_of(StatusCode::OK, &text)),
        Ok(_) => Try::Done(()),
        Err(e) => Try::Again(e.to_string()),
    }
}

fn arrived(client: &Client, links: &UploadLinks) -> bool {
    let upload = client.get(&format!("/v1/uploads/{}", super::segment(&links.id)), &[]);
    upload.is_ok_and(|u| u["status"] == "received")
}

fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
