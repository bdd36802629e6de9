//! A client of the service's REST door: what every client command and the demo speak through.
//!
//! Knows only the public contract (JSON over HTTP, presigned links). Errors carry the problem document's words, what to
//! do about it, and the exit code.

pub mod access;
pub mod download;
pub mod events;
pub mod source;
pub mod upload;
pub mod views;
pub mod wait;

use crate::exit::Ending;
use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use ureq::http::{self, StatusCode};
use ureq::{Agent, Body};
use views::{Listed, Page};

/// Ten thousand part links fit several times.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The server answers a REST request within 30 s or says that it cannot.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);
/// Moving bytes: each read and write by itself must go on.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A check-up of a large store, and the copy of its state with which a backup begins, answer late.
const UNHURRIED_TIMEOUT: Duration = Duration::from_secs(3600);
/// The server's largest page.
const PAGE: u64 = 1000;

pub struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// The service did what was asked, or why not.
pub enum Answer {
    Ok(http::Response<Body>),
    Refused { status: StatusCode, detail: String },
}

impl Client {
    pub fn new(base: &str, token: Option<String>) -> Client {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("filemill/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .timeout_per_write(Some(STALL_TIMEOUT));
        if url::Url::parse(base).is_ok_and(|url| access::is_loopback(&url)) {
            // a proxy of the environment has its own loopback
            config = config.proxy(None);
        }
        Client { agent: config.build().new_agent(), base: base.trim_end_matches('/').to_owned(), token }
    }

    /// For presigned links: no token goes along.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut request = self.agent.get(format!("{}{path}", self.base)).query_pairs(query.iter().copied());
        request = request.config().timeout_global(Some(ANSWER_TIMEOUT)).build();
        self.json(self.authorised(request).call())
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.config().timeout_global(Some(ANSWER_TIMEOUT)).build();
        self.json(self.authorised(request).send_json(body))
    }

    /// For what takes as long as the store is large.
    pub fn get_unhurried(&self, path: &str) -> Result<Value> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = request.config().timeout_per_read(Some(UNHURRIED_TIMEOUT)).build();
        self.json(self.authorised(request).call())
    }

    /// The answer's bytes as they come.
    pub fn post_for_stream(&self, path: &str) -> Result<ureq::BodyReader<'static>> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.config().timeout_per_read(Some(UNHURRIED_TIMEOUT)).build();
        Ok(self
            .accepted(self.authorised(request).send_empty())?
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader())
    }

    pub fn delete(&self, path: &str) -> Result<()> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        let request = request.config().timeout_global(Some(ANSWER_TIMEOUT)).build();
        self.accepted(self.authorised(request).call()).map(drop)
    }

    /// An open stream, for the live feed.
    fn stream(&self, path: &str, query: &[(&str, &str)], last_id: Option<&str>) -> Result<http::Response<Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.base)).query_pairs(query.iter().copied());
        request = request.header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        self.accepted(self.authorised(request).call())
    }

    /// All pages up to `limit` items, as one page.
    pub fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)], limit: u64) -> Result<Listed<T>> {
        let mut listed = Listed::default();
        loop {
            let wanted = (limit - listed.items.len() as u64).min(PAGE).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &wanted));
            if let Some(cursor) = &listed.next_cursor {
                query.push(("cursor", cursor));
            }
            let page: Page = decoded(self.get(path, &query)?)?;
            listed.next_cursor = page.next_cursor;
            listed.items.extend(page.items);
            if listed.next_cursor.is_none() || listed.items.len() as u64 >= limit {
                return listed.decoded();
            }
        }
    }

    pub fn job(&self, id: &str) -> Result<views::Job> {
        decoded(self.get(&format!("/v1/jobs/{}", segment(id)), &[])?)
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn json(&self, outcome: Result<http::Response<Body>, ureq::Error>) -> Result<Value> {
        let mut response = self.accepted(outcome)?;
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|e| self.unreachable(&e))?;
        serde_json::from_str(&text)
            .map_err(|e| Ending::failed(format!("{} answered something that is no JSON: {e}", self.base)))
    }

    fn accepted(&self, outcome: Result<http::Response<Body>, ureq::Error>) -> Result<http::Response<Body>> {
        match answer(outcome).map_err(|e| self.unreachable(&e))? {
            Answer::Ok(response) => Ok(response),
            Answer::Refused { status, detail } => Err(self.refused(status, &detail)),
        }
    }

    fn unreachable(&self, e: &ureq::Error) -> anyhow::Error {
        let base = &self.base;
        Ending::unreachable(format!(
            "cannot reach the service at {base}: {e}\nIs it running (filemill serve)? --url or FILEMILL_URL say where."
        ))
    }

    fn refused(&self, status: StatusCode, detail: &str) -> anyhow::Error {
        match status {
            StatusCode::NOT_FOUND => Ending::not_found(detail),
            StatusCode::UNAUTHORIZED if self.token.is_none() => Ending::failed(format!(
                "{detail}\nNo token was found: give --token, FILEMILL_TOKEN, or --data with the service's folder."
            )),
            StatusCode::UNAUTHORIZED => Ending::failed(format!(
                "{detail}\nThe token is not this service's: check --token, FILEMILL_TOKEN or --data."
            )),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Ending::usage(detail),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Ending::failed(format!("{detail}\nTry again in a moment."))
            }
            _ => Ending::failed(detail),
        }
    }
}

