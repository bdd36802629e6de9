//! One HTTP exchange, whatever its status; no redirects followed, nothing retried.

use serde_json::Value;
use std::sync::LazyLock;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// No exchange of any scenario takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const BODY_MAX: u64 = 4 << 30;

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(Some(PATIENCE));
    // a connection of a service that was killed must not be tried again
    config.max_idle_connections(0).build().new_agent()
});

/// An error is a broken connection: nobody knows what the service did.
pub fn try_send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, ureq::Error> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let bodiless = body.is_empty() && matches!(method, "GET" | "HEAD" | "DELETE");
    let mut response = if bodiless {
        AGENT.run(request.body(()).map_err(ureq::Error::Http)?)?
    } else {
        AGENT.run(request.body(body).map_err(ureq::Error::Http)?)?
    };
    let bytes = response.body_mut().with_config().limit(BODY_MAX).read_to_vec()?;
    Ok(Reply { status: response.status().as_u16(), headers: response.headers().clone(), body: bytes })
}

pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let place = url.split('?').next().unwrap_or(url);
    try_send(method, url, headers, body).unwrap_or_else(|e| panic!("{method} {place}: {e}"))
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap_or_default())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// A problem document with this status and code, in words that help.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        let reply = self.expect(status);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{}", reply.text());
        let problem = reply.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|d| d.len() >= 10), "no words that help: {problem}");
        problem
    }
}

/// The query of a URL.
pub fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
