//! Presigned links and forms, by AWS Signature Version 4, path style.
//!
//! Signed here and not by a URL library, because keys are opaque: a URL type resolves `a/../b` to another object's
//! address before it can be signed. Links are never logged and never stored.

use crate::config::LocalConfig;
use crate::sigv4::{Scope, encode, encode_path, sha256_hex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use filemill_core::limits::{PARTS_MAX, PRESIGN_MAX};
use filemill_core::ports::{BlobError, InvalidBlob, PresignAction, PresignRequest, PresignedRequest};
use filemill_core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

pub(crate) struct Presigner {
    endpoint: RwLock<Endpoint>,
    region: String,
    access_key_id: String,
    secret_access_key: String,
}

#[derive(Clone)]
struct Endpoint {
    /// Without a slash at the end.
    base: String,
    host: String,
    path: String,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} is not an S3 endpoint: {why}");
        let url = url::Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("use http://HOST:PORT"));
        }
        let name = url.host_str().ok_or_else(|| wrong("it names no host"))?;
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Endpoint { base: format!("{}://{host}{path}", url.scheme()), host, path })
    }
}

/// A link before it is signed.
struct Link {
    method: &'static str,
    query: Vec<(&'static str, String)>,
    /// Names in lower case, for the signature; the client sends them.
    headers: BTreeMap<&'static str, String>,
}

impl Link {
    fn new(method: &'static str) -> Self {
        Link { method, query: Vec::new(), headers: BTreeMap::new() }
    }

    fn with_query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}

impl Presigner {
    pub(crate) fn new(config: &LocalConfig) -> Result<Self, String> {
        Ok(Presigner {
            endpoint: RwLock::new(Endpoint::parse(&config.endpoint)?),
            region: config.region.clone(),
            access_key_id: config.access_key_id.clone(),
            secret_access_key: config.secret_access_key.clone(),
        })
    }

    pub(crate) fn set_endpoint(&self, endpoint: &str) -> Result<(), String> {
        *self.endpoint.write().unwrap_or_else(PoisonError::into_inner) = Endpoint::parse(endpoint)?;
        Ok(())
    }

    pub(crate) fn presign(&self, request: &PresignRequest, now: Timestamp) -> Result<PresignedRequest, BlobError> {
        let secs = request.ttl.as_secs();
        if secs == 0 || request.ttl > PRESIGN_MAX {
            return Err(invalid(format!("a link lives 1 to {} seconds", PRESIGN_MAX.as_secs())));
        }
        let now = Timestamp::from_millis(now.as_secs() * 1000);
        let endpoint = self.endpoint.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let PresignAction::Post { content_type, size, size_max } = &request.action {
            let lengths = size.map_or((0, *size_max), |size| (size, size));
            return Ok(self.form(&endpoint, request, content_type.as_deref(), lengths, now));
        }
        Ok(self.link(&endpoint, request, link_of(&request.action)?, now))
    }

    fn scope(&self, now: Timestamp) -> Scope<'_> {
        Scope { at: now, region: &self.region, secret: &self.secret_access_key }
    }

    fn link(&self, endpoint: &Endpoint, request: &PresignRequest, link: Link, now: Timestamp) -> PresignedRequest {
        let scope = self.scope(now);
        let mut headers = link.headers.clone();
        headers.insert("host", endpoint.host.clone());
        let signed_headers = headers.keys().copied().collect::<Vec<_>>().join(";");
        let mut query = link.query;
        query.extend([
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{}", self.access_key_id, scope.text())),
            ("X-Amz-Date", scope.time()),
            ("X-Amz-Expires", request.ttl.as_secs().to_string()),
            ("X-Amz-SignedHeaders", signed_headers.clone()),
        ]);
        query.sort();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let query = query.join("&");

        let path = format!("{}/{}/{}", endpoint.path, request.bucket, encode_path(&request.key));
        let headers_text: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let canonical =
            format!("{}\n{path}\n{query}\n{headers_text}\n{signed_headers}\nUNSIGNED-PAYLOAD", link.method);
        let signature = scope.sign(&scope.string_to_sign(&sha256_hex(canonical.as_bytes())));

        let sent_path = hide_dots(&encode_path(&request.key));
        let url = format!("{}/{}/{sent_path}?{query}&X-Amz-Signature={signature}", endpoint.base, request.bucket);
        let headers = link.headers.into_iter().map(|(name, value)| (title_case(name), value)).collect();
        let expires_at = now.plus(request.ttl);
        PresignedRequest { method: link.method, url, headers, fields: BTreeMap::new(), expires_at }
    }

