//! Traces to an OpenTelemetry collector, by OTLP over HTTP. Settings are the usual `OTEL_*` variables.
//!
//! A job is a trace: its id makes the trace's, so spans of several processes, and of days, come together without anything
//! stored. Spans carry ids and counts as the rooms below give them; log lines, which may be long, stay in the log.

use crate::exit::Ending;
use anyhow::Result;
use opentelemetry::trace::{SpanBuilder, SpanId, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider, Span};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
/// As OpenTelemetry has it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of a collector's answer, which says what it did not take.
const REPLY_BYTES_MAX: u64 = 1 << 20;

/// Dropped, it sends what is still here.
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(e) = self.0.shutdown() {
            tracing::warn!(error = %e, "the last traces were not sent");
        }
    }
}

type Spans = Box<dyn Layer<Registry> + Send + Sync>;

/// `None` where no variable names a collector.
pub fn start() -> Result<Option<(Spans, Traces)>> {
    let is_off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|v| v.eq_ignore_ascii_case("true"))
        || std::env::var("OTEL_TRACES_EXPORTER").is_ok_and(|v| v == "none");
    if is_off || first_of(ENDPOINTS).is_none() {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().with_http_client(Client::new()).build();
    let exporter = exporter.map_err(|e| Ending::usage(format!("the OTEL_* variables are wrong: {e}")))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_id_generator(Ids::default())
        .with_resource(resource())
        .build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(ByJob(provider.tracer("filemill")))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_ours).with_max_level_hint(Level::DEBUG));
    Ok(Some((spans.boxed(), Traces(provider))))
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::DEBUG && metadata.target().starts_with("filemill")
}

fn first_of(names: [&str; 2]) -> Option<String> {
    names.into_iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty())
}

/// The variables' attributes, and our name unless they give another.
fn resource() -> Resource {
    let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    if named { resource.build() } else { resource.with_service_name("filemill").build() }
}

/// Begins spans that are of a job, and within no other, in the job's trace. A sampler thus takes all of a job or nothing.
struct ByJob(SdkTracer);

impl Tracer for ByJob {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        let is_within = parent.span().span_context().is_valid();
        let job = builder.attributes.iter().flatten().find(|attribute| attribute.key.as_str() == "job");
        let trace = job.filter(|_| !is_within).map(|job| trace_of(&job.value.as_str()));
        NEXT_TRACE.set(trace);
        let span = self.0.build_with_context(builder, parent);
        NEXT_TRACE.set(None);
        span
    }
}

fn trace_of(job: &str) -> TraceId {
    let digest: [u8; 32] = Sha256::digest(job.as_bytes()).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    TraceId::from_bytes(id)
}

thread_local! {
    /// Of the span that this thread begins: the library asks for ids without saying for what.
    static NEXT_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE.get().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Called on the exporter's own thread, which may wait.
#[derive(Debug)]
struct Client(ureq::Agent);

impl Client {
    fn new() -> Self {
        let timeout = first_of(TIMEOUTS).and_then(|millis| millis.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
        let config = ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false);
        Client(config.max_redirects(0).proxy(None).build().into())
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let (head, mut body) = self.0.run(Request::from_parts(head, body.to_vec()))?.into_parts();
        let body = body.with_config().limit(REPLY_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }
}
