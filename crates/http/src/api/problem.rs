//! Errors as problem documents (RFC 9457), and the one place where an engine's error becomes an HTTP status.
//!
//! `code` is stable and meant for programs; `detail` is meant for people. Causes inside the service go to the log, never
//! to the client.

use super::views::{FieldError, ProblemView};
use crate::pace::TooOften;
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use filemill_core::ports::StateError;
use filemill_engine::CommandError;
use std::error::Error;

pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// What a client that met an outage should wait, in seconds.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("2");

/// Room is made by people, or by jobs that end.
const FULL_RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("30");

#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Problem { status, code: code.into(), detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// For people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The request is well formed; one of its fields is wrong.
    pub fn invalid_field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Problem::field(StatusCode::UNPROCESSABLE_ENTITY, "invalid", field.into(), message.into())
    }

    /// A query parameter is unknown or cannot be read.
    pub fn invalid_parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        Problem::field(StatusCode::BAD_REQUEST, "invalid_parameter", name.into(), message.into())
    }

    fn field(status: StatusCode, code: &str, field: String, message: String) -> Self {
        let detail = if field.is_empty() { message.clone() } else { format!("{field}: {message}") };
        let mut problem = Problem::new(status, code, detail);
        problem.errors.push(FieldError { field, message });
        problem
    }

    pub fn not_found(what: &str, id: &str) -> Self {
        let detail = format!("there is no {what} {id:?}");
        Problem::new(StatusCode::NOT_FOUND, format!("{}_not_found", what.replace(' ', "_")), detail)
    }

    pub fn unauthorized(detail: &str) -> Self {
        let scheme = HeaderValue::from_static("Bearer realm=\"filemill\"");
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).with_header(header::WWW_AUTHENTICATE, scheme)
    }

    pub fn unavailable(code: &str, detail: &str) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with_header(header::RETRY_AFTER, RETRY_AFTER_SECS)
    }

    pub fn too_many(code: &str, detail: &str) -> Self {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail).with_header(header::RETRY_AFTER, RETRY_AFTER_SECS)
    }

    pub fn internal() -> Self {
        let detail = "the service met an error of its own; its log has the cause under this answer's x-request-id";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub fn storage_full() -> Self {
        let detail = "the storage is full: reading and deleting work; try again when there is room";
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail)
            .with_header(header::RETRY_AFTER, FULL_RETRY_AFTER_SECS)
    }

    /// For a request whose body, not whose address, names something that is not there.
    pub fn in_body(e: CommandError) -> Self {
        match e {
            CommandError::NotFound { what: what @ ("bucket" | "rule"), id } => {
                Problem::invalid_field(what, format!("there is no {what} {id:?}"))
            }
            e => e.into(),
        }
    }
}

impl From<TooOften> for Problem {
    fn from(over: TooOften) -> Self {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", over.who);
        problem.with_header(header::RETRY_AFTER, HeaderValue::from(over.retry_after_secs))
    }
}

impl From<CommandError> for Problem {
    fn from(e: CommandError) -> Self {
        match e {
            CommandError::NotFound { what, id } => Problem::not_found(what, &id),
            CommandError::Invalid { field, message } => Problem::invalid_field(field, message),
            CommandError::Conflict { code, message } => Problem::new(StatusCode::CONFLICT, code, message),
            CommandError::Unavailable(source) => {
                tracing::warn!(cause = chain(&*source), "a store is unavailable");
                Problem::unavailable("unavailable", "a store of this service does not answer; try again")
            }
            CommandError::Full(source) => {
                tracing::warn!(cause = chain(&*source), "refused for want of room");
                Problem::storage_full()
            }
            CommandError::Internal(source) => {
                tracing::error!(cause = chain(&*source), "internal error");
                Problem::internal()
            }
        }
    }
}

impl From<StateError> for Problem {
    fn from(e: StateError) -> Self {
        CommandError::from(e).into()
    }
}

/// An error and its causes on one line.
fn chain(e: &dyn Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text = format!("{text}: {e}");
        cause = e.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let view = ProblemView {
            kind: format!("urn:filemill:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            errors: self.errors,
        };
        let mut response = (self.status, Json(view)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
