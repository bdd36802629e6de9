//! Which of SQS's two protocols a request speaks, if it is for queues at all. Everything else on the port is S3's.
//!
//! Decided by the head alone. A form is for queues only where its signature names the service: S3's requests are signed
//! for `s3`, also those to a bucket that is called as the account is.

use super::{ACCOUNT, auth};
use filemill_core::message::MessageQueueName;
use http::{HeaderMap, Method, Request, header};
use hyper::body::Incoming;

pub const TARGET: &str = "x-amz-target";
pub const TARGET_PREFIX: &str = "AmazonSQS.";
const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `X-Amz-Target: AmazonSQS.SendMessage`, JSON both ways.
    Json,
    /// `Action=SendMessage` in a form or the URL, answered in XML: SDKs until the end of 2023.
    Query,
}

pub fn spoken(request: &Request<Incoming>) -> Option<Protocol> {
    of(request.method(), request.uri(), request.headers())
}

fn of(method: &Method, uri: &http::Uri, headers: &HeaderMap) -> Option<Protocol> {
    let target = headers.get(TARGET).map(|target| target.as_bytes());
    if method == Method::POST && target.is_some_and(|target| target.starts_with(TARGET_PREFIX.as_bytes())) {
        return Some(Protocol::Json);
    }
    let asks = match *method {
        Method::POST => is_form(headers) || names_an_action(uri),
        Method::GET => names_an_action(uri),
        _ => false,
    };
    let is_query = asks && is_of_queues(uri.path()) && auth::is_signed_for_queues(headers);
    is_query.then_some(Protocol::Query)
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

fn names_an_action(uri: &http::Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Action=")))
}

fn is_of_queues(path: &str) -> bool {
    path == "/" || queue_in(path).is_some()
}

/// Of `/000000000000/NAME`; some tools end it with a slash.
pub fn queue_in(path: &str) -> Option<MessageQueueName> {
    let name = path.strip_prefix('/')?.strip_prefix(ACCOUNT)?.strip_prefix('/')?;
    MessageQueueName::parse(name.strip_suffix('/').unwrap_or(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOR_QUEUES: &str = "AWS4-HMAC-SHA256 Credential=AK/20260101/local/sqs/aws4_request, SignedHeaders=host";
    const FOR_S3: &str = "AWS4-HMAC-SHA256 Credential=AK/20260101/local/s3/aws4_request, SignedHeaders=host";

    fn found(method: Method, target: &str, headers: &[(&'static str, &'static str)]) -> Option<Protocol> {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        // as hyper gives them: a name that comes twice is there twice
        let headers = headers.fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        });
        of(&method, &target.parse().expect("a target"), &headers)
    }

    #[test]
    fn a_form_that_is_signed_for_queues_is_theirs() {
        for path in ["/", "/000000000000/orders", "/000000000000/orders/"] {
            for kind in [FORM, "application/x-www-form-urlencoded; charset=utf-8", "Application/X-WWW-Form-Urlencoded"]
            {
                let headers = [("authorization", FOR_QUEUES), ("content-type", kind)];
                assert_eq!(found(Method::POST, path, &headers), Some(Protocol::Query), "{path} {kind}");
            }
        }
        let signed = [("authorization", FOR_QUEUES)];
        for method in [Method::GET, Method::POST] {
            assert_eq!(found(method, "/?Version=x&Action=ListQueues", &signed), Some(Protocol::Query));
        }
        assert_eq!(found(Method::POST, "/", &[(TARGET, "AmazonSQS.ListQueues")]), Some(Protocol::Json));
    }

    #[test]
    fn what_is_not_signed_for_queues_stays_with_s3() {
        let form = ("content-type", FORM);
        let key_with_the_words =
            "AWS4-HMAC-SHA256 Credential=AK/sqs/aws4_request/20260101/local/s3/aws4_request, SignedHeaders=host";
        for path in ["/", "/000000000000/orders", "/000000000000/orders?Action=PurgeQueue"] {
            for signed in [FOR_S3, key_with_the_words, "AWS AK:c2ln", "Bearer x", ""] {
                assert_eq!(found(Method::POST, path, &[form, ("authorization", signed)]), None, "{path} {signed}");
                assert_eq!(found(Method::GET, path, &[form, ("authorization", signed)]), None, "{path} {signed}");
            }
            assert_eq!(found(Method::POST, path, &[form]), None);
            let both = [form, ("authorization", FOR_QUEUES), ("authorization", FOR_S3)];
            assert_eq!(found(Method::POST, path, &both), None);
        }
    }

    #[test]
    fn what_is_no_form_for_a_queue_stays_with_s3() {
        let signed = ("authorization", FOR_QUEUES);
        let form = ("content-type", FORM);
        for path in ["/orders", "/000000000000", "/000000000000/", "/000000000000/a/b", "/000000000000/a.json", "/a/b"]
        {
            assert_eq!(found(Method::POST, path, &[signed, form]), None, "{path}");
        }
        for method in [Method::PUT, Method::DELETE, Method::HEAD] {
            assert_eq!(found(method, "/?Action=ListQueues", &[signed, form]), None);
        }
        assert_eq!(found(Method::GET, "/", &[signed, form]), None);
        assert_eq!(found(Method::POST, "/", &[signed, ("content-type", "text/plain")]), None);
    }
}
