//! Uploads by browser forms with a signed policy.

use super::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filemill_core::object::BucketName;
use filemill_core::ports::Clock as _;
use filemill_core::time::Timestamp;
use filemill_memory::{MemoryOptions, MemoryStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const BOUNDARY: &str = "----TheBoundary";

pub struct Form {
    fields: Vec<(String, String)>,
    file_name: String,
    content: Vec<u8>,
}

impl Form {
    /// A signed form; `conditions` are further ones, as JSON.
    pub fn new(bucket: &str, key: &str, conditions: &str, signing: &Signing, expires_at: Timestamp) -> Self {
        let credential = format!("{}/{}", signing.key_id, signing.scope());
        let date = signing.date();
        let policy = format!(
            r#"{{"expiration": "{expires_at}", "conditions": [{{"bucket": "{bucket}"}}, {{"x-amz-algorithm": "AWS4-HMAC-SHA256"}}, {{"x-amz-credential": "{credential}"}}, {{"x-amz-date": "{date}"}}{conditions}]}}"#
        );
        let policy = STANDARD.encode(policy);
        let signature = signing.sign(&policy);
        let form = Form { fields: Vec::new(), file_name: "My Photo.png".to_owned(), content: b"content".to_vec() };
        form.field("key", key)
            .field("x-amz-algorithm", "AWS4-HMAC-SHA256")
            .field("X-Amz-Credential", &credential)
            .field("X-Amz-Date", &date)
            .field("Policy", &policy)
            .field("X-Amz-Signature", &signature)
    }

    fn good(key: &str, conditions: &str) -> Self {
        Form::new(BUCKET, key, conditions, &Signing::default(), WallClock.now().plus(Duration::from_secs(600)))
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    fn content(mut self, content: &[u8]) -> Self {
        self.content = content.to_vec();
        self
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let file = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: image/png\r\n\r\n",
            self.file_name
        );
        body.extend_from_slice(file.as_bytes());
        body.extend_from_slice(&self.content);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUpload\r\n--{BOUNDARY}--\r\n").as_bytes());
        body
    }

    async fn send(&self, door: &TestDoor) -> Response {
        self.send_to(door, "/bkt").await
    }

    pub async fn send_to(&self, door: &TestDoor, path: &str) -> Response {
        let body = self.body();
        exchange(door.address, Self::head(path, body.len()).as_bytes(), &body).await
    }

    fn head(path: &str, length: usize) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nhost: files.example\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {length}\r\n\r\n"
        )
    }

    /// Sends the form up to the middle of its file; the rest is for later.
    async fn begin(&self, door: &TestDoor) -> (TcpStream, Vec<u8>) {
        let mut sent = self.body();
        let file = memchr::memmem::rfind(&sent, &self.content).expect("the file");
        let rest = sent.split_off(file + self.content.len() / 2);
        let head = Self::head("/bkt", sent.len() + rest.len());
        let mut stream = door.connect().await;
        stream.write_all(head.as_bytes()).await.expect("a head");
        stream.write_all(&sent).await.expect("half a form");
        (stream, rest)
    }
}

