//! Requests to the S3 door as bytes that are ready to send: signed in the URL, before any clock starts.

use crate::service::Service;
use anyhow::{Context, Result};
use rusty_s3::actions::{
    CompleteMultipartUpload, CreateMultipartUpload, DeleteObject, GetObject, PutObject, UploadPart,
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::time::Duration;
use url::Url;

/// The region that a service signs for.
const REGION: &str = "local";
const VALID: Duration = Duration::from_secs(3600);

/// Signs for one bucket of one service.
pub struct Signer {
    bucket: Bucket,
    credentials: Credentials,
}

impl Signer {
    pub fn new(service: &Service, bucket: &str) -> Result<Self> {
        let endpoint = Url::parse(&format!("http://{}", service.s3))?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), REGION)?;
        Ok(Signer { bucket, credentials: Credentials::new(&service.key, &service.secret) })
    }

    fn sign<'a>(&self, method: &str, action: &impl S3Action<'a>, headers: &[(&str, &str)], body: u64) -> Vec<u8> {
        head(method, &action.sign(VALID), headers, body)
    }

    /// The head of a PUT; `body` bytes follow it.
    pub fn put(&self, key: &str, body: u64) -> Vec<u8> {
        self.sign("PUT", &PutObject::new(&self.bucket, Some(&self.credentials), key), &[], body)
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        self.sign("GET", &GetObject::new(&self.bucket, Some(&self.credentials), key), &[], 0)
    }

    pub fn delete(&self, key: &str) -> Vec<u8> {
        self.sign("DELETE", &DeleteObject::new(&self.bucket, Some(&self.credentials), key), &[], 0)
    }

    /// A server-side copy within the bucket.
    pub fn copy(&self, from: &str, to: &str) -> Vec<u8> {
        let source = format!("/{}/{from}", self.bucket.name());
        let mut action = PutObject::new(&self.bucket, Some(&self.credentials), to);
        action.headers_mut().insert("x-amz-copy-source", source.clone());
        self.sign("PUT", &action, &[("x-amz-copy-source", &source)], 0)
    }

    pub fn begin_multipart(&self, key: &str) -> Vec<u8> {
        self.sign("POST", &CreateMultipartUpload::new(&self.bucket, Some(&self.credentials), key), &[], 0)
    }

    pub fn part(&self, key: &str, upload: &str, number: u16, body: u64) -> Vec<u8> {
        let action = UploadPart::new(&self.bucket, Some(&self.credentials), key, number, upload);
        self.sign("PUT", &action, &[], body)
    }

    /// Head and body.
    pub fn complete_multipart(&self, key: &str, upload: &str, tags: &[String]) -> Vec<u8> {
        let tags = tags.iter().map(String::as_str);
        let action = CompleteMultipartUpload::new(&self.bucket, Some(&self.credentials), key, upload, tags);
        let url = action.sign(VALID);
        let body = action.body();
        let mut request = head("POST", &url, &[], body.len() as u64);
        request.extend_from_slice(body.as_bytes());
        request
    }
}

/// The id in the answer to [`Signer::begin_multipart`].
pub fn upload_id(answer: &[u8]) -> Result<String> {
    let answer = std::str::from_utf8(answer)?;
    let parsed = CreateMultipartUpload::parse_response(answer).ok().context("an answer without an upload id")?;
    Ok(parsed.upload_id().to_owned())
}

fn head(method: &str, url: &Url, headers: &[(&str, &str)], body: u64) -> Vec<u8> {
    let query = url.query().unwrap_or_default();
    let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
    let mut head = format!("{method} {}?{query} HTTP/1.1\r\nhost: {host}:{port}\r\n", url.path());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("content-length: {body}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}
