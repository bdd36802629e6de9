//! `http`: a service of the operator's turns what is posted to it into the answer.
//!
//! It is reached through the outbound guard. Only a whole answer is a result: one that was cut short, is too large or is
//! an error ends the attempt. Headers of the definition and the URL may hold secrets and are shown nowhere.

mod outcome;

use crate::definition::{Http, Payload};
use crate::named_options::NamedOptions;
use filemill_core::chunks::{ChunkPlan, Cut, Survey};
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::line_survey::survey_lines;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, Load, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use filemill_outbound::{Exchange, Guard, Outbound, OutboundLimits, Request};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// How often somebody is asked whether the work is still wanted, and told whether bytes moved.
const PAUSE: Duration = Duration::from_millis(20);
/// While none do.
const PAUSE_AT_REST: Duration = Duration::from_millis(200);
const TIMEOUT_MAX: Duration = Duration::from_secs(6 * 3600);
/// Headers that are ours or the protocol's.
const OWN_HEADERS: &[&str] = &[
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "expect",
    "te",
    "upgrade",
    "trailer",
    "idempotency-key",
];
/// A header holds visible ASCII; the rest, and the sign that stands for it, is percent-encoded.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b'%');

pub struct HttpProcessor {
    spec: ProcessorSpec,
    service: Arc<Service>,
    options: NamedOptions,
}

/// What all requests share.
struct Service {
    name: String,
    http: Http,
    outbound: Outbound,
}

impl HttpProcessor {
    pub fn of(name: &str, http: &Http) -> Result<Self, String> {
        check(http)?;
        let guard = Guard::allowing(http.allow.iter().map(String::as_str)).map_err(|e| format!("http.allow: {e}"))?;
        guard.check_url(&http.url).map_err(|refused| format!("http.url: {refused}"))?;
        let limits = OutboundLimits {
            first_byte: http.first_byte.min(http.timeout),
            ..OutboundLimits::of(http.timeout, http.output_max.0)
        };
        let options = NamedOptions::of(&http.options)?;
        let summary = http.summary.clone().unwrap_or_else(|| "Asks a service of this service's operator.".to_owned());
        let spec = ProcessorSpec { kind: name.to_owned().into(), summary: summary.into(), options: options.specs() };
        let outbound = Outbound::new(guard, limits);
        Ok(HttpProcessor {
            spec,
            service: Arc::new(Service { name: name.to_owned(), http: http.clone(), outbound }),
            options,
        })
    }
}

fn check(http: &Http) -> Result<(), String> {
    if http.send == Payload::Link && http.lines_independent {
        return Err("http.lines_independent: a link leads to the whole file; use send = \"body\"".into());
    }
    for (name, value) in &http.headers {
        let lower = name.to_ascii_lowercase();
        let is_token =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token || OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("x-filemill-") {
            return Err(format!("http.headers: {name:?} is no header that can be set here"));
        }
        // the value is not shown: it may be a secret
        if !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(format!("http.headers: the value of {name:?} has a character that is not allowed in headers"));
        }
    }
    let odd = |time: Duration| time.is_zero() || time > TIMEOUT_MAX;
    if odd(http.timeout) || odd(http.first_byte) {
        return Err("http: timeout and first_byte are from 1ms to 6h".into());
    }
    if http.output_max.0 == 0 {
        return Err("http.output_max: use at least 1".into());
    }
    Ok(())
}

impl Processor for HttpProcessor {
    fn spec(&self) -> &ProcessorSpec {
        &self.spec
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(HttpTransform { service: Arc::clone(&self.service), options: self.options.read(options)? }))
    }
}

struct HttpTransform {
    service: Arc<Service>,
    options: BTreeMap<String, String>,
}

impl Transform for HttpTransform {
    fn works_beyond_its_input(&self) -> bool {
        true
    }

    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        if self.service.http.lines_independent { Cut::Surveyed } else { Cut::Whole }
    }

    fn survey(&self, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
        Ok(survey_lines(plan, input)?)
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        match self.service.http.send {
            Payload::Body => self.send_bytes(chunk, work)?,
            Payload::Link => self.send_link(chunk, work)?,
        }
        Ok(ChunkReport::default())
    }

    fn content_type(&self, input: InputFacts<'_>) -> Option<String> {
        self.service.http.content_type.clone().or_else(|| input.content_type.map(str::to_owned))
    }
}

