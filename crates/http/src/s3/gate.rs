//! The way of one request: refuse what `s3s` would let through, hand it on, complete the answer.
//!
//! Everything that leaves has a request id. The log has the operation, the path's bucket and the status; never a query, a
//! key or a signature.

use super::errors::Refusal;
use super::incoming::IncomingBody;
use super::query::Query;
use super::upload::{ContentSha256, Upload, UploadSlot};
use super::visitor::Visitor;
use super::{Door, attributes, checksums, cors, errors, expectations, post_form, precheck, xml_text};
use crate::serve::PeerAddress;
use bytes::Bytes;
use filemill_core::limits;
use futures::TryFutureExt as _;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use metrics::{counter, histogram};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config as ProtocolLimits, S3ConfigProvider, StaticConfigProvider};
use s3s::service::S3Service;
use s3s::{Body, S3Result, s3_error};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

pub struct Gate {
    pub door: Arc<Door>,
    s3: S3Service,
    requests: AtomicU64,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// The operation that `s3s` found, told back through the request's extensions.
#[derive(Clone, Default)]
struct OperationName(Arc<OnceLock<String>>);

/// What is needed of a request once its answer is there.
struct Visit {
    request_id: String,
    method: Method,
    has_origin: bool,
    awaits_continue: bool,
    operation: OperationName,
    started: Instant,
    bytes_in: Arc<AtomicU64>,
}

impl Gate {
    pub fn new(door: Arc<Door>, s3: S3Service) -> Self {
        Gate { door, s3, requests: AtomicU64::new(0) }
    }

    /// An error here breaks the connection.
    pub async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, s3s::HttpError> {
        let (head, body) = request.into_parts();
        let awaits_continue = head.headers.contains_key(header::EXPECT);
        let body = IncomingBody::new(body, self.door.patience, awaits_continue);
        let visit = self.visit(&head, &body);
        let response = match self.route(head, body, &visit).await {
            Ok(response) => response,
            Err(Failure::Refused(refusal)) => refuse(refusal, &visit.request_id),
            Err(Failure::Broken(e)) => return Err(e),
        };
        Ok(visit.complete(response))
    }

    fn visit(&self, head: &Parts, body: &IncomingBody) -> Visit {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(self.door.clock.now().as_millis()).unwrap_or(0);
        Visit {
            request_id: format!("{millis:012X}{number:08X}"),
            method: head.method.clone(),
            has_origin: head.headers.contains_key(header::ORIGIN),
            awaits_continue: head.headers.contains_key(header::EXPECT),
            operation: OperationName::default(),
            started: Instant::now(),
            bytes_in: body.counter(),
        }
    }