/// Reads a refusal's words out of it: a problem document's or an S3 error's.
pub fn answer(outcome: Result<http::Response<Body>, ureq::Error>) -> Result<Answer, ureq::Error> {
    let mut response = outcome?;
    let status = response.status();
    if status.is_success() {
        return Ok(Answer::Ok(response));
    }
    let text = response.body_mut().with_config().limit(64 * 1024).read_to_string().unwrap_or_default();
    Ok(Answer::Refused { status, detail: words_of(status, &text) })
}

fn words_of(status: StatusCode, text: &str) -> String {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(detail) = problem["detail"].as_str() {
        return detail.to_owned();
    }
    let (code, message) = (xml_field(text, "Code"), xml_field(text, "Message"));
    match (code, message) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(code), None) => format!("the object store answered {code}"),
        _ => format!("the service answered {status}"),
    }
}

/// The text of the first element of this name; enough for S3's flat error documents.
fn xml_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.split_once(&format!("<{name}>"))?.1;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// An answer in the shape that the contract promises.
pub fn decoded<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|e| {
        Ending::failed(format!(
            "the service answered in an unknown shape ({e}); are client and service the same version?"
        ))
    })
}

/// One segment of a path, percent-encoded.
pub fn segment(text: &str) -> String {
    let mut url = url::Url::parse("http://x/").expect("a constant");
    url.path_segments_mut().expect("http has a path").push(text);
    url.path()[1..].to_owned()
}

impl Client {
    /// The presigned link behind `path`.
    pub fn link(&self, path: &str) -> Result<String> {
        let answer = self.get(path, &[("redirect", "false")])?;
        let url = answer["url"].as_str().map(str::to_owned);
        url.ok_or_else(|| Ending::failed("the service answered without a link"))
    }

    pub fn create_upload(&self, wish: &Value) -> Result<views::UploadLinks> {
        decoded(self.post("/v1/uploads", wish)?)
    }

    pub fn order(&self, job: &str, verb: &str) -> Result<Value> {
        self.post(&format!("/v1/jobs/{}/{verb}", segment(job)), &json!({}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_from_problems_and_from_s3_errors() {
        let bad = StatusCode::BAD_REQUEST;
        assert_eq!(words_of(bad, r#"{"detail":"size: too large","status":422}"#), "size: too large");
        let xml =
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
        assert_eq!(words_of(bad, xml), "Request has expired (AccessDenied)");
        assert_eq!(words_of(bad, "<html>"), "the service answered 400 Bad Request");
    }

    #[test]
    fn an_id_cannot_leave_its_segment() {
        assert_eq!(segment("../x?y#z"), "..%2Fx%3Fy%23z");
    }
}
