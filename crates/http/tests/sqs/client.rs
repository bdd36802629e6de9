//! A door over the memory store, and a client that writes HTTP by hand.

use filemill_core::object::BucketName;
use filemill_core::ports::{Clock, NoNotifier};
use filemill_core::rule::RuleSet;
use filemill_core::time::Timestamp;
use filemill_engine::{Chance, Compute, Engine, EngineConfig, MasterKey, Ports, Registry};
use filemill_http::Rates;
use filemill_http::s3::{KeyPair, Patience, S3Config, S3Door};
use filemill_memory::{MemoryOptions, MemoryStore};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const KEY_ID: &str = "AKTEST";
pub const SECRET: &str = "a-secret-that-must-not-leak";
/// An answer that takes longer is a test that hangs.
const HANGS: Duration = Duration::from_secs(30);

struct WallClock;

#[async_trait::async_trait]
impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        now()
    }

    fn elapsed(&self) -> Duration {
        static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(since.as_millis().try_into().expect("before the year 292278994"))
}

pub struct TestDoor {
    pub address: SocketAddr,
    pub store: Arc<MemoryStore>,
    pub stop: CancellationToken,
    pub served: JoinHandle<()>,
}

impl TestDoor {
    pub async fn open() -> TestDoor {
        TestDoor::with(Patience::default()).await
    }

    /// Of a whole service.
    pub async fn of_service() -> (TestDoor, Engine) {
        TestDoor::of_service_with(Rates::default()).await
    }

    pub async fn of_service_with(rates: Rates) -> (TestDoor, Engine) {
        let store = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
        let mut config =
            EngineConfig::new("w".into(), BucketName::parse("uploads").expect("a name"), RuleSet::default());
        config.master_key = Some(MasterKey([7; 32]));
        let ports = Ports {
            blobs: store.clone(),
            state: store.clone(),
            queue: store.clone(),
            notifier: Arc::new(NoNotifier),
            messages: store.clone(),
            clock: Arc::new(WallClock),
            processors: Registry::new(std::iter::empty()),
            compute: Compute::Threads,
            chance: Chance::from_seed(1),
        };
        let engine = Engine::new(ports, config).expect("config");
        let configure = |config: &mut S3Config| (config.engine, config.rates) = (Some(engine.clone()), rates);
        (TestDoor::over(store, configure).await, engine)
    }

    pub async fn with(patience: Patience) -> TestDoor {
        let store = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
        TestDoor::over(store, |config| config.patience = patience).await
    }

    async fn over(store: Arc<MemoryStore>, configure: impl FnOnce(&mut S3Config)) -> TestDoor {
        let keys = vec![KeyPair { access_key_id: KEY_ID.to_owned(), secret_access_key: SECRET.to_owned() }];
        let mut config = S3Config::new(store.clone(), Arc::new(WallClock), keys);
        config.queues = Some(store.clone());
        configure(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let served = tokio::spawn(S3Door::new(config).serve(listener, stop.clone()));
        TestDoor { address, store, stop, served }
    }

    pub fn request(&self, action: &str, body: impl Into<String>) -> Request {
        Request::new(self.address, action, body.into())
    }

    /// In the query protocol.
    pub fn form(&self, parameters: &[(&str, &str)]) -> Request {
        let headers = vec![("content-type".into(), "application/x-www-form-urlencoded; charset=utf-8".into())];
        Request { headers, ..self.request("", encoded(parameters)) }
    }

    pub async fn call(&self, action: &str, input: Value) -> Reply {
        self.request(action, input.to_string()).send().await
    }

    /// Its URL.
    pub async fn with_queue(&self) -> String {
        let made = self.call("CreateQueue", serde_json::json!({ "QueueName": "orders" })).await.expect(200);
        made["QueueUrl"].as_str().expect("a URL").to_owned()
    }
}

/// Everything about a request that a test may want to be wrong.
#[derive(Clone)]
pub struct Request {
    pub address: SocketAddr,
    pub method: &'static str,
    pub path: String,
    /// Encoded and in order, as it is signed.
    pub query: String,
    /// What is sent instead of the query that was signed.
    pub sent_query: Option<String>,
    pub headers: Vec<(String, String)>,
    pub unsigned_headers: Vec<(String, String)>,
    pub body: String,
    /// What is sent instead of the body that was signed.
    pub sent_body: Option<String>,
    pub key_id: String,
    pub secret: String,
    pub region: String,
    pub service: String,
    pub at: Timestamp,
}

impl Request {
    fn new(address: SocketAddr, action: &str, body: String) -> Self {
        let target = ("x-amz-target".to_owned(), format!("AmazonSQS.{action}"));
        Request {
            address,
            method: "POST",
            path: "/".into(),
            query: String::new(),
            sent_query: None,
            headers: vec![("content-type".into(), "application/x-amz-json-1.0".into()), target],
            unsigned_headers: Vec::new(),
            body,
            sent_body: None,
            key_id: KEY_ID.into(),
            secret: SECRET.into(),
            region: "local".into(),
            service: "sqs".into(),
            at: now(),
        }
    }

    /// The head, signed.
    pub fn head(&self) -> String {
        let text = self.at.to_string();
        let digits: String = text.chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
        let (date, day) = (format!("{digits}Z"), &digits[..8]);
        let mut headers = self.headers.clone();
        headers.extend([("host".to_owned(), self.address.to_string()), ("x-amz-date".to_owned(), date.clone())]);
        headers.sort();
        let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical =
            format!("{}\n{}\n{}\n{lines}\n{names}\n{}", self.method, self.path, self.query, sha256(&self.body));
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical));
        let mut key = hmac(format!("AWS4{}", self.secret).as_bytes(), day);
        for part in [&self.region, &self.service, "aws4_request"] {
            key = hmac(&key, part);
        }
        let signature = hex::encode(hmac(&key, &text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.key_id
        );
        let all = headers.iter().chain(&self.unsigned_headers);
        let lines: String = all.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = self.sent_body.as_ref().unwrap_or(&self.body).len();
        let query = self.sent_query.as_ref().unwrap_or(&self.query);
        let mark = if query.is_empty() { "" } else { "?" };
        format!(
            "{} {}{mark}{query} HTTP/1.1\r\n{lines}authorization: {authorization}\r\ncontent-length: {length}\r\n\r\n",
            self.method, self.path
        )
    }

    pub async fn send(&self) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.expect("the door listens");
        let body = self.sent_body.as_ref().unwrap_or(&self.body);
        let whole = self.head().replacen("\r\n", "\r\nconnection: close\r\n", 1) + body;
        stream.write_all(whole.as_bytes()).await.expect("written");
        Reply::read(&mut stream).await
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Value,
    pub text: String,
}

impl Reply {
    /// Until the door closes the connection.
    pub async fn read(stream: &mut TcpStream) -> Reply {
        let mut answer = Vec::new();
        let reading = tokio::time::timeout(HANGS, stream.read_to_end(&mut answer));
        reading.await.expect("an answer in time").expect("an answer");
        let text = String::from_utf8(answer).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Reply {
            status,
            head: head.to_owned(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
            text: body.to_owned(),
        }
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        assert!(!format!("{self:?}").contains(SECRET));
        self.body["message"].as_str().expect("a message").to_owned()
    }

    /// As clients read it.
    fn code(&self) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix("x-amzn-query-error: "));
        line.and_then(|value| value.split(';').next()).unwrap_or_default()
    }
}

/// As a form, and as the canonical query of a URL where the names are in order.
pub fn encoded(parameters: &[(&str, &str)]) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encode = |text| utf8_percent_encode(text, ENCODED);
    parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