    async fn route(&self, mut head: Parts, body: IncomingBody, visit: &Visit) -> Result<Response<Body>, Failure> {
        if head.method == Method::OPTIONS {
            visit.operation.set("Preflight");
            return Ok(cors::preflight(&head.headers));
        }
        precheck::check_url(&head)?;
        let query = Query::parse(head.uri.query())?;
        if post_form::is_form(&head) {
            visit.operation.set("PostObject");
            return Ok(post_form::post_object(&self.door, &head, body).await?);
        }
        let claim = precheck::claim(&self.door, &head, &query)?;
        let visitor = self.door.recognise(&claim.credential.access_key_id, claim.link_key(&query)).await?;
        let visitor = visitor.at(head.extensions.get::<PeerAddress>());
        precheck::drop_odd_range(&mut head.headers, &claim);
        precheck::unfold_query_headers(&query, &mut head.headers)?;
        precheck::check_offered(&head, &query)?;
        head.extensions.insert(visit.operation.clone());
        head.extensions.insert(visitor.clone());
        let body = if precheck::is_upload(&head, &query) {
            let (framing, length, expectations) = precheck::describe_upload(&head, &claim, &visitor.secret_access_key)?;
            head.extensions.insert(UploadSlot::new(Upload { body, framing, length, expectations }));
            Body::empty()
        } else {
            Body::from(collect_document(&self.door, &head, &query, body).await?)
        };
        let response = self.s3.call(Request::from_parts(head, body)).await.map_err(Failure::Broken)?;
        Ok(finish_answer(response, visit.operation.get(), &visit.request_id))
    }
}

enum Failure {
    Refused(Refusal),
    Broken(s3s::HttpError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl From<s3s::S3Error> for Failure {
    fn from(error: s3s::S3Error) -> Self {
        Failure::Refused(error.into())
    }
}

/// A body that is a document (XML) or nothing: read whole, within its limits, and verified.
async fn collect_document(door: &Door, head: &Parts, query: &Query, body: IncomingBody) -> S3Result<Bytes> {
    let declared = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits::XML_BYTES_MAX) {
        return Err(s3_error!(
            MaxMessageLengthExceeded,
            "Your request was too big; at most {} bytes.",
            limits::XML_BYTES_MAX
        ));
    }
    let content = ContentSha256::of(&head.headers)?;
    if content.is_chunked() {
        return Err(s3_error!(NotImplemented, "This operation does not take an aws-chunked body."));
    }
    let expectations = if query.has("uploadId") {
        // the checksum in a completion's head is the object's
        expectations::Expectations::of_body(&head.headers, content)?
    } else {
        expectations::Expectations::of(&head.headers, content)?
    };
    let document = if body.is_end_stream() {
        Bytes::new()
    } else {
        let reading = body.collect(limits::XML_BYTES_MAX).map_err(|e| errors::of_body(&e));
        door.documents.enter()?.read(reading).await?
    };
    let mut hasher = checksums::Hasher::new(expectations, document.len() as u64);
    hasher.update(&document);
    hasher.finish(&[])?;
    Ok(document)
}

fn refuse(refusal: Refusal, request_id: &str) -> Response<Body> {
    let Refusal { error, details } = refusal;
    let response = error.to_http_response().unwrap_or_else(|_| Response::new(Body::empty()));
    complete_error(response, &details, request_id)
}

/// What `s3s` leaves undone in its answers.
fn finish_answer(mut response: Response<Body>, operation: &str, request_id: &str) -> Response<Body> {
    if response.status() == StatusCode::NOT_MODIFIED {
        let (mut head, _) = response.into_parts();
        head.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(head, Body::empty());
    }
    if response.status().is_client_error() || response.status().is_server_error() {
        return complete_error(response, &[], request_id);
    }
    if response.headers().contains_key(header::CONTENT_RANGE) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    match response.body().bytes() {
        // an object's own bytes are never touched
        Some(document) if operation != "GetObject" => {
            response.map(|_| Body::from(xml_text::reference_controls(document)))
        }
        _ => response,
    }
}

fn complete_error(response: Response<Body>, details: &[(&'static str, String)], request_id: &str) -> Response<Body> {
    let document = response.body().bytes().unwrap_or_default();
    let document = xml_text::complete_error(&String::from_utf8_lossy(&document), details, request_id);
    response.map(|_| Body::from(document))
}

impl Visit {
    fn complete(&self, mut response: Response<Body>) -> Response<Body> {
        let operation = self.operation.get();
        if operation == "GetObject" && response.status().is_success() {
            guard_browser(&mut response);
        }
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::try_from(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // a client that waited for `100 Continue` and got a final answer instead (also hyper's way with an empty body) may
        // take that answer for the next request's on this connection; botocore does
        if self.awaits_continue && self.bytes_in.load(Ordering::Relaxed) == 0 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.has_origin && self.method != Method::OPTIONS {
            cors::allow(headers);
        }
        self.record(operation, &response);
        response
    }

    fn record(&self, operation: &str, response: &Response<Body>) {
        let status = response.status().as_u16();
        let operation = operation.to_owned();
        let seconds = self.started.elapsed().as_secs_f64();
        tracing::debug!(request_id = %self.request_id, method = %self.method, operation, status, seconds, "s3 request");
        counter!("filemill_s3_requests_total", "operation" => operation.clone(), "status" => status.to_string())
            .increment(1);
        histogram!("filemill_s3_request_seconds", "operation" => operation).record(seconds);
        counter!("filemill_s3_bytes_in_total").increment(self.bytes_in.load(Ordering::Relaxed));
        if self.method != Method::HEAD {
            let bytes_out = response.body().size_hint().exact().unwrap_or(0);
            counter!("filemill_s3_bytes_out_total").increment(bytes_out);
        }
    }
}

/// A stored page must not run as a page of this host.
fn guard_browser(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if attributes::is_active_content(kind) && !headers.contains_key(header::CONTENT_DISPOSITION) {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
}

impl OperationName {
    fn set(&self, name: &str) {
        let _ = self.0.set(name.to_owned());
    }

    /// What was refused before its operation was known has a label of its own.
    fn get(&self) -> &str {
        self.0.get().map_or("Refused", String::as_str)
    }
}

/// Secrets by access key, for `s3s`.
pub struct KeyRing {
    door: Arc<Door>,
}

impl KeyRing {
    pub fn new(door: Arc<Door>) -> Self {
        KeyRing { door }
    }
}

#[async_trait::async_trait]
impl S3Auth for KeyRing {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // a link's own key was asked for already
        self.door.recognise(access_key, None).await.map(|visitor| SecretKey::from(visitor.secret_access_key))
    }
}

/// Nobody passes without a verified signature, nor to what they have no right to.
pub struct Turnstile {
    door: Arc<Door>,
}

impl Turnstile {
    pub fn new(door: Arc<Door>) -> Self {
        Turnstile { door }
    }
}

#[async_trait::async_trait]
impl S3Access for Turnstile {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let name = cx.s3_op().name().to_owned();
        if let Some(operation) = cx.extensions_mut().get::<OperationName>() {
            operation.set(&name);
        }
        let visitor = Visitor::of(cx.extensions_mut())?;
        self.door.admit(&visitor)?;
        visitor.check(&name, cx.s3_path())
    }
}

/// Limits of what `s3s` parses. It never sees a form or the body of an upload.
pub fn protocol_limits() -> Arc<dyn S3ConfigProvider> {
    let mut config = ProtocolLimits::default();
    config.xml_max_body_size = usize::try_from(limits::XML_BYTES_MAX).unwrap_or(usize::MAX);
    config.post_object_max_file_size = 0;
    config.form_max_parts = 0;
    config.presigned_url_max_skew_time_secs = u32::try_from(limits::CLOCK_SKEW_MAX.as_secs()).unwrap_or(0);
    Arc::new(StaticConfigProvider::new(Arc::new(config)))
}
