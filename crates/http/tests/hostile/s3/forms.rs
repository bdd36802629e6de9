//! Forms of browsers and their signed policies.

use super::{LARGE, Raw, Site};
use crate::hearing::{Subject, hear};
use crate::s3_client::{BUCKET, Signing, WallClock};
use crate::spoiler::Spoiler;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::Clock as _;
use std::time::Duration;

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "\r\n", "\r\n\r\n", "--", "--", BOUNDARY, "\r\n------TheBoundary\r\n", "\r\n------TheBoundary--",
    "Content-Disposition: form-data; name=\"a\"\r\n\r\n", "name=\"", "filename=\"", "filename*=UTF-8''%e2%82", "\"",
    "\\\"", ";", ":", "${filename}", "../", "key", "policy", "file", "&#x110000;", "[\"eq\", \"$key\", \"a\"]",
    "[\"content-length-range\", 0, 99999999999999999999]", "\"$\"", "[]", "{}", "null",
    "9999-12-31T23:59:59.999999999Z", "-000001-01-01T00:00:00Z", "\\ud800", "=?UTF-8?B?", "http://a/?\r\nX: y",
    "\u{0}",
];

#[test]
fn forms_and_their_policies() {
    hear::<Forms>("forms_and_their_policies");
}

struct Forms(Site);

const BOUNDARY: &str = "----TheBoundary";

impl Forms {
    fn signed(policy: &str) -> Vec<(&'static str, String)> {
        let signing = Signing::default();
        let policy = STANDARD.encode(policy);
        vec![
            ("key", "forms/${filename}".to_owned()),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential", format!("{}/{}", signing.key_id, signing.scope())),
            ("x-amz-date", signing.date()),
            ("x-amz-signature", signing.sign(&policy)),
            ("policy", policy),
            ("Content-Type", "text/plain".to_owned()),
            ("x-amz-meta-colour", "blue".to_owned()),
            ("tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>".to_owned()),
            ("success_action_status", "201".to_owned()),
        ]
    }

    fn policy() -> String {
        let signing = Signing::default();
        let (credential, date) = (format!("{}/{}", signing.key_id, signing.scope()), signing.date());
        let expires_at = WallClock.now().plus(Duration::from_secs(600));
        serde_json::json!({ "expiration": expires_at.to_string(), "conditions": [
            { "bucket": BUCKET }, ["starts-with", "$key", "forms/"], ["eq", "$Content-Type", "text/plain"],
            ["content-length-range", 0, 1000], { "x-amz-algorithm": "AWS4-HMAC-SHA256" },
            { "x-amz-credential": credential }, { "x-amz-date": date }, { "x-amz-meta-colour": "blue" },
            ["starts-with", "$tagging", ""], { "success_action_status": "201" },
        ] })
        .to_string()
    }

    fn body(fields: &[(&str, String)], file_name: &str) -> Vec<u8> {
        let part = |(name, value): &(&str, String)| {
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields: String = fields.iter().map(part).collect();
        let file = format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\nContent-Type: text/plain"
        );
        let end = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUpload\r\n--{BOUNDARY}--\r\n"
        );
        format!("{fields}--{BOUNDARY}\r\n{file}\r\n\r\nthe content\r\n{end}").into_bytes()
    }

    fn raw(body: Vec<u8>, kind: &str) -> Raw {
        let head = format!(
            "POST /{BUCKET} HTTP/1.1\r\nhost: files.example\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Raw { head: head.into_bytes(), body }
    }

    fn kind() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }
}

impl Subject for Forms {
    type Request = Raw;

    async fn open() -> Self {
        Forms(Site::open().await)
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let mut policy = Self::policy();
        let changed = spoiler.below(4);
        if changed == 0 {
            let good = serde_json::from_str(&policy).expect("JSON");
            policy = String::from_utf8_lossy(&spoiler.json(&good, WORDS, LARGE)).into_owned();
        }
        let mut fields = Self::signed(&policy);
        let mut file_name = "photo.png".to_owned();
        if changed == 1 {
            for _ in 0..=spoiler.below(2) {
                let at = spoiler.below(fields.len() + 2);
                match fields.get_mut(at) {
                    Some((_, value)) => *value = spoiler.text(value, WORDS, LARGE),
                    None => file_name = spoiler.text(&file_name, WORDS, 4000),
                }
            }
            if spoiler.one_in(8) {
                fields.remove(spoiler.below(fields.len()));
            }
        }
        let body = Self::body(&fields, &file_name);
        if spoiler.one_in(20) {
            return Self::raw(body, &spoiler.line(&Self::kind(), WORDS));
        }
        let body = if changed >= 2 { spoiler.bytes(&body, WORDS, LARGE) } else { body };
        Self::raw(body, &Self::kind())
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        let answer = self.0.exchange(raw).await?;
        let injected = answer.head.split("\r\n").any(|line| line.starts_with("x:"));
        if injected { Err("a field became a header".to_owned()) } else { Ok(answer.status) }
    }

    async fn good(&mut self) -> Result<(), String> {
        let form = Self::raw(Self::body(&Self::signed(&Self::policy()), "good.txt"), &Self::kind());
        let answer = self.0.exchange(&form).await?;
        if answer.status != 201 {
            return Err(answer.text());
        }
        let key = ObjectKey::parse("forms/good.txt").expect("a key");
        let bucket = BucketName::parse(BUCKET).expect("a name");
        self.0.door.store.head(&bucket, &key).await.map(drop).map_err(|e| e.to_string())
    }
}
