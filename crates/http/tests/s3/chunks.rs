//! `aws-chunked` bodies: signed and unsigned, with and without trailers.

use super::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn crc32(content: &[u8]) -> String {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, content) as u32;
    STANDARD.encode(crc.to_be_bytes())
}

struct Chunked {
    request: Request,
    chunks: Vec<Vec<u8>>,
    trailer: Option<(String, String)>,
    is_signed: bool,
}

impl Chunked {
    fn of(door: &TestDoor, chunks: &[&[u8]], is_signed: bool, trailer: Option<(&str, &str)>) -> Self {
        let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let kind = match (is_signed, trailer.is_some()) {
            (true, false) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            (true, true) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            (false, _) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        };
        let mut request = door.request("PUT", "k").payload(kind).header("content-encoding", "aws-chunked");
        request = request.header("x-amz-decoded-content-length", &length.to_string());
        if let Some((name, _)) = trailer {
            request = request.header("x-amz-trailer", name);
        }
        Chunked {
            request,
            chunks: chunks.iter().map(|chunk| chunk.to_vec()).collect(),
            trailer: trailer.map(|(name, value)| (name.to_owned(), value.to_owned())),
            is_signed,
        }
    }

    fn body(&self, seed: &str) -> Vec<u8> {
        let signing = &self.request.signing;
        let preamble = format!("{}\n{}", signing.date(), signing.scope());
        let mut previous = seed.to_owned();
        let mut body = Vec::new();
        for chunk in self.chunks.iter().map(Vec::as_slice).chain([&b""[..]]) {
            let digest = hex::encode(Sha256::digest(chunk));
            previous = signing.sign(&format!("AWS4-HMAC-SHA256-PAYLOAD\n{preamble}\n{previous}\n{EMPTY}\n{digest}"));
            let extension = if self.is_signed { format!(";chunk-signature={previous}") } else { String::new() };
            body.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            if !chunk.is_empty() {
                body.extend_from_slice(b"\r\n");
            }
        }
        if let Some((name, value)) = &self.trailer {
            body.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            if self.is_signed {
                let digest = hex::encode(Sha256::digest(format!("{name}:{value}\n")));
                let signature = signing.sign(&format!("AWS4-HMAC-SHA256-TRAILER\n{preamble}\n{previous}\n{digest}"));
                body.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
            }
        }
        body.extend_from_slice(b"\r\n");
        body
    }

    async fn send(&self, door: &TestDoor, spoil: impl FnOnce(&mut Vec<u8>)) -> Response {
        let (_, seed) = self.request.signed_head(None);
        let mut body = self.body(&seed);
        spoil(&mut body);
        let (head, _) = self.request.signed_head(Some(body.len() as u64));
        exchange(door.address, head.as_bytes(), &body).await
    }
}

#[tokio::test]
async fn every_form_of_chunks_is_taken_apart() {
    let door = TestDoor::open().await;
    let (small, large) = (content(70_000), content(2_500_000));
    for chunks in [
        vec![&b""[..0]],
        vec![&small[..8192], &small[8192..]],
        vec![&large[..]],
        vec![&large[..1 << 20], &large[1 << 20..]],
    ] {
        let chunks: Vec<&[u8]> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let whole = chunks.concat();
        let crc = crc32(&whole);
        for (is_signed, with_trailer) in [(true, false), (true, true), (false, true)] {
            let trailer = with_trailer.then_some(("x-amz-checksum-crc32", crc.as_str()));
            let put = Chunked::of(&door, &chunks, is_signed, trailer).send(&door, |_| {}).await.expect_status(200);
            assert_eq!(put.header("etag"), Some(format!("\"{}\"", md5_hex(&whole)).as_str()));
            assert_eq!(put.header("x-amz-checksum-crc32"), with_trailer.then_some(crc.as_str()));
            let get = door.request("GET", "k").send().await.expect_status(200);
            assert!(get.body == whole && get.header("content-encoding").is_none());
        }
    }
}

#[tokio::test]
async fn a_changed_chunk_or_trailer_stores_nothing() {
    let door = TestDoor::open().await;
    door.put("k", b"old").await;
    for size in [5000, 1_500_000] {
        let bytes = content(size);
        let crc = crc32(&bytes);
        let chunked = |is_signed, value: &str| {
            Chunked::of(&door, &[&bytes[..1000], &bytes[1000..]], is_signed, Some(("x-amz-checksum-crc32", value)))
        };
        let flip = |body: &mut Vec<u8>| body[600] ^= 1;
        chunked(true, &crc).send(&door, flip).await.expect_error(403, "SignatureDoesNotMatch");
        chunked(false, &crc).send(&door, flip).await.expect_error(400, "BadDigest");
        chunked(false, "AAAAAA==").send(&door, |_| {}).await.expect_error(400, "BadDigest");
        let forge = |body: &mut Vec<u8>| {
            let at = memchr::memmem::find(body, crc.as_bytes()).expect("the trailer");
            body[at] = if body[at] == b'A' { b'B' } else { b'A' };
        };
        chunked(true, &crc).send(&door, forge).await.expect_error(403, "SignatureDoesNotMatch");
        let drop_trailer = |body: &mut Vec<u8>| {
            let at = memchr::memmem::find(body, b"x-amz-checksum").expect("the trailer");
            body.truncate(at);
            body.extend_from_slice(b"\r\n");
        };
        chunked(false, &crc).send(&door, drop_trailer).await.expect_error(400, "MalformedTrailerError");
        let last_chunk = |body: &mut Vec<u8>| {
            let at = memchr::memmem::rfind(body, b"\r\n0").expect("the last chunk");
            body.truncate(at + 2);
        };
        chunked(false, &crc).send(&door, last_chunk).await.expect_error(400, "IncompleteBody");
        chunked(false, &crc).send(&door, |body| body[0] = b'z').await.expect_error(400, "InvalidRequest");
    }
    assert_eq!(door.get("k").await, "old");
}

#[tokio::test]
async fn the_decoded_length_must_be_that_of_the_content() {
    let door = TestDoor::open().await;
    for (declared, code) in [("4", "IncompleteBody"), ("6", "IncompleteBody"), ("x", "InvalidArgument")] {
        let mut chunked = Chunked::of(&door, &[b"hello"], false, None);
        chunked.request = door.request("PUT", "k").payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        chunked.request = chunked
            .request
            .header("x-amz-decoded-content-length", declared)
            .header("x-amz-trailer", "x-amz-checksum-crc32");
        chunked.send(&door, |_| {}).await.expect_error(400, code);
    }
    assert!(!door.exists("k").await);
}
