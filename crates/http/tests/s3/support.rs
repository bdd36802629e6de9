//! A door over the memory store on a real socket, and a client that signs for itself.
//!
//! The client writes HTTP by hand, so that a test can also send what no SDK would.

use bytes::Bytes;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{BlobStore, Clock};
use filemill_core::time::Timestamp;
use filemill_http::s3::{KeyPair, Patience, S3Config, S3Door};
use filemill_memory::{MemoryOptions, MemoryStore};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const KEY_ID: &str = "AKTEST";
pub const SECRET: &str = "a-secret-that-must-not-leak";
pub const BUCKET: &str = "bkt";
/// An answer that takes longer is a test that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct WallClock;

#[async_trait::async_trait]
impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_millis(since.as_millis().try_into().expect("before the year 292278994"))
    }

    fn elapsed(&self) -> Duration {
        static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A listening door; stops when dropped.
pub struct TestDoor {
    pub address: SocketAddr,
    pub store: Arc<dyn BlobStore>,
    pub stop: CancellationToken,
    pub served: tokio::task::JoinHandle<()>,
    _stop: DropGuard,
}

impl TestDoor {
    /// With an empty bucket.
    pub async fn open() -> TestDoor {
        TestDoor::with(|_| {}).await
    }

    pub async fn with(configure: impl FnOnce(&mut S3Config)) -> TestDoor {
        let store = MemoryStore::new(Arc::new(WallClock), MemoryOptions::default());
        TestDoor::over(Arc::new(store), configure).await
    }

    pub async fn over(store: Arc<dyn BlobStore>, configure: impl FnOnce(&mut S3Config)) -> TestDoor {
        let bucket = BucketName::parse(BUCKET).expect("a bucket name");
        store.create_bucket(&bucket).await.expect("a bucket");
        let keys = vec![KeyPair { access_key_id: KEY_ID.to_owned(), secret_access_key: SECRET.to_owned() }];
        let mut config = S3Config::new(store.clone(), Arc::new(WallClock), keys);
        configure(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let served = tokio::spawn(S3Door::new(config).serve(listener, stop.clone()));
        TestDoor { address, store, _stop: stop.clone().drop_guard(), stop, served }
    }

    pub async fn impatient(patience: Patience) -> TestDoor {
        TestDoor::with(|config| config.patience = patience).await
    }

    pub fn request(&self, method: &str, key: &str) -> Request {
        let path = format!("/{BUCKET}/{}", encode_path(key));
        Request::new(self.address, method, &path)
    }

    pub fn bucket_request(&self, method: &str, query: &[(&str, &str)]) -> Request {
        Request::new(self.address, method, &format!("/{BUCKET}")).query(query)
    }

    pub async fn put(&self, key: &str, content: &[u8]) -> Response {
        self.request("PUT", key).body(content).send().await.expect_status(200)
    }

    pub async fn get(&self, key: &str) -> Bytes {
        self.request("GET", key).send().await.expect_status(200).body
    }

    pub async fn exists(&self, key: &str) -> bool {
        let bucket = BucketName::parse(BUCKET).expect("a bucket name");
        self.store.head(&bucket, &ObjectKey::parse(key).expect("a key")).await.is_ok()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the door listens")
    }
}

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
const VALUE: &AsciiSet = &PATH.add(b'/');

pub fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

pub fn encode_value(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

/// How a request is signed.
#[derive(Clone)]
pub struct Signing {
    pub key_id: String,
    pub secret: String,
    pub region: String,
    pub at: Timestamp,
}

impl Default for Signing {
    fn default() -> Self {
        Signing { key_id: KEY_ID.into(), secret: SECRET.into(), region: "local".into(), at: WallClock.now() }
    }
}

impl Signing {
    pub fn date(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.at.as_millis()).expect("a time");
        at.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    pub fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", &self.date()[..8], self.region)
    }

    pub fn sign(&self, text: &str) -> String {
        sign(&self.secret, &self.scope(), text)
    }
}

fn sign(secret: &str, scope: &str, text: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/').chain([text]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key");
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    hex::encode(key)
}

#[derive(Clone)]
pub struct Request {
    address: SocketAddr,
    pub method: String,
    /// As it goes over the wire.
    pub path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    unsigned_headers: Vec<(String, String)>,
    body: Vec<u8>,
    payload: String,
    pub signing: Signing,
}

impl Request {
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        Request {
            address,
            method: method.to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: vec![("host".to_owned(), address.to_string())],
            unsigned_headers: Vec::new(),
            body: Vec::new(),
            payload: "UNSIGNED-PAYLOAD".to_owned(),
            signing: Signing::default(),
        }
    }

    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.query.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// A signed header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn unsigned_header(mut self, name: &str, value: &str) -> Self {
        self.unsigned_headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, content: &[u8]) -> Self {
        self.body = content.to_vec();
        self
    }

    /// `x-amz-content-sha256`
    pub fn payload(mut self, text: &str) -> Self {
        self.payload = text.to_owned();
        self
    }

    pub fn signed_by(mut self, change: impl FnOnce(&mut Signing)) -> Self {
        change(&mut self.signing);
        self
    }

    fn canonical_query(pairs: &[(String, String)]) -> String {
        let mut pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| (encode_value(name), encode_value(value))).collect();
        pairs.sort();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    fn signed_names(headers: &[(String, String)]) -> String {
        headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
    }

    fn signature(&self, query: &[(String, String)], headers: &[(String, String)], payload: &str) -> String {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{}\n{payload}",
            self.method,
            self.path,
            Self::canonical_query(query),
            Self::signed_names(headers)
        );
        let digest = hex::encode(Sha256::digest(canonical));
        let (date, scope) = (self.signing.date(), self.signing.scope());
        self.signing.sign(&format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}"))
    }

    /// Signs by header; the head as it goes over the wire, and its signature.
    pub fn signed_head(&self, content_length: Option<u64>) -> (String, String) {
        let mut headers = self.headers.clone();
        headers.push(("x-amz-date".to_owned(), self.signing.date()));
        headers.push(("x-amz-content-sha256".to_owned(), self.payload.clone()));
        headers.sort();
        let signature = self.signature(&self.query, &headers, &self.payload);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.signing.key_id,
            self.signing.scope(),
            Self::signed_names(&headers)
        );
        headers.push(("authorization".to_owned(), authorization));
        headers.extend(self.unsigned_headers.clone());
        let target = match Self::canonical_query(&self.query) {
            query if query.is_empty() => self.path.clone(),
            query => format!("{}?{query}", self.path),
        };
        (write_head(&self.method, &target, &headers, content_length), signature)
    }

    /// A link for this request.
    pub fn presign(&self, expires: &str) -> Link {
        let mut headers = self.headers.clone();
        headers.sort();
        let mut query = self.query.clone();
        let credential = format!("{}/{}", self.signing.key_id, self.signing.scope());
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &self.signing.date()),
            ("X-Amz-Expires", expires),
            ("X-Amz-SignedHeaders", &Self::signed_names(&headers)),
        ] {
            query.push((name.to_owned(), value.to_owned()));
        }
        let signature = self.signature(&query, &headers, "UNSIGNED-PAYLOAD");
        query.push(("X-Amz-Signature".to_owned(), signature));
        Link {
            address: self.address,
            method: self.method.clone(),
            target: format!("{}?{}", self.path, Self::canonical_query(&query)),
            headers,
        }
    }

    pub async fn send(&self) -> Response {
        let (head, _) = self.signed_head(Some(self.body.len() as u64));
        exchange(self.address, head.as_bytes(), &self.body).await
    }

    /// The head, then whatever the test writes.
    pub async fn send_head(&self, content_length: Option<u64>) -> TcpStream {
        let (head, _) = self.signed_head(content_length);
        let mut stream = TcpStream::connect(self.address).await.expect("the door listens");
        stream.write_all(head.as_bytes()).await.expect("a head");
        stream
    }
}

