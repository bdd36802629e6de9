//! Presigned links and forms, by AWS Signature Version 4, path style.
//!
//! Signed here and not by a URL library, because keys are opaque: a URL type resolves `a/../b` to another object's
//! address before it can be signed. Links are never logged and never stored.

use crate::config::LocalConfig;
use crate::sigv4::{Scope, encode, encode_path, sha256_hex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use filemill_core::key::LINK_KEY;
use filemill_core::limits::PRESIGN_MAX;
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
        query.extend(request.by.as_ref().map(|key| (LINK_KEY, key.to_string())));
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
        let canonical = format!("{}\n{path}\n{query}\n{headers_text}\n{signed_headers}\nUNSIGNED-PAYLOAD", link.method);
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
        fields.extend(request.by.as_ref().map(|key| (LINK_KEY.to_owned(), key.to_string())));
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
        PresignAction::Part { upload, number, content_length } => {
            crate::multipart::check_number(*number)?;
            let link = Link::new("PUT").with_query("partNumber", number.to_string()).with_query("uploadId", upload);
            Link { headers: BTreeMap::from([("content-length", content_length.to_string())]), ..link }
        }
        PresignAction::Complete { upload, size } => {
            Link::new("POST").with_query("uploadId", upload).with_query("x-amz-mp-object-size", size.to_string())
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::object::{BucketName, ObjectKey};
    use proptest::prelude::*;
    use rusty_s3::S3Action;
    use std::time::Duration;

    const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const ENDPOINT: &str = "http://127.0.0.1:9000";
    /// Fri, 24 May 2013 00:00:00 GMT, the date of AWS's examples.
    const NOW: Timestamp = Timestamp::from_millis(1_369_353_600_000);

    fn presigner(endpoint: &str, region: &str) -> Presigner {
        Presigner {
            endpoint: RwLock::new(Endpoint::parse(endpoint).expect("an endpoint")),
            region: region.into(),
            access_key_id: KEY_ID.into(),
            secret_access_key: SECRET.into(),
        }
    }

    fn request(key: &str, action: PresignAction) -> PresignRequest {
        let bucket = BucketName::parse("uploads").expect("a bucket");
        PresignRequest {
            bucket,
            key: ObjectKey::parse(key).expect("a key"),
            action,
            by: None,
            ttl: Duration::from_secs(900),
        }
    }

    fn presign(key: &str, action: PresignAction) -> PresignedRequest {
        presigner(ENDPOINT, "local").presign(&request(key, action), NOW).expect("a link")
    }

    fn oracle(
        key: &str,
        sign: impl FnOnce(&rusty_s3::Bucket, &rusty_s3::Credentials, &str, Duration) -> url::Url,
    ) -> String {
        let endpoint = ENDPOINT.parse().expect("a URL");
        let bucket = rusty_s3::Bucket::new(endpoint, rusty_s3::UrlStyle::Path, "uploads", "local").expect("a bucket");
        sign(&bucket, &rusty_s3::Credentials::new(KEY_ID, SECRET), key, Duration::from_secs(900)).to_string()
    }

    fn date() -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(NOW.as_millis()).expect("a time")
    }

    /// The example of "Authenticating Requests: Using Query Parameters" in the S3 API reference, whose bucket is in the
    /// host name; a path-style link of a bucket in the path has the same form.
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let scope = Scope { at: NOW, region: "us-east-1", secret: SECRET };
        let canonical = "GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\nhost:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD";
        let to_sign = scope.string_to_sign(&sha256_hex(canonical.as_bytes()));
        assert_eq!(scope.sign(&to_sign), "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    }

    proptest! {
        #[test]
        fn a_download_link_equals_another_signers(key in "[^\0]{1,40}") {
            prop_assume!(!key.split('/').any(|segment| segment == "." || segment == ".."));
            let ours = presign(&key, PresignAction::Get { file_name: None });
            let theirs = oracle(&key, |bucket, credentials, key, ttl| {
                bucket.get_object(Some(credentials), key).sign_with_time(ttl, &date())
            });
            prop_assert_eq!(ours.url, theirs);
        }
    }

    #[test]
    fn an_upload_link_equals_another_signers_and_names_the_headers_to_send() {
        let put = PresignAction::Put { content_type: Some("text/plain".into()), content_length: Some(5), once: true };
        let ours = presign("folder/a b+c.txt", put);
        let theirs = oracle("folder/a b+c.txt", |bucket, credentials, key, ttl| {
            let mut action = bucket.put_object(Some(credentials), key);
            action.headers_mut().insert("content-type", "text/plain");
            action.headers_mut().insert("content-length", "5");
            action.headers_mut().insert("if-none-match", "*");
            action.sign_with_time(ttl, &date())
        });
        assert_eq!(ours.url, theirs);
        let headers: Vec<_> = ours.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(headers, ["Content-Length: 5", "Content-Type: text/plain", "If-None-Match: *"]);
        assert_eq!((ours.method, ours.expires_at), ("PUT", NOW.plus(Duration::from_secs(900))));
    }

    #[test]
    fn links_of_a_multipart_upload_equal_another_signers() {
        let part = presign("a", PresignAction::Part { upload: "id/1".into(), number: 7, content_length: 5 });
        let theirs = oracle("a", |bucket, credentials, key, ttl| {
            let mut action = bucket.upload_part(Some(credentials), key, 7, "id/1");
            action.headers_mut().insert("content-length", "5");
            action.sign_with_time(ttl, &date())
        });
        assert_eq!((part.method, part.url), ("PUT", theirs));
        let abort = presign("a", PresignAction::Abort { upload: "id/1".into() });
        let theirs = oracle("a", |bucket, credentials, key, ttl| {
            bucket.abort_multipart_upload(Some(credentials), key, "id/1").sign_with_time(ttl, &date())
        });
        assert_eq!((abort.method, abort.url), ("DELETE", theirs));
        let complete = presign("a", PresignAction::Complete { upload: "id/1".into(), size: 12 });
        let theirs = oracle("a", |bucket, credentials, key, ttl| {
            let etags: [&str; 1] = ["x"];
            let mut action = bucket.complete_multipart_upload(Some(credentials), key, "id/1", etags.into_iter());
            action.query_mut().insert("x-amz-mp-object-size", "12");
            action.sign_with_time(ttl, &date())
        });
        assert_eq!((complete.method, complete.url), ("POST", theirs));
    }

    #[test]
    fn a_download_link_names_the_file_and_lets_nothing_into_the_header() {
        let get = PresignAction::Get { file_name: Some("r\u{e9}sum\u{e9} \"1\"\r\n.txt".into()) };
        let url = presign("a", get).url;
        let expected =
            "attachment; filename=\"r_sum_ _1___.txt\"; filename*=UTF-8''r%C3%A9sum%C3%A9%20%221%22%0D%0A.txt";
        assert!(url.contains(&format!("&response-content-disposition={}&", encode(expected))), "{url}");
    }

    #[test]
    fn dots_in_a_key_are_signed_as_they_are_and_sent_escaped() {
        let link = presign("a/../b/./c", PresignAction::Get { file_name: None });
        assert!(link.url.starts_with("http://127.0.0.1:9000/uploads/a/%2E%2E/b/%2E/c?"), "{}", link.url);
        let (_, query) = link.url.split_once('?').expect("a query");
        let (query, signature) = query.split_once("&X-Amz-Signature=").expect("a signature");
        let canonical = format!("GET\n/uploads/a/../b/./c\n{query}\nhost:127.0.0.1:9000\n\nhost\nUNSIGNED-PAYLOAD");
        let scope = Scope { at: NOW, region: "local", secret: SECRET };
        assert_eq!(scope.sign(&scope.string_to_sign(&sha256_hex(canonical.as_bytes()))), signature);
    }

    #[test]
    fn a_form_says_what_may_be_posted() {
        let post = PresignAction::Post { content_type: Some("text/csv".into()), size: None, size_max: 1000 };
        let form = presign("folder/a.csv", post);
        assert_eq!((form.method, form.url.as_str()), ("POST", "http://127.0.0.1:9000/uploads"));
        let policy = STANDARD.decode(&form.fields["policy"]).expect("base64");
        let policy: serde_json::Value = serde_json::from_slice(&policy).expect("JSON");
        assert_eq!(policy["expiration"], "2013-05-24T00:15:00.000Z");
        let expected = serde_json::json!([
            {"bucket": "uploads"},
            ["content-length-range", 0, 1000],
            ["eq", "$Content-Type", "text/csv"],
            ["eq", "$key", "folder/a.csv"],
            ["eq", "$x-amz-algorithm", "AWS4-HMAC-SHA256"],
            ["eq", "$x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20130524/local/s3/aws4_request"],
            ["eq", "$x-amz-date", "20130524T000000Z"],
        ]);
        assert_eq!(policy["conditions"], expected);
    }

    /// "Browser-Based Uploads Using POST", the S3 API reference's example policy.
    #[test]
    fn a_forms_signature_is_that_of_the_published_example() {
        let policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
        let at = Timestamp::from_millis(1_451_347_200_000);
        let scope = Scope { at, region: "us-east-1", secret: SECRET };
        assert_eq!(scope.sign(policy), "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e");
    }

    #[test]
    fn what_cannot_be_a_link_is_refused() {
        let signer = presigner(ENDPOINT, "local");
        for ttl in [0, 604_801] {
            let get = PresignAction::Get { file_name: None };
            let request = PresignRequest { ttl: Duration::from_secs(ttl), ..request("a", get) };
            assert!(matches!(signer.presign(&request, NOW), Err(BlobError::Invalid(_))), "{ttl}");
        }
        let part = request("a", PresignAction::Part { upload: "id".into(), number: 10_001, content_length: 5 });
        assert!(matches!(signer.presign(&part, NOW), Err(BlobError::Invalid(_))));
        let put = PresignAction::Put { content_type: Some("a\r\nb: c".into()), content_length: None, once: false };
        assert!(matches!(signer.presign(&request("a", put), NOW), Err(BlobError::Invalid(_))));
        for endpoint in ["", "127.0.0.1:9000", "ftp://host", "http://host/?x=1"] {
            assert!(signer.set_endpoint(endpoint).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn the_endpoint_can_be_told_later() {
        let signer = presigner(ENDPOINT, "local");
        signer.set_endpoint("https://files.example.org/").expect("an endpoint");
        let link = signer.presign(&request("a", PresignAction::Get { file_name: None }), NOW).expect("a link");
        assert!(link.url.starts_with("https://files.example.org/uploads/a?X-Amz-Algorithm="), "{}", link.url);
    }
}