impl HttpTransform {
    fn send_bytes(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<(), ProcessError> {
        let first = first_block(work.input)?;
        let known = (chunk.range.end != u64::MAX).then(|| chunk.range.end - chunk.range.start);
        let content_type = chunk.input.content_type.unwrap_or("application/octet-stream");
        let mut headers = self.headers(chunk, content_type);
        headers.push(("idempotency-key".to_owned(), self.idempotency_key(chunk, &first)));
        let input: &mut dyn Read = work.input;
        let mut body = first.as_slice().chain(input);
        let mut sent = Work { input: &mut body, output: work.output, rejects: work.rejects, ..*work };
        self.exchange(&headers, known, &mut sent)
    }

    fn send_link(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<(), ProcessError> {
        let mut told = json!({ "url": work.sources.input_link()?, "key": chunk.input.key });
        if chunk.input.size != u64::MAX {
            told["size"] = chunk.input.size.into();
        }
        if let Some(etag) = chunk.input.etag {
            told["etag"] = etag.into();
        }
        let told = told.to_string();
        let mut body = told.as_bytes();
        let mut sent = Work { input: &mut body, output: work.output, rejects: work.rejects, ..*work };
        let mut headers = self.headers(chunk, "application/json");
        if chunk.input.etag.is_some() {
            headers.push(("idempotency-key".to_owned(), self.idempotency_key(chunk, &[])));
        }
        self.exchange(&headers, Some(told.len() as u64), &mut sent)
    }

    fn headers(&self, chunk: &Chunk<'_>, content_type: &str) -> Vec<(String, String)> {
        let encoded = |text: &str| utf8_percent_encode(text, NOT_IN_HEADERS).to_string();
        let http = &self.service.http;
        let mut headers: Vec<(String, String)> =
            http.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect();
        if !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), encoded(content_type)));
        }
        headers.push(("x-filemill-key".to_owned(), encoded(chunk.input.key)));
        headers.push(("x-filemill-chunk".to_owned(), chunk.index.to_string()));
        headers.push(("x-filemill-line".to_owned(), chunk.line.to_string()));
        for (name, value) in &self.options {
            headers.push((format!("x-filemill-option-{}", name.replace('_', "-")), encoded(value)));
        }
        headers
    }

    /// The same for each attempt at the same bytes of the same file. Its version is part of it; so is the first block, for
    /// inputs that have none.
    fn idempotency_key(&self, chunk: &Chunk<'_>, first: &[u8]) -> String {
        let numbers = [chunk.input.size, chunk.range.start, chunk.range.end];
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(self.service.name.as_bytes());
        part(chunk.input.key.as_bytes());
        part(chunk.input.etag.unwrap_or_default().as_bytes());
        numbers.iter().for_each(|number| part(&number.to_be_bytes()));
        self.options.iter().flat_map(|(n, v)| [n, v]).for_each(|text| part(text.as_bytes()));
        part(first);
        hex::encode(&hash.finalize()[..16])
    }

    /// Posts `work.input`, while another thread gives signs of life, says whether it rests, and cancels what is not wanted any
    /// more.
    fn exchange(
        &self,
        headers: &[(String, String)],
        body_bytes: Option<u64>,
        work: &mut Work<'_>,
    ) -> Result<(), ProcessError> {
        let exchange = self.service.outbound.exchange();
        let pulse = work.pulse;
        let moved = AtomicBool::new(true);
        pulse.takes(Load::Half);
        let outcome = thread::scope(|scope| {
            let (_done, over) = mpsc::channel::<()>();
            let (exchange, moved) = (&exchange, &moved);
            scope.spawn(move || {
                let mut pause = PAUSE;
                while over.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let (load, next) = match moved.swap(false, Ordering::Relaxed) {
                        true => (Load::Half, PAUSE),
                        false => (Load::Rest, PAUSE_AT_REST),
                    };
                    pulse.takes(load);
                    pause = next;
                    pulse.beat();
                    if pulse.is_stopped() {
                        exchange.cancel();
                    }
                }
            });
            self.converse(exchange, headers, body_bytes, work, moved)
        });
        match outcome {
            Err(_) if pulse.is_stopped() => Err(ProcessError::Io(io::Error::other("the work was stopped"))),
            other => other,
        }
    }

    fn converse(
        &self,
        exchange: &Exchange,
        headers: &[(String, String)],
        body_bytes: Option<u64>,
        work: &mut Work<'_>,
        moved: &AtomicBool,
    ) -> Result<(), ProcessError> {
        let name = &self.service.name;
        let mut body = Moving { inner: &mut *work.input, moved };
        let request = Request { url: &self.service.http.url, headers, body: &mut body, body_bytes };
        let mut response = exchange.post(request).map_err(|e| outcome::failed(name, e))?;
        outcome::check_status(name, &response)?;
        let mut block = vec![0; IO_BLOCK_BYTES];
        loop {
            match response.read_block(&mut block).map_err(|e| outcome::failed(name, e))? {
                0 => return Ok(()),
                read => {
                    moved.store(true, Ordering::Relaxed);
                    work.output.write_all(&block[..read])?;
                }
            }
        }
    }
}

/// What is read of it has moved.
struct Moving<'a> {
    inner: &'a mut dyn Read,
    moved: &'a AtomicBool,
}

impl Read for Moving<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.moved.store(true, Ordering::Relaxed);
        self.inner.read(buf)
    }
}

/// As much as one block holds; less only at the end of the input.
fn first_block(input: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    input.take(IO_BLOCK_BYTES as u64).read_to_end(&mut block)?;
    Ok(block)
}

#[cfg(test)]
mod tests;
