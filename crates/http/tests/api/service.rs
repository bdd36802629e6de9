//! A whole service without a listener: engine, memory store and router. Requests go straight into the router.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bytes::Bytes;
use filemill_core::access::TenantName;
use filemill_core::ids::KeyId;
use filemill_core::notice::{NoticeKind, Receiver};
use filemill_core::notify::{NotifyRule, NotifyRules};
use filemill_core::object::{Attributes, BucketName, ObjectKey};
use filemill_core::ports::{BlobStore, Durability, NoNotifier, Notifier, NotifyError, Parcel, Precondition, PutObject};
use filemill_core::rule::{QueueName, RuleSet};
use filemill_engine::{
    BucketSettings, Chance, Compute, Engine, EngineConfig, MasterKey, Ports, QueueSettings, Registry,
};
use filemill_http::{ApiConfig, ApiDoor, Rates};
use filemill_memory::{FaultPlan, MemoryOptions, MemoryStore, SimClock};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

pub const TOKEN: &str = "admin-token-of-the-test";

pub struct Service {
    pub engine: Engine,
    pub store: Arc<MemoryStore>,
    pub router: Router,
    _stops: DropGuard,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a test's service has besides its first rule.
#[derive(Default)]
struct Setup<'a> {
    rules: &'a [Value],
    max_running: Option<u32>,
    /// Buckets and whose they are.
    tenants: &'a [(&'a str, &'a str)],
    /// Told of every end.
    told: Option<Arc<dyn Notifier>>,
}

/// Jobs run at once.
pub async fn service() -> Service {
    start(Setup::default()).await
}

/// Jobs run at once; these rules, and these buckets with their tenants. A webhook is told of everything.
pub async fn service_of_tenants(rules: &[Value], tenants: &[(&str, &str)]) -> Service {
    let told: Option<Arc<dyn Notifier>> = Some(Arc::new(Webhook(Box::new(|| Ok(())))));
    start(Setup { rules, tenants, told, ..Setup::default() }).await
}

/// Jobs run at once; these rules besides the first one.
pub async fn service_with(rules: &[Value]) -> Service {
    start(Setup { rules, ..Setup::default() }).await
}

/// Jobs stay queued: their queue runs nothing.
pub async fn idle_service() -> Service {
    start(Setup { max_running: Some(0), ..Setup::default() }).await
}

/// Jobs run at once, and their ends are told to one webhook, which answers like this.
pub async fn service_telling(answer: impl Fn() -> Result<(), NotifyError> + Send + Sync + 'static) -> Service {
    start(Setup { told: Some(Arc::new(Webhook(Box::new(answer)))), ..Setup::default() }).await
}

struct Webhook(Box<dyn Fn() -> Result<(), NotifyError> + Send + Sync>);

#[async_trait::async_trait]
impl Notifier for Webhook {
    async fn deliver(&self, _: &Parcel) -> Result<(), NotifyError> {
        (self.0)()
    }

    fn receiver_of_upload(&self, url: &str) -> Result<Receiver, String> {
        let origin = "https://allowed.example".to_owned();
        let allowed = url.starts_with(&origin);
        let receiver = Receiver::UploadWebhook { url: url.to_owned(), origin };
        allowed.then_some(receiver).ok_or_else(|| "uploads may name webhooks at allowed.example only".to_owned())
    }
}

async fn start(setup: Setup<'_>) -> Service {
    let (engine, store) = engine(setup);
    engine.prepare().await.expect("buckets");
    let stop = CancellationToken::new();
    let (running, token) = (engine.clone(), stop.clone());
    tokio::spawn(async move { running.run(token).await });
    let router = door(&engine).router();
    Service { engine, store, router, _stops: stop.drop_guard() }
}

pub fn door(engine: &Engine) -> ApiDoor {
    ApiDoor::new(ApiConfig {
        keeper: None,
        engine: engine.clone(),
        admin_token: TOKEN.to_owned(),
        metrics: None,
        rates: Rates::default(),
        allowed_origins: vec!["https://console.example".to_owned()],
        version: "1.2.3".to_owned(),
    })
}

