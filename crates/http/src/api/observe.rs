//! Around every request: its id, its log line, its metrics, its time limit and the headers that every answer carries.
//!
//! Logs name the route, never the query string or a header: those hold tokens and tickets.

use super::problem::Problem;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filemill_core::limits;
use metrics::{counter, histogram};
use std::any::Any;
use std::time::Instant;
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On answers that do not say otherwise: nothing is cached, sniffed, framed or told to other sites.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ),
];

pub async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched".to_owned(), |p| p.as_str().to_owned());
    let span = tracing::debug_span!("request", method, route, request_id = ?id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let seconds = started.elapsed().as_secs_f64();
    span.in_scope(|| log(status, seconds));
    let labels = [("route", route), ("method", method.to_owned()), ("status", status.as_str().to_owned())];
    counter!("filemill_http_requests_total", &labels).increment(1);
    histogram!("filemill_http_request_seconds", &labels[..2]).record(seconds);
    for (name, value) in ALWAYS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn log(status: StatusCode, seconds: f64) {
    let status = status.as_u16();
    if status >= 500 {
        tracing::warn!(status, seconds, "request failed");
    } else {
        tracing::debug!(status, seconds, "request answered");
    }
}

/// The client's id if it is a plain one, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let given =
        headers.get(REQUEST_ID).filter(|v| (1..=64).contains(&v.len()) && v.as_bytes().iter().copied().all(plain));
    given.cloned().unwrap_or_else(|| {
        let chance = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>());
        HeaderValue::try_from(chance).expect("base64url is a header value")
    })
}

/// Clients can make up methods; a metric must not grow with them.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

/// Answers 503 to what takes too long. Not for feeds.
pub async fn limit_time(request: Request, next: Next) -> Result<Response, Problem> {
    let answer = tokio::time::timeout(limits::REQUEST_TIMEOUT, next.run(request)).await;
    answer.map_err(|_| {
        let detail = "the request took too long and may or may not have been carried out; look before you repeat it";
        Problem::unavailable("timeout", detail)
    })
}

/// A bug of ours ends one request, not the service.
pub fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(cause = message.unwrap_or("no message"), "a request panicked");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    async fn status_and_type(router: Router) -> (u16, HeaderMap) {
        let request = Request::builder().uri("/").body(Body::empty()).expect("a request");
        let answer = router.oneshot(request).await.expect("a router never fails");
        (answer.status().as_u16(), answer.headers().clone())
    }

    #[tokio::test]
    async fn a_panic_is_500_for_its_request_alone() {
        let panics = get(|| async {
            if std::hint::black_box(true) {
                panic!("a bug");
            }
        });
        let router =
            Router::new().route("/", panics).layer(CatchPanicLayer::custom(after_panic)).layer(from_fn(observe));
        for _ in 0..2 {
            let (status, headers) = status_and_type(router.clone()).await;
            assert_eq!(
                (status, &headers["content-type"]),
                (500, &HeaderValue::from_static("application/problem+json"))
            );
            assert!(headers.contains_key(REQUEST_ID));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_is_503() {
        let router = Router::new().route("/", get(std::future::pending::<()>)).layer(from_fn(limit_time));
        let (status, headers) = status_and_type(router).await;
        assert_eq!(status, 503);
        assert!(headers.contains_key(header::RETRY_AFTER));
    }
}
