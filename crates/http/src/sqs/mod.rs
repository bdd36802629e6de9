//! The SQS door: message queues by SQS's JSON protocol (`X-Amz-Target: AmazonSQS.*`), on the S3 port.
//!
//! A request is read within limits, its signature verified over its body, and its input parsed into a typed wish; then the
//! `MessageQueues` port is asked. The door keeps nothing. Standard queues only.

mod actions;
mod attributes;
mod auth;
mod batch;
mod body;
mod errors;
mod input;
mod queues;
mod receipts;
mod receive;
mod send;
mod settings;
mod urls;

use crate::s3::KeyPair;
use crate::serve::{Patience, guard};
use bytes::Bytes;
use errors::Refusal;
use filemill_core::ports::{Clock, MessageQueues};
use filemill_core::time::Timestamp;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use metrics::{counter, histogram};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const TARGET: &str = "x-amz-target";
const TARGET_PREFIX: &str = "AmazonSQS.";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
/// There are no accounts; URLs and ARNs need one.
const ACCOUNT: &str = "000000000000";

pub struct SqsConfig {
    pub queues: Arc<dyn MessageQueues>,
    pub clock: Arc<dyn Clock>,
    pub credentials: Vec<KeyPair>,
    /// The door's own first.
    pub regions: [String; 2],
    pub public_url: Option<String>,
    pub patience: Patience,
}

pub struct SqsDoor {
    config: SqsConfig,
    bodies: body::Room,
    requests: AtomicU64,
}

/// What an action works with.
struct Call<'a> {
    queues: &'a dyn MessageQueues,
    region: &'a str,
    now: Timestamp,
    /// `http://127.0.0.1:9000`, as the client knows the door.
    base_url: String,
    /// Long waits end when the door closes.
    stop: &'a CancellationToken,
}

/// Does the request speak SQS's protocol? Everything else on the port is S3's.
pub fn is_for_queues(request: &Request<Incoming>) -> bool {
    let target = request.headers().get(TARGET);
    request.method() == Method::POST && target.is_some_and(|t| t.as_bytes().starts_with(TARGET_PREFIX.as_bytes()))
}

impl SqsDoor {
    pub fn new(config: SqsConfig) -> Self {
        SqsDoor { config, bodies: body::Room::new(), requests: AtomicU64::new(0) }
    }

    pub async fn answer(&self, request: Request<Incoming>, stop: &CancellationToken) -> Response<Bytes> {
        let started = Instant::now();
        let name = actions::label(request.headers());
        let outcome = self.act(request, stop).await;
        let response = match outcome {
            Ok(output) => respond(200, &output),
            Err(refusal) => refuse(&refusal),
        };
        self.complete(name, started, response)
    }

    async fn act(&self, request: Request<Incoming>, stop: &CancellationToken) -> Result<Value, Refusal> {
        let (head, body) = guard(request, self.config.patience).into_parts();
        let claim = auth::claim(&self.config, &head)?;
        let body = self.bodies.read(&head.headers, body).await?;
        claim.verify(&head, &body)?;
        let action = actions::find(&head.headers)?;
        let call = Call {
            queues: &*self.config.queues,
            region: &self.config.regions[0],
            now: self.config.clock.now(),
            base_url: urls::base(&self.config.public_url, &head.headers)?,
            stop,
        };
        action.run(call, &body).await
    }

    /// The log has the action and the status; never a message, a receipt or a signature.
    fn complete(&self, action: &'static str, started: Instant, mut response: Response<Bytes>) -> Response<Bytes> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(self.config.clock.now().as_millis()).unwrap_or(0);
        let request_id = format!("{millis:012x}-{number:08x}");
        let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
        tracing::debug!(%request_id, action, status, seconds, "sqs request");
        counter!("filemill_sqs_requests_total", "action" => action, "status" => status.to_string()).increment(1);
        histogram!("filemill_sqs_request_seconds", "action" => action).record(seconds);
        if let Ok(id) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

fn respond(status: u16, output: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(output.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The code twice: as JSON clients read it, and as clients know it from the older protocol.
fn refuse(refusal: &Refusal) -> Response<Bytes> {
    let kind = format!("com.amazonaws.sqs#{}", refusal.kind);
    let mut response = respond(refusal.status, &serde_json::json!({ "__type": kind, "message": refusal.message }));
    let side = if refusal.status < 500 { "Sender" } else { "Receiver" };
    if let Ok(code) = HeaderValue::try_from(format!("{};{side}", refusal.query_code)) {
        response.headers_mut().insert(QUERY_ERROR, code);
    }
    if refusal.status == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