fn engine(setup: Setup<'_>) -> (Engine, Arc<MemoryStore>) {
    let Setup { rules: more, max_running, tenants, told } = setup;
    let clock = Arc::new(SimClock::new());
    let store = Arc::new(MemoryStore::new(clock.clone(), MemoryOptions::default()));
    let rule = json!({
        "id": "hello", "from": "uploads", "process": { "kind": "lines.prefix", "text": "> " },
        "output": { "bucket": "results" },
    });
    let rules = [&[rule], more].concat().into_iter().map(|rule| serde_json::from_value(rule).expect("a rule"));
    let rules = RuleSet::new(rules.collect()).expect("rules");
    let mut config = EngineConfig::new("worker".into(), bucket("uploads"), rules);
    config
        .queues
        .insert(QueueName::parse("default").expect("name"), QueueSettings { max_running, ..QueueSettings::default() });
    config.master_key = Some(MasterKey([7; 32]));
    for (name, tenant) in tenants {
        let tenant = Some(TenantName::parse(tenant).expect("a name"));
        config.buckets.insert(bucket(name), BucketSettings { tenant, ..BucketSettings::default() });
    }
    if told.is_some() {
        let receiver = Receiver::Webhook { name: QueueName::parse("hook").expect("name") };
        let on = NoticeKind::ALL.to_vec();
        let rule = NotifyRule { on, receiver, rule: None, bucket: None };
        config.notify = NotifyRules::new(vec![rule]).expect("one");
    }
    let ports = Ports {
        blobs: store.clone(),
        state: store.clone(),
        queue: store.clone(),
        notifier: told.unwrap_or_else(|| Arc::new(NoNotifier)),
        messages: store.clone(),
        clock,
        processors: Registry::new(filemill_processors::ALL.iter().copied()),
        compute: Compute::Threads,
        chance: Chance::from_seed(1),
    };
    (Engine::new(ports, config).expect("config"), store)
}

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).expect(name)
}

impl Service {
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, Body::empty())).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(with_json(request(Method::POST, path, Body::from(body.to_string())))).await
    }

    pub async fn post_text(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(with_json(request(Method::POST, path, body.into()))).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(request(Method::DELETE, path, Body::empty())).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The answer with its body still running.
    pub async fn open(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.expect("a router never fails")
    }

    /// An object, as if a client had uploaded it.
    pub async fn put(&self, name: &str, content: &'static [u8]) {
        self.put_into("uploads", name, content).await;
    }

    pub async fn put_into(&self, bucket_name: &str, name: &str, content: &'static [u8]) {
        self.put_for(None, bucket_name, name, content).await;
    }

    /// An object that this key brought.
    pub async fn put_for(&self, owner: Option<KeyId>, bucket_name: &str, name: &str, content: &'static [u8]) {
        let mut stage = self.store.stage(None).expect("stage");
        stage.write_all(&Bytes::from_static(content)).expect("bytes are taken");
        let staged = stage.finish().expect("staged");
        let put = PutObject {
            bucket: bucket(bucket_name),
            key: key(name),
            attributes: Attributes { owner, ..Attributes::default() },
            checksums: Default::default(),
            etag: None,
            condition: Precondition::None,
        };
        self.store.put(put, staged, Durability::Synced).await.expect("put");
    }

    /// The job of a key, once its status is this one.
    pub async fn job(&self, name: &str, status: &str) -> Value {
        let mut feed = self.engine.listen(Some(0)).await.expect("feed");
        loop {
            let jobs = self.get(&format!("/v1/jobs?key={name}&status={status}")).await.ok();
            if let Some(job) = jobs["items"].get(0) {
                return job.clone();
            }
            let next = tokio::time::timeout(Duration::from_secs(20), feed.next()).await;
            next.expect("something happens").expect("the feed goes on");
        }
    }

    /// From now on no store call succeeds.
    pub fn fail_stores(&self) {
        self.store.set_faults(FaultPlan { unavailable: 1.0, ..FaultPlan::none() });
    }
}

/// With this token.
pub fn request_by(token: &str, method: Method, path: &str, body: Body) -> Request<Body> {
    with_header(without_token(request(method, path, body)), "authorization", &format!("Bearer {token}"))
}

/// With the admin token.
pub fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let bearer = format!("Bearer {TOKEN}");
    let builder = Request::builder().method(method).uri(path).header(header::AUTHORIZATION, bearer);
    builder.body(body).expect("a request")
}

pub fn with_json(request: Request<Body>) -> Request<Body> {
    with_header(request, "content-type", "application/json")
}

pub fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().expect("a header"));
    request
}

pub fn without_token(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().remove(header::AUTHORIZATION);
    request
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The JSON of an answer that must be a success.
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {:?}", self.status, self.body);
        self.json()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().expect("text")).unwrap_or_default()
    }

    /// A problem document with this status and code, whole and well formed.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:filemill:problem:{code}"));
        assert!(problem["title"].is_string());
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        problem
    }
}
