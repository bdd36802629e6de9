//! The REST door: every JSON body, every query, every cursor, and the headers that it reads.

use crate::hearing::{Subject, hear};
use crate::service::{Service, TOKEN, bucket, key, request, service_with, with_json};
use crate::spoiler::Spoiler;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A service in which there is one of everything that can be asked about.
struct Site {
    service: Service,
    job: String,
    letter: String,
    /// Lists that have more than one page, and where they go on.
    cursors: Vec<(&'static str, String)>,
}

impl Site {
    async fn open() -> Self {
        let fragile = json!({
            "id": "fragile", "from": "fragile", "process": { "kind": "lines.prefix", "text": "> " },
            "output": { "bucket": "results" }, "retry": { "attempts": 1, "backoff": "1s..1s" },
        });
        let zip = json!({
            "id": "zip", "from": "orders", "output": { "bucket": "archives", "key": "{stem}.zip" },
            "process": { "kind": "archive.zip", "method": "store" },
        });
        let service = service_with(&[fragile, zip]).await;
        for name in ["a.txt", "b.txt"] {
            service.put(name, b"x").await;
            service.job(name, "completed").await;
            let name = if name == "a.txt" { "bad-a" } else { "bad-b" };
            service.put_into("fragile", name, b"one\ntwo\n").await;
            service.store.flip_bit(&bucket("fragile"), &key(name));
            service.job(name, "failed").await;
            service.post("/v1/keys", json!({ "name": name, "role": "viewer" })).await.ok();
            service.post("/v1/rules/hello/backfill", json!({ "rate": 5 })).await.ok();
            service.post("/v1/redrives", json!({ "filter": { "key": "none" } })).await.ok();
        }
        let job = service.job("a.txt", "completed").await["id"].as_str().expect("an id").to_owned();
        let failed = service.job("bad-a", "failed").await;
        let letter = failed["dead_letter"].as_str().expect("a letter").to_owned();
        let mut cursors = Vec::new();
        let lists = ["jobs", "files", "dead", "keys", "audit", "backfills", "redrives"];
        for list in lists.map(|name| ["/v1/", name].concat()) {
            let page = service.get(&format!("{list}?limit=1")).await.ok();
            cursors.push((&*list.leak(), page["next_cursor"].as_str().expect("a cursor").to_owned()));
        }
        Site { service, job, letter, cursors }
    }

    /// Of each route that takes a body.
    fn bodies(&self) -> Vec<(&'static str, Value)> {
        let filter = json!({ "rule": "fragile", "bucket": "fragile", "key": "bad*", "error": "input_corrupt",
            "since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z", "status": "dead", "queue": "default" });
        let redrive = json!({ "filter": filter, "dry_run": true, "from_start": false, "options": { "text": "!" } });
        vec![
            (
                "/v1/uploads",
                json!({ "filename": "a.txt", "bucket": "uploads", "key": "in/{}", "size": 5, "mode": "put",
                    "rule": "hello", "content_type": "text/plain", "metadata": { "a": 1, "b": { "c": [true] } },
                    "options": { "text": "!" } }),
            ),
            (
                "/v1/archives",
                json!({ "files": [{ "source": "a.txt", "destination": "in/" }, { "source": "s3://results/a.txt" }],
                    "name": "n", "metadata": { "order": 17 }, "rule": "zip" }),
            ),
            (
                "/v1/rules/explain",
                json!({ "bucket": "uploads", "key": "a/b.txt", "size": 7, "content_type": "text/plain" }),
            ),
            (
                "/v1/rules/{rule}/backfill",
                json!({ "dry_run": true, "prefix": "a", "rate": 5, "since": "2020-01-01T00:00:00Z",
                    "until": "2100-01-01T00:00:00Z" }),
            ),
            (
                "/v1/keys",
                json!({ "name": "k", "role": "viewer", "limits": ["uploads/in/"],
                    "expires_at": "2100-01-01T00:00:00Z" }),
            ),
            ("/v1/redrives", redrive.clone()),
            ("/v1/queues/{queue}/redrive", redrive),
            ("/v1/dead/discard", json!({ "filter": { "rule": "none" }, "dry_run": true })),
            ("/v1/dead/{id}/redrive", json!({ "from_start": true, "options": { "text": "!" } })),
            ("/v1/reconcile", json!({ "bucket": "uploads", "dry_run": true })),
        ]
    }

    fn path(&self, route: &str) -> String {
        let id = if route.starts_with("/v1/dead/") { &self.letter } else { &self.job };
        route.replace("{id}", id).replace("{queue}", "default").replace("{rule}", "hello")
    }

    /// Of a success the status alone: a feed has no end.
    async fn send(&self, request: Request<Body>) -> Result<u16, String> {
        let response = self.service.open(request).await;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        if status < 400 {
            return Ok(status);
        }
        let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        let problem: Option<Value> = serde_json::from_slice(&body).ok();
        let says_why = problem.is_some_and(|problem| problem["code"].is_string());
        let tells = memchr::memmem::find(&body, TOKEN.as_bytes()).is_some();
        if says_why && !tells { Ok(status) } else { Err(format!("{status} says {body:?}")) }
    }

