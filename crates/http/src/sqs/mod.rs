//! The SQS door: message queues by SQS's JSON protocol and by the query protocol before it, on the S3 port.
//!
//! A request is read within limits, its signature verified over its body, and its input parsed into a typed wish; then the
//! `MessageQueues` port is asked. The door keeps nothing. Standard queues only.

mod actions;
mod attributes;
mod auth;
mod batch;
mod body;
mod errors;
mod granted;
mod input;
pub mod protocol;
mod query;
mod queues;
mod receipts;
mod receive;
mod send;
mod settings;
mod urls;

use crate::lock::Lock;
use crate::pace::Pace;
use crate::s3::KeyPair;
use crate::serve::incoming::IncomingBody;
use crate::serve::{Patience, PeerAddress, guard};
use actions::{Action, Order};
use bytes::Bytes;
use errors::Refusal;
use filemill_core::access::{Principal, QueueReach};
use filemill_core::message::MessageQueueName;
use filemill_core::ports::{Clock, MessageError, MessageQueues};
use filemill_core::time::Timestamp;
use filemill_engine::Engine;
use granted::Granted;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use metrics::{counter, histogram};
use protocol::Protocol;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
/// There are no accounts; URLs and ARNs need one.
const ACCOUNT: &str = "000000000000";

pub struct SqsConfig {
    pub queues: Arc<dyn MessageQueues>,
    pub clock: Arc<dyn Clock>,
    /// The service's own: they alone open the queues.
    pub credentials: Vec<KeyPair>,
    /// Keeps the audit log, and tells other keys from strangers.
    pub engine: Option<Engine>,
    /// The door's own first.
    pub regions: [String; 2],
    pub public_url: Option<String>,
    pub patience: Patience,
    pub pace: Arc<Pace>,
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
    engine: Option<&'a Engine>,
    /// Who orders.
    who: &'a Principal,
    /// Long waits end when the door closes.
    stop: &'a CancellationToken,
}

impl Call<'_> {
    /// Does something to a queue and writes it into the audit log. No commit holds both, so the entry goes before.
    async fn noted<T>(
        &self,
        action: &str,
        queue: &MessageQueueName,
        detail: Value,
        act: impl Future<Output = Result<T, MessageError>>,
    ) -> Result<Result<T, MessageError>, Refusal> {
        let Some(engine) = self.engine else { return Ok(act.await) };
        Ok(engine.noted(self.who, None, action, queue.as_str(), detail, act).await?)
    }
}

impl SqsDoor {
    pub fn new(config: SqsConfig) -> Self {
        SqsDoor { config, bodies: body::Room::new(), requests: AtomicU64::new(0) }
    }

    pub async fn answer(
        &self,
        request: Request<Incoming>,
        protocol: Protocol,
        stop: &CancellationToken,
    ) -> Response<Bytes> {
        let (started, request_id) = (Instant::now(), self.request_id());
        let (head, body) = guard(request, self.config.patience).into_parts();
        let order = self.order(protocol, &head, body).await;
        let name = order.as_ref().map_or_else(|_| actions::label(&head.headers), |(_, order)| order.action.name());
        let outcome = match order {
            Ok((who, order)) => self.act(&head, &who, order, stop).await,
            Err(refusal) => Err(refusal),
        };
        let response = match &outcome {
            Ok((action, output)) => respond(protocol, *action, output, &request_id),
            Err(refusal) => refuse(protocol, refusal, &request_id),
        };
        self.complete(name, started, request_id, response)
    }

    /// What is asked for and by whom, by a signature that was verified.
    async fn order(&self, protocol: Protocol, head: &Parts, body: IncomingBody) -> Result<(Principal, Order), Refusal> {
        let claim = auth::claim(&self.config, protocol, head).await?;
        let body = match head.method {
            // all of it is in the URL
            Method::GET => Bytes::new(),
            _ => self.bodies.read(&head.headers, body).await?,
        };
        let mut who = claim.verify(head, &body)?;
        who.actor.address = head.extensions.get::<PeerAddress>().map(|peer| peer.0);
        self.config.pace.admit_pair(&who).map_err(|over| Refusal::too_often(&over))?;
        if matches!(&who.queues, QueueReach::Only(queues) if queues.is_empty()) {
            return Err(Refusal::no_queues());
        }
        let order = match protocol {
            Protocol::Json => Order { action: actions::find(actions::named(&head.headers))?, input: body },
            Protocol::Query => query::order(&head.uri, &body)?,
        };
        Ok((who, order))
    }

    async fn act(
        &self,
        head: &Parts,
        who: &Principal,
        order: Order,
        stop: &CancellationToken,
    ) -> Result<(Action, Value), Refusal> {
        let action = order.action;
        if !who.may(action.scope()) {
            return Err(Refusal::denied(who.role, action.name(), action.scope()));
        }
        let call = Call {
            queues: &Granted { all: &*self.config.queues, reach: &who.queues },
            region: &self.config.regions[0],
            now: self.config.clock.now(),
            base_url: urls::base(&self.config.public_url, &head.headers)?,
            engine: self.config.engine.as_ref(),
            who,
            stop,
        };
        let run = action.run(call, &order.input);
        let output = match &self.config.engine {
            // it may wait for long
            Some(engine) if action == Action::ReceiveMessage => {
                let mut lock = Lock::new(engine.clone(), who.key.clone());
                tokio::select! {
                    biased;
                    () = lock.closed() => Err(Refusal::revoked()),
                    output = run => output,
                }
            }
            _ => run.await,
        };
        Ok((action, output?))
    }

    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(self.config.clock.now().as_millis()).unwrap_or(0);
        format!("{millis:012x}-{number:08x}")
    }

    /// The log has the action and the status; never a message, a receipt or a signature.
    fn complete(
        &self,
        action: &'static str,
        started: Instant,
        request_id: String,
        mut response: Response<Bytes>,
    ) -> Response<Bytes> {
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

fn respond(protocol: Protocol, action: Action, output: &Value, request_id: &str) -> Response<Bytes> {
    match protocol {
        Protocol::Json => response(200, JSON, output.to_string().into()),
        Protocol::Query => response(200, XML, query::answer(action, output, request_id)),
    }
}

/// The code of a JSON refusal stands there twice: as JSON clients read it, and as clients know it from the older protocol.
fn refuse(protocol: Protocol, refusal: &Refusal, request_id: &str) -> Response<Bytes> {
    let kind = || format!("com.amazonaws.sqs#{}", refusal.kind);
    let (content_type, body) = match protocol {
        Protocol::Json => (JSON, json!({ "__type": kind(), "message": refusal.message }).to_string().into()),
        Protocol::Query => (XML, query::refusal(refusal, request_id)),
    };
    let mut response = response(refusal.status, content_type, body);
    if let Ok(code) = HeaderValue::try_from(format!("{};{}", refusal.query_code, refusal.side())) {
        response.headers_mut().insert(QUERY_ERROR, code);
    }
    if refusal.status == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn response(status: u16, content_type: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
