//! A client of one bucket at the S3 door, signed by rusty-s3: another's code than the service's own.

use crate::http::{self, Reply};
use crate::service::Credentials;
use rusty_s3::actions::list_objects_v2::ListObjectsContent;
use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response, S3Action};
use rusty_s3::{Bucket, UrlStyle};
use std::time::Duration;

#[derive(Clone)]
pub struct S3 {
    bucket: Bucket,
    credentials: rusty_s3::Credentials,
}

/// A listed object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub etag: String,
    pub size: u64,
}

/// Nobody knows what became of it: the connection broke, or the service said that it cannot tell.
#[derive(Debug)]
pub struct Unknown(pub String);

const LINK_TTL: Duration = Duration::from_secs(300);

impl S3 {
    pub fn new(endpoint: &str, bucket: &str, credentials: &Credentials) -> S3 {
        let endpoint = endpoint.parse().expect("an address");
        let bucket = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), "local").expect("a bucket");
        let credentials = rusty_s3::Credentials::new(&credentials.s3_key, &credentials.s3_secret);
        S3 { bucket, credentials }
    }

    pub fn put_url(&self, key: &str) -> String {
        self.bucket.put_object(Some(&self.credentials), key).sign(LINK_TTL).into()
    }

    pub fn get_url(&self, key: &str) -> String {
        self.bucket.get_object(Some(&self.credentials), key).sign(LINK_TTL).into()
    }

    fn delete_url(&self, key: &str) -> String {
        self.bucket.delete_object(Some(&self.credentials), key).sign(LINK_TTL).into()
    }

    #[track_caller]
    pub fn put(&self, key: &str, content: &[u8]) -> Reply {
        http::send("PUT", &self.put_url(key), &[], content).expect(200)
    }

    #[track_caller]
    pub fn get(&self, key: &str) -> Reply {
        http::send("GET", &self.get_url(key), &[], &[])
    }

    #[track_caller]
    pub fn delete(&self, key: &str) -> Reply {
        http::send("DELETE", &self.delete_url(key), &[], &[]).expect(204)
    }

    pub fn try_put(&self, key: &str, content: &[u8]) -> Result<(), Unknown> {
        acknowledged("PUT", &self.put_url(key), &[], content, 200).map(drop)
    }

    /// A put that wants nothing there. False: something was.
    pub fn try_create(&self, key: &str, content: &[u8]) -> Result<bool, Unknown> {
        let mut put = self.bucket.put_object(Some(&self.credentials), key);
        put.headers_mut().insert("if-none-match", "*");
        let url: String = put.sign(LINK_TTL).into();
        let reply = answered("PUT", &url, &[("if-none-match", "*")], content)?;
        match reply.status {
            200 => Ok(true),
            412 => Ok(false),
            _ => panic!("a conditional put was answered {}: {}", reply.status, reply.text()),
        }
    }

    /// What is there, if anything.
    pub fn try_get(&self, key: &str) -> Result<Option<Vec<u8>>, Unknown> {
        let reply = answered("GET", &self.get_url(key), &[], &[])?;
        match reply.status {
            200 => Ok(Some(reply.body)),
            404 => Ok(None),
            _ => panic!("a get was answered {}: {}", reply.status, reply.text()),
        }
    }

    pub fn try_delete(&self, key: &str) -> Result<(), Unknown> {
        acknowledged("DELETE", &self.delete_url(key), &[], &[], 204).map(drop)
    }

    pub fn try_copy(&self, from: &str, key: &str) -> Result<(), Unknown> {
        let source = self.bucket.object_url(from).path().to_owned();
        let mut put = self.bucket.put_object(Some(&self.credentials), key);
        put.headers_mut().insert("x-amz-copy-source", source.as_str());
        let url: String = put.sign(LINK_TTL).into();
        no_late_error(acknowledged("PUT", &url, &[("x-amz-copy-source", &source)], &[], 200)?)
    }

    /// The object in parts of this size.
    pub fn try_put_parts(&self, key: &str, content: &[u8], part_bytes: usize) -> Result<(), Unknown> {
        let credentials = Some(&self.credentials);
        let begin: String = self.bucket.create_multipart_upload(credentials, key).sign(LINK_TTL).into();
        let begun = acknowledged("POST", &begin, &[], &[], 200)?;
        let text = begun.text();
        let id = text.split_once("<UploadId>").and_then(|(_, rest)| rest.split_once("</UploadId>"));
        let id = id.unwrap_or_else(|| panic!("no upload id: {text}")).0;
        let mut etags = Vec::new();
        for (number, part) in (1..).zip(content.chunks(part_bytes)) {
            let url: String = self.bucket.upload_part(credentials, key, number, id).sign(LINK_TTL).into();
            etags.push(acknowledged("PUT", &url, &[], part, 200)?.header("etag").trim_matches('"').to_owned());
        }
        let etags = etags.iter().map(String::as_str);
        let complete = self.bucket.complete_multipart_upload(credentials, key, id, etags);
        let (url, body): (String, String) = (complete.sign(LINK_TTL).into(), complete.body());
        no_late_error(acknowledged("POST", &url, &[], body.as_bytes(), 200)?)
    }

    /// All objects, in pages of this many.
    #[track_caller]
    pub fn list(&self, page: usize) -> Vec<Listed> {
        let mut listed = Vec::new();
        let mut token = None;
        loop {
            let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
            list.with_max_keys(page);
            if let Some(token) = token.take() {
                list.with_continuation_token(token);
            }
            let page = parse(&http::send("GET", list.sign(LINK_TTL).as_ref(), &[], &[]).expect(200));
            listed.extend(page.contents.into_iter().map(Listed::from));
            match page.next_continuation_token {
                Some(next) => token = Some(next),
                None => return listed,
            }
        }
    }

    /// Few enough objects for one page, as they are at one moment.
    pub fn try_list(&self, prefix: &str) -> Result<Vec<Listed>, Unknown> {
        let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
        list.with_prefix(prefix);
        let page = parse(&acknowledged("GET", list.sign(LINK_TTL).as_ref(), &[], &[], 200)?);
        assert!(page.next_continuation_token.is_none(), "more than a page");
        Ok(page.contents.into_iter().map(Listed::from).collect())
    }
}

impl From<ListObjectsContent> for Listed {
    fn from(object: ListObjectsContent) -> Listed {
        Listed {
            key: object.key,
            etag: object.etag.expect("an entry has its tag").trim_matches('"').to_owned(),
            size: object.size.expect("an entry has its size"),
        }
    }
}

fn parse(reply: &Reply) -> ListObjectsV2Response {
    ListObjectsV2::parse_response(&reply.text()).unwrap_or_else(|e| panic!("{e}: {}", reply.text()))
}

/// S3 may say 200 first and find the error later.
fn no_late_error(reply: Reply) -> Result<(), Unknown> {
    if reply.text().contains("<Error>") { Err(Unknown(reply.text())) } else { Ok(()) }
}

fn acknowledged(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8], status: u16) -> Result<Reply, Unknown> {
    let reply = answered(method, url, headers, body)?;
    assert_eq!(reply.status, status, "{method} was answered {}", reply.text());
    Ok(reply)
}

fn answered(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, Unknown> {
    match http::try_send(method, url, headers, body) {
        Ok(reply) if reply.status >= 500 => Err(Unknown(format!("{}: {}", reply.status, reply.text()))),
        Ok(reply) => Ok(reply),
        Err(e) => Err(Unknown(e.to_string())),
    }
}