    /// What a client does all day.
    async fn good(&self) -> Result<(), String> {
        let upload = self.service.post("/v1/uploads", json!({ "filename": "good.txt" })).await;
        let job = self.service.get(&format!("/v1/jobs/{}", self.job)).await;
        let jobs = self.service.get("/v1/jobs?limit=2&status=completed").await;
        match [upload.status.as_u16(), job.status.as_u16(), jobs.status.as_u16()] {
            [201, 200, 200] => Ok(()),
            others => Err(format!("{others:?}: {:?} {:?} {:?}", upload.body, job.body, jobs.body)),
        }
    }
}

fn document() -> Value {
    serde_json::from_str(&filemill_http::api::openapi_document(std::iter::empty())).expect("JSON")
}

/// Of each route of this method that declares `what`.
fn routes_with(method: &str, what: &str) -> Vec<(String, Value)> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().map(|(path, item)| (path.clone(), item[method][what].clone()));
    all.filter(|(_, declared)| !declared.is_null()).collect()
}

#[rustfmt::skip]
const BODY_WORDS: &[&str] = &[
    "filename", "bucket", "key", "size", "mode", "rule", "content_type", "metadata", "options", "notify", "files",
    "jobs", "name", "source", "destination", "filter", "ids", "rate", "dry_run", "limits", "tenant", "role", "admin",
    "multipart", "post", "put", "webhook", "queue", "https://allowed.example/x", "http://169.254.169.254/",
    "uploads", "results", "default", "s3://uploads/a.txt", "../../etc/passwd", "{stem}", "${x}", "\\ud800",
    "\\u0000", "1e400", "{", "}", "[", "]", ",", ":", "\"", "9999-99-99T00:00:00Z", "-9999-01-01T00:00:00Z",
    "dlq_00000000000000000000000000",
];

#[rustfmt::skip]
const QUERY_WORDS: &[&str] = &[
    "&", "=", "%", "%00", "%ff", "%2F", "+", "*", "?", "[", "]", "{", "}", "!", "**", "\\", "..", "0", "1001", "-1",
    "job_", "completed", "failed", "dead", "true", "null", "é", "\u{202e}", "2020-13-01T00:00:00Z",
    "99999-01-01T00:00:00Z", "-009999-01-01T00:00:00Z",
];

#[rustfmt::skip]
const CURSOR_WORDS: &[&str] = &[
    "j", "f", "b", "n", "job_", "/", "uploads/", "=", "-", "_", "AAAA", "\0", "%", "é", "00000000000000000000000000",
];

#[test]
fn json_bodies() {
    hear::<Bodies>("json_bodies");
}

struct Bodies(Site);

#[derive(Debug)]
struct Posted {
    path: String,
    body: Vec<u8>,
}

impl Subject for Bodies {
    type Request = Posted;

