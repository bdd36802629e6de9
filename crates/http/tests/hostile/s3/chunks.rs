//! `aws-chunked` bodies behind a head that is right.

use super::{CONTENT, KEY, LARGE, Raw, Site};
use crate::hearing::{Subject, hear};
use crate::s3_client::Signing;
use crate::spoiler::Spoiler;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "\r\n", "0\r\n\r\n", "\r\n\r\n", ";chunk-signature=", "ffffffffffffffff\r\n", "7fffffff\r\n",
    "10000000000000000\r\n", "-1\r\n", "0x4\r\n", "x-amz-checksum-crc32:AAAAAA==\r\n", "x-amz-trailer-signature:",
    "a:b\r\n", ":", "4;a=b;c=d\r\n", " 4\r\n", "00000000004\r\n",
];

#[test]
fn chunked_bodies() {
    hear::<Chunked>("chunked_bodies");
}

struct Chunked(Site);

impl Chunked {
    /// Chunks of a few bytes, signed or with a checksum behind them.
    fn body(signing: &Signing, seed: &str, is_signed: bool, trailer: Option<&str>) -> Vec<u8> {
        let empty = hex::encode(Sha256::digest(b""));
        let preamble = format!("{}\n{}", signing.date(), signing.scope());
        let mut previous = seed.to_owned();
        let mut body = String::new();
        for chunk in ["the ", "content", ""] {
            let digest = hex::encode(Sha256::digest(chunk));
            previous = signing.sign(&format!("AWS4-HMAC-SHA256-PAYLOAD\n{preamble}\n{previous}\n{empty}\n{digest}"));
            let extension = if is_signed { format!(";chunk-signature={previous}") } else { String::new() };
            let end = if chunk.is_empty() { "" } else { "\r\n" };
            body += &format!("{:x}{extension}\r\n{chunk}{end}", chunk.len());
        }
        if let Some(line) = trailer {
            body += &format!("{line}\r\n");
            if is_signed {
                let digest = hex::encode(Sha256::digest(format!("{line}\n")));
                let signature = signing.sign(&format!("AWS4-HMAC-SHA256-TRAILER\n{preamble}\n{previous}\n{digest}"));
                body += &format!("x-amz-trailer-signature:{signature}\r\n");
            }
        }
        (body + "\r\n").into_bytes()
    }
}

impl Subject for Chunked {
    type Request = Raw;

    async fn open() -> Self {
        Chunked(Site::open().await)
    }

    /// The head is signed as it is sent, so that the body is read.
    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, CONTENT) as u32;
        let line = format!("x-amz-checksum-crc32:{}", STANDARD.encode(crc.to_be_bytes()));
        let (kind, is_signed, has_trailer) = *spoiler.one(&[
            ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", true, false),
            ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", true, true),
            ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", false, true),
        ]);
        let mut length = CONTENT.len().to_string();
        let mut named = "x-amz-checksum-crc32".to_owned();
        if spoiler.one_in(10) {
            length = spoiler.line(&length, &["18446744073709551616", "-1", "0", "5497558138880"]).trim().to_owned();
        }
        if spoiler.one_in(10) {
            named = spoiler.line(&named, &["x-amz-checksum-sha256", ",", "host"]).trim().to_owned();
        }
        let mut request = self.0.door.request("PUT", KEY).payload(kind).header("content-encoding", "aws-chunked");
        request = request.header("x-amz-decoded-content-length", &length);
        if has_trailer {
            request = request.header("x-amz-trailer", &named);
        }
        let (_, seed) = request.signed_head(None);
        let body = Self::body(&request.signing, &seed, is_signed, has_trailer.then_some(line.as_str()));
        let body = spoiler.bytes(&body, WORDS, LARGE);
        let (head, _) = request.signed_head(Some(body.len() as u64));
        Raw { head: head.into_bytes(), body }
    }

    /// What is taken is what was signed, or what its checksum says.
    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        let status = self.0.send(raw).await?;
        if status == 200 {
            self.0.get().await.map_err(|why| format!("a spoilt body is stored: {why}"))?;
        }
        Ok(status)
    }

    async fn good(&mut self) -> Result<(), String> {
        self.0.only_what_was_signed().await?;
        self.0.put_and_get().await
    }
}
