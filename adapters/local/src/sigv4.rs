//! The arithmetic of AWS Signature Version 4: encoding, scope, key, signature.
//!
//! Source: AWS General Reference, "Create a signed AWS API request".

use filemill_core::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub(crate) struct Scope<'a> {
    pub(crate) at: Timestamp,
    pub(crate) region: &'a str,
    pub(crate) secret: &'a str,
}

impl Scope<'_> {
    /// `20130524T000000Z`
    pub(crate) fn time(&self) -> String {
        // RFC 3339 without its separators and fraction
        let text = self.at.to_string();
        let digits: String = text.chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
        digits + "Z"
    }

    /// `20130524/us-east-1/s3/aws4_request`
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/s3/aws4_request", self.day(), self.region)
    }

    pub(crate) fn string_to_sign(&self, canonical_request_hash: &str) -> String {
        format!("AWS4-HMAC-SHA256\n{}\n{}\n{canonical_request_hash}", self.time(), self.text())
    }

    /// In hex.
    pub(crate) fn sign(&self, text: &str) -> String {
        let first = format!("AWS4{}", self.secret);
        let day = hmac(first.as_bytes(), &self.day());
        let region = hmac(&day, self.region);
        let service = hmac(&region, "s3");
        let key = hmac(&service, "aws4_request");
        hex::encode(hmac(&key, text))
    }

    fn day(&self) -> String {
        self.time().chars().take(8).collect()
    }
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Everything but letters, digits and `-._~` is escaped.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The same, with slashes kept.
pub(crate) fn encode_path(text: &str) -> String {
    text.split('/').map(encode).collect::<Vec<_>>().join("/")
}