    async fn open() -> Self {
        let site = Site::open().await;
        let known: BTreeSet<String> = site.bodies().into_iter().map(|(route, _)| route.to_owned()).collect();
        let declared: BTreeSet<String> =
            routes_with("post", "requestBody").into_iter().map(|(path, _)| path).filter(|p| p != "none").collect();
        assert_eq!(known, declared, "give each route with a body its good one");
        Bodies(site)
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Posted {
        let bodies = self.0.bodies();
        let (route, good) = spoiler.one(&bodies);
        Posted { path: self.0.path(route), body: spoiler.json(good, BODY_WORDS, 300 << 10) }
    }

    async fn send(&mut self, posted: &Posted) -> Result<u16, String> {
        self.0.send(with_json(request(Method::POST, &posted.path, Body::from(posted.body.clone())))).await
    }

    async fn good(&mut self) -> Result<(), String> {
        for (route, body) in self.0.bodies() {
            let answer = self.0.service.post(&self.0.path(route), body).await;
            // a letter is redriven once, and one reconcile runs at a time
            if !answer.status.is_success() && answer.status != 409 {
                return Err(format!("{route}: {} {:?}", answer.status, answer.body));
            }
        }
        self.0.good().await
    }
}

#[test]
fn query_strings_and_headers() {
    hear::<Queries>("query_strings_and_headers");
}

struct Queries {
    site: Site,
    /// Each route with its parameters.
    routes: Vec<(String, Vec<String>)>,
    good: BTreeMap<&'static str, &'static str>,
}

#[derive(Debug)]
struct Asked {
    target: String,
    headers: Vec<(&'static str, Vec<u8>)>,
}

impl Asked {
    /// `None`: no HTTP server would hand this on.
    fn request(&self) -> Option<Request<Body>> {
        let uri: Uri = self.target.parse().ok()?;
        let mut asked = request(Method::GET, "/", Body::empty());
        *asked.uri_mut() = uri;
        for (name, value) in &self.headers {
            asked.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?);
        }
        Some(asked)
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Subject for Queries {
    type Request = Asked;

    async fn open() -> Self {
        let site = Site::open().await;
        let good = BTreeMap::from([
            ("action", "key.create"),
            ("after", "0"),
            ("ticket", "x"),
            ("actor", "admin"),
            ("alarm", "a"),
            ("bucket", "uploads"),
            ("cursor", ""),
            ("error", "input_corrupt"),
            ("event", "job.completed"),
            ("fingerprint", "00"),
            ("job", "job_00000000000000000000000000"),
            ("key", "a*"),
            ("kind", "job.completed"),
            ("label", "positive"),
            ("limit", "2"),
            ("prefix", "a"),
            ("processor", "text.sentiment"),
            ("queue", "default"),
            ("redirect", "false"),
            ("rule", "hello"),
            ("since", "2020-01-01T00:00:00Z"),
            ("status", "completed"),
            ("target", "x"),
            ("until", "2100-01-01T00:00:00Z"),
            ("upload", "upl_00000000000000000000000000"),
        ]);
        let mut routes = Vec::new();
        for (path, parameters) in routes_with("get", "parameters") {
            let parameters = parameters.as_array().expect("a list").clone();
            let of_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let names: Vec<String> = of_query.map(|p| p["name"].as_str().expect("a name").to_owned()).collect();
            if names.is_empty() {
                continue;
            }
            for name in &names {
                assert!(good.contains_key(name.as_str()), "give the parameter {name} of {path} a good value");
            }
            routes.push((site.path(&path), names));
        }
        Queries { site, routes, good }
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Asked {
        let (path, names) = spoiler.one(&self.routes).clone();
        let mut pairs: Vec<(String, String)> = Vec::new();
        for name in names {
            if spoiler.one_in(2) {
                let value = self.good[name.as_str()].to_owned();
                pairs.push((name, value));
            }
        }
        if let Some(at) = (!pairs.is_empty()).then(|| spoiler.below(pairs.len())) {
            let (name, value) = pairs[at].clone();
            match spoiler.below(8) {
                0 => pairs.push((name, value)),
                1 => pairs[at].0 = spoiler.text(&name, QUERY_WORDS, 400),
                _ => pairs[at].1 = spoiler.text(&value, QUERY_WORDS, 4000),
            }
        }
        let mut query = pairs.iter().map(|(n, v)| format!("{n}={}", encoded(v))).collect::<Vec<_>>().join("&");
        if spoiler.one_in(3) {
            query = spoiler.line(&query, QUERY_WORDS).replace([' ', '#'], "+");
        }
        let mut headers = Vec::new();
        if spoiler.one_in(4) {
            let (name, value) = *spoiler.one(&[
                ("authorization", "Bearer admin-token-of-the-test"),
                ("accept", "application/json"),
                ("origin", "https://console.example"),
                ("cookie", "a=b"),
                ("range", "bytes=0-1"),
                ("if-none-match", "\"x\""),
                ("content-length", "0"),
                ("x-request-id", "r"),
                ("idempotency-key", "k"),
                ("last-event-id", "7"),
                ("host", "files.example"),
                ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ]);
            headers.push((name, spoiler.bytes(value.as_bytes(), QUERY_WORDS, 4000)));
        }
        Asked { target: format!("{path}?{query}"), headers }
    }

    async fn send(&mut self, asked: &Asked) -> Result<u16, String> {
        match asked.request() {
            Some(request) => self.site.send(request).await,
            None => Ok(400),
        }
    }

    async fn good(&mut self) -> Result<(), String> {
        self.site.good().await
    }
}

#[test]
fn cursors() {
    hear::<Cursors>("cursors");
}

struct Cursors(Site);

impl Subject for Cursors {
    type Request = String;

    async fn open() -> Self {
        Cursors(Site::open().await)
    }

    /// Changed as text, or in what the text stands for.
    fn hostile(&mut self, spoiler: &mut Spoiler) -> String {
        let (path, _) = *spoiler.one(&self.0.cursors.iter().map(|(path, _)| (*path, ())).collect::<Vec<_>>());
        let (_, good) = spoiler.one(&self.0.cursors).clone();
        let place = URL_SAFE_NO_PAD.decode(&good).expect("base64");
        let changed = match spoiler.below(8) {
            0 => good,
            1 => spoiler.text(&good, CURSOR_WORDS, 8000),
            _ => URL_SAFE_NO_PAD.encode(spoiler.bytes(&place, CURSOR_WORDS, 8000)),
        };
        format!("{path}?limit=1&cursor={}", encoded(&changed))
    }

    async fn send(&mut self, path: &String) -> Result<u16, String> {
        match path.parse::<Uri>() {
            Ok(_) => self.0.send(request(Method::GET, path, Body::empty())).await,
            Err(_) => Ok(400),
        }
    }

    async fn good(&mut self) -> Result<(), String> {
        for (path, cursor) in &self.0.cursors {
            let page = self.0.service.get(&format!("{path}?limit=1&cursor={cursor}")).await;
            if page.status != 200 {
                return Err(format!("{path}: {} {:?}", page.status, page.body));
            }
        }
        self.0.good().await
    }
}