    /// A browser form: the policy says what may be posted, and is what is signed.
    fn form(
        &self,
        endpoint: &Endpoint,
        request: &PresignRequest,
        content_type: Option<&str>,
        (min, max): (u64, u64),
        now: Timestamp,
    ) -> PresignedRequest {
        let scope = self.scope(now);
        let expires_at = now.plus(request.ttl);
        let mut fields = BTreeMap::from([
            ("key".to_owned(), request.key.to_string()),
            ("x-amz-algorithm".to_owned(), "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential".to_owned(), format!("{}/{}", self.access_key_id, scope.text())),
            ("x-amz-date".to_owned(), scope.time()),
        ]);
        fields.extend(content_type.map(|t| ("Content-Type".to_owned(), t.to_owned())));
        let mut conditions = vec![
            serde_json::json!({ "bucket": request.bucket.as_str() }),
            serde_json::json!(["content-length-range", min, max]),
        ];
        conditions.extend(fields.iter().map(|(name, value)| serde_json::json!(["eq", format!("${name}"), value])));
        let policy = serde_json::json!({ "expiration": expires_at.to_string(), "conditions": conditions });
        let policy = STANDARD.encode(policy.to_string());
        fields.insert("x-amz-signature".to_owned(), scope.sign(&policy));
        fields.insert("policy".to_owned(), policy);
        let url = format!("{}/{}", endpoint.base, request.bucket);
        PresignedRequest { method: "POST", url, headers: BTreeMap::new(), fields, expires_at }
    }
}

fn link_of(action: &PresignAction) -> Result<Link, BlobError> {
    Ok(match action {
        PresignAction::Get { file_name: None } => Link::new("GET"),
        PresignAction::Get { file_name: Some(name) } => {
            Link::new("GET").with_query("response-content-disposition", attachment(name))
        }
        PresignAction::Put { content_type, content_length, once } => {
            let mut link = Link::new("PUT");
            let length = content_length.map(|n| n.to_string());
            link.headers.extend(content_type.clone().map(|value| ("content-type", value)));
            link.headers.extend(length.map(|value| ("content-length", value)));
            link.headers.extend(once.then(|| ("if-none-match", "*".to_owned())));
            if link.headers.values().any(|value| value.chars().any(char::is_control)) {
                return Err(invalid("a header value holds a control character".into()));
            }
            link
        }
        PresignAction::Part { upload, number } => {
            crate::multipart::check_number(*number)?;
            debug_assert!(*number <= PARTS_MAX);
            Link::new("PUT").with_query("partNumber", number.to_string()).with_query("uploadId", upload)
        }
        PresignAction::Complete { upload } => Link::new("POST").with_query("uploadId", upload),
        PresignAction::Abort { upload } => Link::new("DELETE").with_query("uploadId", upload),
        PresignAction::Post { .. } => return Err(invalid("a form is not a link".into())),
    })
}

fn invalid(why: String) -> BlobError {
    BlobError::Invalid(InvalidBlob::Other(why))
}

/// RFC 6266: a plain name for old readers, and the exact one.
fn attachment(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ._-()+".contains(c);
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(name))
}

/// `.` and `..` as path segments are resolved by many clients; written with escapes, fewer do. The signature is the
/// same, since servers sign the decoded key.
fn hide_dots(encoded_path: &str) -> String {
    let hide = |segment: &str| match segment {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        other => other.to_owned(),
    };
    encoded_path.split('/').map(hide).collect::<Vec<_>>().join("/")
}

fn title_case(name: &str) -> String {
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}
