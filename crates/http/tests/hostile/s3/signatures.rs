//! Signatures by header and by link. Whatever is changed, nothing else is done than what was signed for.

use super::{CONTENT, KEY, Raw, Site};
use crate::hearing::{Subject, hear};
use crate::s3_client::KEY_ID;
use crate::spoiler::Spoiler;
use crate::wire::spoil_head;
use sha2::{Digest, Sha256};

#[rustfmt::skip]
const HEADER_WORDS: &[&str] = &[
    "AWS4-HMAC-SHA256 ", "Credential=", "SignedHeaders=", "Signature=", ", ", ";", "host", KEY_ID, "/aws4_request",
    "/s3/", "us-east-1", "20260101T000000Z", "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "AWS AKTEST:x", "Bearer x", "/bkt/other", "?acl", "%00", "%ff", "%2e%2e/",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

#[rustfmt::skip]
const LINK_WORDS: &[&str] = &[
    "&", "=", "?", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=", "X-Amz-Date=20260101T000000Z",
    "X-Amz-Expires=604800", "X-Amz-SignedHeaders=host", "X-Amz-Signature=", "&X-Amz-Expires=1", "&acl",
    "&uploadId=1", "&partNumber=1", "&versionId=null", "%2F", "%00", "%ff", "%", "%2e%2e", "+", ";",
    "x-amz-meta-a=b", "response-content-type=text/html", "us-east-1", "/other",
];

#[test]
fn signatures_by_header() {
    hear::<ByHeader>("signatures_by_header");
}

struct ByHeader(Site);

impl Subject for ByHeader {
    type Request = Raw;

    async fn open() -> Self {
        ByHeader(Site::open().await)
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let door = &self.0.door;
        let request = match spoiler.below(3) {
            0 => door.request("PUT", KEY).header("x-amz-meta-colour", "blue"),
            1 => door.request("PUT", KEY).payload(&hex::encode(Sha256::digest(CONTENT))),
            _ => door.request("GET", KEY),
        };
        let body = if request.method == "PUT" { CONTENT } else { b"" };
        let (head, _) = request.signed_head(Some(body.len() as u64));
        Raw { head: spoil_head(&head, HEADER_WORDS, spoiler), body: body.to_vec() }
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        self.0.send(raw).await
    }

    async fn good(&mut self) -> Result<(), String> {
        self.0.only_what_was_signed().await?;
        self.0.put_and_get().await
    }
}

#[test]
fn signatures_by_link() {
    hear::<ByLink>("signatures_by_link");
}

struct ByLink(Site);

impl Subject for ByLink {
    type Request = Raw;

    async fn open() -> Self {
        ByLink(Site::open().await)
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let method = *spoiler.one(&["GET", "PUT", "HEAD"]);
        let link = self.0.door.request(method, KEY).presign("60");
        let mut target = link.target.clone();
        if spoiler.one_in(2) {
            // whole parameters: left out, doubled, in another order
            let (path, query) = target.split_once('?').expect("a query");
            let mut pairs: Vec<&str> = query.split('&').collect();
            let at = spoiler.below(pairs.len());
            match spoiler.below(3) {
                0 => drop(pairs.remove(at)),
                1 => pairs.push(pairs[at]),
                _ => pairs.rotate_left(at),
            }
            target = format!("{path}?{}", pairs.join("&"));
        }
        let body = if method == "PUT" { CONTENT } else { b"" };
        let lines: String = link.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {target} HTTP/1.1\r\n{lines}content-length: {}\r\n\r\n", body.len());
        Raw { head: spoil_head(&head, LINK_WORDS, spoiler), body: body.to_vec() }
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        self.0.send(raw).await
    }

    async fn good(&mut self) -> Result<(), String> {
        self.0.only_what_was_signed().await?;
        let link = self.0.door.request("GET", KEY).presign("60").send(b"").await;
        if link.status == 200 { self.0.put_and_get().await } else { Err(link.text()) }
    }
}
