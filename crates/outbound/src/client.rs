//! One POST at a time, synchronous, with a streamed body and a streamed answer.
//!
//! Promises: only addresses that the guard let pass are connected to (the check and the connection use the same
//! resolution), waiting is bounded at every step, an answer that was cut short is never taken for a whole one. No error
//! text holds the URL, a header or the body.

use crate::guard::{Guard, Refused};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::{self, HeaderMap, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, BodyReader, SendBody, Timeout};
use url::Host;

/// Of an answer that is an error.
const ERROR_BYTES_MAX: u64 = 64 * 1024;

/// How long each step may take, and how much may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundLimits {
    /// Resolving the name, likewise connecting with TLS.
    pub connect: Duration,
    /// From the end of the request to the head of the answer.
    pub first_byte: Duration,
    /// Of any single read or write.
    pub idle: Duration,
    /// Of the whole exchange.
    pub total: Duration,
    /// Bytes of the answer.
    pub response_bytes_max: u64,
}

impl OutboundLimits {
    /// With the usual 5 s to connect, 30 s to the first byte, 30 s of silence.
    pub fn of(total: Duration, response_bytes_max: u64) -> Self {
        let steps = Duration::from_secs(30);
        OutboundLimits { connect: Duration::from_secs(5), first_byte: steps, idle: steps, total, response_bytes_max }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The guard said no. Trying again does not help.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No connection, no answer in time, or none that is HTTP. Another time it may work.
    #[error("{0}")]
    Unavailable(String),
    /// The answer ended before it was whole, or does not say how long it is.
    #[error("{0}")]
    Incomplete(String),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// The body to send could not be read.
    #[error("reading what was to be sent: {0}")]
    Body(#[source] io::Error),
}

/// What is sent.
pub struct Request<'a> {
    pub url: &'a str,
    /// Names and values. The length is set by `body_bytes`.
    pub headers: &'a [(String, String)],
    pub body: &'a mut dyn Read,
    /// Sent as `content-length`; without it the body is sent in chunks.
    pub body_bytes: Option<u64>,
}

/// A guarded client; cheap to keep, holds no connection.
#[derive(Clone, Debug)]
pub struct Outbound {
    guard: Arc<Guard>,
    limits: OutboundLimits,
}

impl Outbound {
    pub fn new(guard: Guard, limits: OutboundLimits) -> Self {
        Outbound { guard: Arc::new(guard), limits }
    }

    pub fn post(&self, request: Request<'_>) -> Result<Response, OutboundError> {
        self.exchange().post(request)
    }

    /// For whoever wants to know only whether it was taken.
    pub fn tell(&self, request: Request<'_>) -> Result<Verdict, OutboundError> {
        self.exchange().tell(request)
    }

    /// A request that another thread can cancel.
    pub fn exchange(&self) -> Exchange {
        let resolver = CheckedResolver { guard: Arc::clone(&self.guard), inner: DefaultResolver::default() };
        let agent = Agent::with_parts(config(&self.limits), DefaultConnector::default(), resolver);
        Exchange { agent, guard: Arc::clone(&self.guard), limits: self.limits }
    }
}

fn config(limits: &OutboundLimits) -> Config {
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent("filemill")
        .max_idle_connections(0)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.first_byte))
        .timeout_per_read(Some(limits.idle.max(limits.first_byte)))
        .timeout_per_write(Some(limits.idle))
        .timeout_global(Some(limits.total))
        .build()
}

/// One request and its answer.
pub struct Exchange {
    agent: Agent,
    guard: Arc<Guard>,
    limits: OutboundLimits,
}

impl Exchange {
    pub fn post(&self, request: Request<'_>) -> Result<Response, OutboundError> {
        Response::of(self.send(request)?, self.limits.response_bytes_max)
    }

    fn tell(&self, request: Request<'_>) -> Result<Verdict, OutboundError> {
        let (head, body) = self.send(request)?.into_parts();
        let mut rest = body.into_reader().take(self.limits.response_bytes_max);
        // read so that the other side can end in order; whether it is whole says nothing
        let _read = io::copy(&mut rest, &mut io::sink());
        Ok(Verdict { status: head.status.as_u16(), retry_after: text(&head.headers, header::RETRY_AFTER) })
    }

    fn send(&self, request: Request<'_>) -> Result<http::Response<Body>, OutboundError> {
        let url = self.guard.check_url(request.url)?;
        let mut builder = http::Request::post(url.as_str());
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(bytes) = request.body_bytes {
            builder = builder.header(header::CONTENT_LENGTH, bytes);
        }
        let mut body = Remembering { inner: request.body, failure: None };
        let built = builder.body(SendBody::from_reader(&mut body));
        // a header that cannot be sent; its value is not shown
        let built = built.map_err(|_| Refused("a header has a character that HTTP does not allow".into()))?;
        let outcome = self.agent.run(built);
        if let Some(failure) = body.failure {
            return Err(OutboundError::Body(failure));
        }
        outcome.map_err(explained)
    }