fn write_head(method: &str, target: &str, headers: &[(String, String)], content_length: Option<u64>) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = content_length.map(|n| format!("content-length: {n}\r\n")).unwrap_or_default();
    format!("{method} {target} HTTP/1.1\r\n{lines}{length}\r\n")
}

/// A presigned URL in the hands of somebody.
#[derive(Clone)]
pub struct Link {
    address: SocketAddr,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
}

impl Link {
    pub async fn send(&self, content: &[u8]) -> Response {
        let length = (!content.is_empty() || self.method == "PUT").then_some(content.len() as u64);
        let head = write_head(&self.method, &self.target, &self.headers, length);
        exchange(self.address, head.as_bytes(), content).await
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    fn parameters(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (decode(name), decode(value))).collect()
    }

    /// What would have to stand in it to make it good as it is now: the service's secret.
    pub fn right_signature(&self) -> String {
        let mut pairs = self.parameters();
        pairs.retain(|(name, _)| name != "X-Amz-Signature");
        let path = self.target.split('?').next().unwrap_or_default();
        let [credential, date, names] =
            ["X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders"].map(|n| self.parameter(n).unwrap_or_default());
        let value = |name: &str| self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
        let lines: String = names.split(';').map(|name| format!("{name}:{}\n", value(name))).collect();
        let query = Request::canonical_query(&pairs);
        let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD", self.method);
        let digest = hex::encode(Sha256::digest(canonical));
        let scope = credential.split_once('/').map_or("", |(_, scope)| scope);
        sign(SECRET, scope, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}"))
    }