#[tokio::test]
async fn a_form_stores_its_file() {
    let door = TestDoor::open().await;
    for size in [0, 7, 70_000, 3_000_000] {
        let bytes = content(size);
        let form = Form::good("in/a", r#", ["eq", "$key", "in/a"]"#).content(&bytes);
        let response = form.send(&door).await.expect_status(204);
        assert_eq!(response.header("etag"), Some(format!("\"{}\"", md5_hex(&bytes)).as_str()));
        assert_eq!(response.header("location"), Some("http://files.example/bkt/in/a"));
        assert!(door.get("in/a").await == bytes);
    }
}

#[tokio::test]
async fn the_file_name_fills_in() {
    let door = TestDoor::open().await;
    let conditions = r#", ["starts-with", "$key", "in/"], ["starts-with", "$x-amz-meta-name", ""]"#;
    let form = Form::good("in/${filename}", conditions).field("x-amz-meta-name", "was ${filename}");
    form.send(&door).await.expect_status(204);
    let get = door.request("GET", "in/My Photo.png").send().await.expect_status(200);
    assert_eq!(get.header("x-amz-meta-name"), Some("was My Photo.png"));
    let mut climbing = Form::good("in/${filename}", conditions);
    climbing.file_name = "..\\..\\windows\\evil.txt".to_owned();
    climbing.send(&door).await.expect_status(204);
    assert!(door.exists("in/evil.txt").await);
}

/// 64 KiB could become a hundred megabytes.
#[tokio::test]
async fn a_file_name_fills_in_no_more_than_fields_may_hold() {
    let door = TestDoor::open().await;
    let allow = r#", ["eq", "$key", "k"], ["starts-with", "$x-amz-meta-a", ""]"#;
    let mut form = Form::good("k", allow).field("x-amz-meta-a", &"${filename}".repeat(100));
    form.file_name = "n".repeat(1000);
    form.send(&door).await.expect_error(400, "MaxPostPreDataLengthExceededError");
    let forged = form.without("x-amz-signature").field("x-amz-signature", &"0".repeat(64));
    forged.send(&door).await.expect_error(403, "SignatureDoesNotMatch");
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn every_condition_is_enforced() {
    let door = TestDoor::open().await;
    let conditions =
        r#", ["starts-with", "$key", "in/"], ["eq", "$Content-Type", "image/png"], ["content-length-range", 5, 10]"#;
    let form = |key: &str, kind: &str| Form::good(key, conditions).field("Content-Type", kind);
    form("in/a", "image/png").send(&door).await.expect_status(204);
    form("out/a", "image/png").send(&door).await.expect_error(403, "AccessDenied");
    form("in/b", "text/html").send(&door).await.expect_error(403, "AccessDenied");
    form("in/b", "image/png").without("content-type").send(&door).await.expect_error(403, "AccessDenied");
    form("in/b", "image/png").content(b"four").send(&door).await.expect_error(400, "EntityTooSmall");
    form("in/b", "image/png").content(b"eleven long").send(&door).await.expect_error(400, "EntityTooLarge");
    form("in/b", "image/png").content(&content(3_000_000)).send(&door).await.expect_error(400, "EntityTooLarge");
    form("in/b", "image/png").field("x-amz-meta-x", "1").send(&door).await.expect_error(403, "AccessDenied");
    form("in/b", "image/png").field("acl", "public-read").send(&door).await.expect_error(403, "AccessDenied");
    form("in/b", "image/png").field("bucket", "other").send(&door).await.expect_error(403, "AccessDenied");
    form("in/b", "image/png").send_to(&door, "/other").await.expect_error(403, "AccessDenied");
    form("in/b", "image/png").send_to(&door, "/bkt/in/b").await.expect_error(405, "MethodNotAllowed");
    assert_eq!(door.store.usage().await.expect("usage").objects, 1);
}

#[tokio::test]
async fn only_a_signed_policy_counts() {
    let door = TestDoor::open().await;
    let allow = r#", ["starts-with", "$key", ""]"#;
    let good = || Form::good("k", allow);
    good().without("policy").send(&door).await.expect_error(403, "AccessDenied");
    let signature = good().without("x-amz-signature");
    signature.send(&door).await.expect_error(400, "InvalidArgument");
    let forged = good().without("x-amz-signature").field("x-amz-signature", &"0".repeat(64));
    forged.send(&door).await.expect_error(403, "SignatureDoesNotMatch");
    let wider =
        STANDARD.encode(r#"{"expiration": "2099-01-01T00:00:00Z", "conditions": [["starts-with", "$key", ""]]}"#);
    let swapped = good().without("policy").field("policy", &wider);
    let refused = swapped.send(&door).await.expect_error(403, "SignatureDoesNotMatch");
    assert!(!refused.text().contains(SECRET));

    let later = WallClock.now().plus(Duration::from_secs(600));
    let signed_by = |change: &dyn Fn(&mut Signing)| {
        let mut signing = Signing::default();
        change(&mut signing);
        Form::new(BUCKET, "k", allow, &signing, later)
    };
    signed_by(&|s| s.secret = "x".into()).send(&door).await.expect_error(403, "SignatureDoesNotMatch");
    signed_by(&|s| s.key_id = "AKOTHER".into()).send(&door).await.expect_error(403, "InvalidAccessKeyId");
    signed_by(&|s| s.region = "eu-west-1".into()).send(&door).await.expect_error(400, "AuthorizationHeaderMalformed");
    let v2 = good().field("AWSAccessKeyId", KEY_ID).field("signature", "x");
    v2.send(&door).await.expect_error(400, "InvalidRequest");
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn a_form_lives_as_long_as_its_policy() {
    let door = TestDoor::open().await;
    let now = WallClock.now();
    let two_hours_ago = Signing { at: now.minus(Duration::from_secs(7200)), ..Signing::default() };
    let open = Form::new(BUCKET, "k", r#", ["eq", "$key", "k"]"#, &two_hours_ago, now.plus(Duration::from_secs(60)));
    open.send(&door).await.expect_status(204);
    let over =
        Form::new(BUCKET, "new", r#", ["eq", "$key", "new"]"#, &two_hours_ago, now.minus(Duration::from_secs(60)));
    over.send(&door).await.expect_error(403, "AccessDenied");
    assert!(!door.exists("new").await);
}

#[tokio::test]
async fn the_answer_is_the_one_that_was_asked_for() {
    let door = TestDoor::open().await;
    let conditions = r#", ["eq", "$key", "a b"], ["starts-with", "$success_action_status", ""], ["starts-with", "$success_action_redirect", ""]"#;
    let form = |status: &str, redirect: &str| {
        Form::good("a b", conditions).field("success_action_status", status).field("success_action_redirect", redirect)
    };
    assert!(form("200", "").send(&door).await.expect_status(200).body.is_empty());
    form("299", "").send(&door).await.expect_status(204);
    let created = form("201", "").send(&door).await.expect_status(201);
    assert_eq!((created.element("Bucket").as_deref(), created.element("Key").as_deref()), (Some("bkt"), Some("a b")));
    let redirect = form("201", "https://app.example/done?x=1").send(&door).await.expect_status(303);
    let etag = md5_hex(b"content");
    let target = format!("https://app.example/done?x=1&bucket=bkt&key=a+b&etag=%22{etag}%22");
    assert_eq!(redirect.header("location"), Some(target.as_str()));
    form("200", "javascript:alert(1)").send(&door).await.expect_status(200);
}

#[tokio::test]
async fn a_buckets_limit_holds_for_forms() {
    let small = BTreeMap::from([(BucketName::parse(BUCKET).expect("a name"), 1000)]);
    let door = TestDoor::with(|config| config.bucket_limits = small).await;
    let form = |size| Form::good("k", r#", ["eq", "$key", "k"]"#).content(&content(size));
    form(1001).send(&door).await.expect_error(400, "EntityTooLarge");
    form(1000).send(&door).await.expect_status(204);
}

#[tokio::test]
async fn a_form_is_refused_while_the_store_has_no_room() {
    let store = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
    let door = TestDoor::over(store.clone(), |_| {}).await;
    store.set_room(Some(0));
    let form = Form::good("k", r#", ["eq", "$key", "k"]"#).content(&content(100_000));
    // half of its file is not sent yet
    let (mut stream, _rest) = form.begin(&door).await;
    read_response(&mut stream).await.expect_error(503, "SlowDown");
    store.set_room(None);
    form.send(&door).await.expect_status(204);
}

#[tokio::test]
async fn a_form_without_a_place_is_told_to_come_again() {
    let door = TestDoor::with(|config| config.forms.places = 1).await;
    let form = Form::good("k", r#", ["eq", "$key", "k"]"#);
    let ((mut one, rest_of_one), (mut other, rest_of_other)) = (form.begin(&door).await, form.begin(&door).await);
    let (refused, mut held, rest) = tokio::select! {
        refused = read_response(&mut one) => (refused, other, rest_of_other),
        refused = read_response(&mut other) => (refused, one, rest_of_one),
    };
    refused.expect_error(503, "SlowDown");
    held.write_all(&rest).await.expect("the rest");
    read_response(&mut held).await.expect_status(204);
    form.send(&door).await.expect_status(204);
}

#[tokio::test]
async fn a_form_whose_file_does_not_end_is_cut() {
    let door = TestDoor::with(|config| config.forms.time = Duration::from_millis(300)).await;
    let (mut stream, _rest) = Form::good("k", r#", ["eq", "$key", "k"]"#).begin(&door).await;
    read_response(&mut stream).await.expect_error(400, "RequestTimeout");
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn forms_have_limits() {
    let door = TestDoor::open().await;
    let allow = r#", ["starts-with", "$key", ""], ["starts-with", "$x-amz-meta-a", ""]"#;
    let long = Form::good("k", allow).field("x-amz-meta-a", &"x".repeat(70_000));
    long.send(&door).await.expect_error(400, "MaxPostPreDataLengthExceededError");
    let metadata = Form::good("k", allow).field("x-amz-meta-a", &"x".repeat(2100));
    metadata.send(&door).await.expect_error(400, "MetadataTooLarge");
    let injected = Form::good("k", allow).field("x-amz-meta-a", "a\r\nx-evil: 1");
    injected.send(&door).await.expect_error(400, "InvalidArgument");
    let doubled = Form::good("k", allow).field("key", "other");
    doubled.send(&door).await.expect_error(400, "MalformedPOSTRequest");
    let head = format!(
        "POST /bkt HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        33 << 20
    );
    exchange(door.address, head.as_bytes(), b"").await.expect_error(400, "EntityTooLarge");
    let no_boundary =
        "POST /bkt HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data\r\ncontent-length: 1\r\n\r\nx";
    exchange(door.address, no_boundary.as_bytes(), b"").await.expect_error(400, "MalformedPOSTRequest");
    assert!(!door.exists("k").await);
}