    /// Ends the request at once, from another thread; it fails as unavailable.
    pub fn cancel(&self) {
        self.agent.clone().shutdown();
    }
}

/// Keeps the failure of a body apart from failures of the connection.
struct Remembering<'a> {
    inner: &'a mut dyn Read,
    failure: Option<io::Error>,
}

impl Read for Remembering<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                self.failure = Some(e);
                Err(io::ErrorKind::Other.into())
            }
            other => other,
        }
    }
}

/// Resolves, and refuses unless every address may be reached: a name that leads to both kinds is up to something.
#[derive(Debug)]
struct CheckedResolver {
    guard: Arc<Guard>,
    inner: DefaultResolver,
}

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.host().unwrap_or_default();
        let host = Host::parse(name).map_err(|_| ureq::Error::HostNotFound)?;
        let addresses = self.inner.resolve(uri, config, timeout)?;
        for address in addresses.iter() {
            self.guard.check_address(&host, *address).map_err(|refused| ureq::Error::Other(Box::new(refused)))?;
        }
        Ok(addresses)
    }
}

/// What was answered, without its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub status: u16,
    /// As the service wrote it: seconds or a date.
    pub retry_after: Option<String>,
}

/// An answer. Its body is read block by block.
pub struct Response {
    pub status: u16,
    pub content_type: Option<String>,
    /// As the service wrote it: seconds or a date.
    pub retry_after: Option<String>,
    body: BodyReader<'static>,
    bytes_max: u64,
    bytes_read: u64,
}

impl Response {
    fn of(response: http::Response<Body>, bytes_max: u64) -> Result<Self, OutboundError> {
        let (head, body) = response.into_parts();
        let says = |name: header::HeaderName| text(&head.headers, name);
        let declared: Option<u64> = says(header::CONTENT_LENGTH).and_then(|n| n.parse().ok());
        let chunked = head.version == http::Version::HTTP_11 && is_chunked(&head.headers);
        let success = head.status.is_success();
        if success && head.status != http::StatusCode::NO_CONTENT && declared.is_none() && !chunked {
            let why = "the answer does not say how long it is, so nobody can tell whether it is whole";
            return Err(OutboundError::Incomplete(why.into()));
        }
        if success && declared.is_some_and(|bytes| bytes > bytes_max) {
            return Err(OutboundError::TooLarge(bytes_max));
        }
        Ok(Response {
            status: head.status.as_u16(),
            content_type: says(header::CONTENT_TYPE),
            retry_after: says(header::RETRY_AFTER),
            body: body.into_reader(),
            bytes_max: if success { bytes_max } else { ERROR_BYTES_MAX },
            bytes_read: 0,
        })
    }

    /// The next bytes of the body; 0 at its end. An end too early is [`OutboundError::Incomplete`].
    pub fn read_block(&mut self, block: &mut [u8]) -> Result<usize, OutboundError> {
        let read = loop {
            match self.body.read(block) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(while_reading(e)),
                Ok(read) => break read,
            }
        };
        self.bytes_read += read as u64;
        if self.bytes_read > self.bytes_max {
            return Err(OutboundError::TooLarge(self.bytes_max));
        }
        Ok(read)
    }
}

/// In chunks and nothing else: no other coding was asked for, and only the end of the last chunk tells a whole answer.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    codings.next().is_some_and(chunked) && codings.next().is_none()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn while_reading(e: io::Error) -> OutboundError {
    let timed_out = e.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match timed_out {
        Some(ureq::Error::Timeout(which)) => OutboundError::Unavailable(timeout(*which)),
        _ if e.kind() == io::ErrorKind::TimedOut => OutboundError::Unavailable("the answer stopped coming".into()),
        _ => OutboundError::Incomplete("the connection ended before the answer was whole".into()),
    }
}

/// In words of our own: the client's might show the URL.
fn explained(e: ureq::Error) -> OutboundError {
    let words = match e {
        ureq::Error::Other(inner) => match inner.downcast::<Refused>() {
            Ok(refused) => return OutboundError::Refused(*refused),
            Err(_) => "the request failed".to_owned(),
        },
        ureq::Error::Timeout(which) => timeout(which),
        ureq::Error::HostNotFound => "the host's name was not found".to_owned(),
        ureq::Error::Io(e) => format!("the connection failed: {}", e.kind()),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::TlsRequired => {
            "no secure connection: the service's certificate or its TLS was not accepted".to_owned()
        }
        ureq::Error::LargeResponseHeader(..) => "the head of the answer is too large".to_owned(),
        ureq::Error::Protocol(_) => "the answer is no HTTP/1.1".to_owned(),
        _ => "the request failed".to_owned(),
    };
    OutboundError::Unavailable(words)
}

fn timeout(which: Timeout) -> String {
    match which {
        Timeout::Resolve => "the host's name was not resolved in time",
        Timeout::Connect => "no connection in time",
        Timeout::RecvResponse => "no answer in time",
        Timeout::PerRead | Timeout::PerWrite => "the connection was silent for too long",
        _ => "the exchange was not over in time",
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