    pub fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.target.contains(from), "{from} is not in {}", self.target);
        self.target = self.target.replacen(from, to, 1);
        self
    }
}

/// One request on a connection of its own.
pub async fn exchange(address: SocketAddr, head: &[u8], body: &[u8]) -> Response {
    let stream = TcpStream::connect(address).await.expect("the door listens");
    let (mut reader, mut writer) = stream.into_split();
    let is_head = head.starts_with(b"HEAD ");
    let (head, body) = (head.to_vec(), body.to_vec());
    let writing = tokio::spawn(async move {
        // a refusal may come, and the connection go, before everything is written
        let _ = writer.write_all(&head).await;
        let _ = writer.write_all(&body).await;
        writer
    });
    let response = try_read(&mut reader, is_head).await.expect("a whole response");
    writing.abort();
    response
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

pub async fn read_response(stream: &mut (impl AsyncReadExt + Unpin)) -> Response {
    try_read(stream, false).await.expect("a whole response")
}

/// `Err` if the connection ends inside the response. The answer to HEAD has no body.
pub async fn try_read(stream: &mut (impl AsyncReadExt + Unpin), is_head: bool) -> Result<Response, String> {
    let reading = tokio::time::timeout(PATIENCE, read_within(stream, is_head)).await;
    reading.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn read_within(stream: &mut (impl AsyncReadExt + Unpin), is_head: bool) -> Result<Response, String> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break at;
        }
        more(stream, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut rest = bytes.split_off(head_end + 4);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or("no status")?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    if status == 100 {
        return Ok(Response { status, headers, body: Bytes::new() });
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, n)| n.parse::<usize>().ok());
    let has_body = status != 204 && status != 304 && !is_head;
    while has_body && rest.len() < length.unwrap_or(0) {
        more(stream, &mut rest).await?;
    }
    Ok(Response { status, headers, body: rest.into() })
}

async fn more(stream: &mut (impl AsyncReadExt + Unpin), bytes: &mut Vec<u8>) -> Result<(), String> {
    match stream.read_buf(bytes).await {
        Ok(0) => Err(format!("the connection ended after {} bytes", bytes.len())),
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content of an XML element.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let rest = text.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    }

    pub fn elements(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        text.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
    }

    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// An S3 error of this status and code, with a request id.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.element("Code").as_deref()), (status, Some(code)), "{}", self.text());
        assert!(self.element("RequestId").is_some() && self.header("x-amz-request-id").is_some());
        self
    }
}

/// Content of any length that does not repeat within a block.
pub fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

pub fn md5_hex(content: &[u8]) -> String {
    use md5::Md5;
    hex::encode(Md5::digest(content))
}
