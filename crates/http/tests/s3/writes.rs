//! PUT: verified, whole, within limits, or not at all.

use super::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filemill_core::object::BucketName;
use filemill_memory::{MemoryOptions, MemoryStore};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Below and above what fits in memory.
const SIZES: [usize; 4] = [0, 1000, 64 * 1024, 3_000_001];

fn crc(algorithm: crc_fast::CrcAlgorithm, content: &[u8]) -> u64 {
    crc_fast::checksum(algorithm, content)
}

fn checksums(content: &[u8]) -> [(&'static str, String); 5] {
    use crc_fast::CrcAlgorithm::*;
    use s3s::crypto::Checksum as _;
    let of_32 = |crc: u64| STANDARD.encode((crc as u32).to_be_bytes());
    [
        ("x-amz-checksum-crc32", of_32(crc(Crc32IsoHdlc, content))),
        ("x-amz-checksum-crc32c", of_32(crc(Crc32Iscsi, content))),
        ("x-amz-checksum-crc64nvme", STANDARD.encode(crc(Crc64Nvme, content).to_be_bytes())),
        ("x-amz-checksum-sha1", STANDARD.encode(s3s::crypto::Sha1::checksum(content))),
        ("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(content))),
    ]
}

#[tokio::test]
async fn an_object_is_its_bytes_and_its_md5() {
    let door = TestDoor::open().await;
    for size in SIZES {
        let bytes = content(size);
        let put = door.put("k", &bytes).await;
        assert_eq!(put.header("etag"), Some(format!("\"{}\"", md5_hex(&bytes)).as_str()));
        assert!(door.get("k").await == bytes, "{size} bytes");
    }
}

#[tokio::test]
async fn a_right_checksum_is_stored_and_told() {
    let door = TestDoor::open().await;
    for size in SIZES {
        let bytes = content(size);
        for (name, value) in checksums(&bytes) {
            let put = door.request("PUT", "k").header(name, &value).body(&bytes).send().await.expect_status(200);
            assert_eq!(put.header(name), Some(value.as_str()));
            for method in ["GET", "HEAD"] {
                let asked = door.request(method, "k").header("x-amz-checksum-mode", "ENABLED").send().await;
                assert_eq!(asked.header(name), Some(value.as_str()), "{method} {size}");
                assert_eq!(asked.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
                let unasked = door.request(method, "k").send().await;
                assert_eq!(unasked.header(name), None);
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_checksum_stores_nothing_and_keeps_the_old_object() {
    let door = TestDoor::open().await;
    door.put("k", b"old").await;
    for size in [1000, 3_000_001] {
        let bytes = content(size);
        for (name, value) in checksums(b"something else") {
            let put = door.request("PUT", "k").header(name, &value).body(&bytes).send().await;
            put.expect_error(400, "BadDigest");
            door.request("PUT", "new").header(name, &value).body(&bytes).send().await.expect_error(400, "BadDigest");
        }
        let md5 = STANDARD.encode([7; 16]);
        let put = door.request("PUT", "k").header("content-md5", &md5).body(&bytes).send().await;
        put.expect_error(400, "BadDigest");
        let put = door.request("PUT", "k").payload(&hex::encode([7; 32])).body(&bytes).send().await;
        put.expect_error(400, "XAmzContentSHA256Mismatch");
    }
    assert_eq!(door.get("k").await, "old");
    assert!(!door.exists("new").await);
    assert_eq!(door.store.usage().await.expect("usage").objects, 1);
}

#[tokio::test]
async fn right_digests_are_accepted() {
    let door = TestDoor::open().await;
    for size in SIZES {
        let bytes = content(size);
        let md5 = STANDARD.encode(hex::decode(md5_hex(&bytes)).expect("hex"));
        let sha256 = hex::encode(Sha256::digest(&bytes));
        door.request("PUT", "k")
            .header("content-md5", &md5)
            .payload(&sha256)
            .body(&bytes)
            .send()
            .await
            .expect_status(200);
    }
}

#[tokio::test]
async fn a_digest_that_cannot_be_right_is_refused_before_the_body() {
    let door = TestDoor::open().await;
    for (name, value, code) in [
        ("content-md5", "short", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAA", "InvalidRequest"),
        ("x-amz-checksum-sha256", "not base64!", "InvalidRequest"),
        ("x-amz-sdk-checksum-algorithm", "CRC32", "InvalidRequest"),
        ("x-amz-sdk-checksum-algorithm", "MD4", "InvalidRequest"),
    ] {
        door.request("PUT", "k").header(name, value).body(b"x").send().await.expect_error(400, code);
    }
    let two =
        door.request("PUT", "k").header("x-amz-checksum-crc32", "AAAAAA==").header("x-amz-checksum-crc32c", "AAAAAA==");
    two.send().await.expect_error(400, "InvalidRequest");
}

#[tokio::test]
async fn a_body_cut_short_leaves_the_old_object() {
    let door = TestDoor::open().await;
    door.put("k", b"old").await;
    for (declared, sent) in [(100, 99), (2_000_000, 1_999_999)] {
        let mut stream = door.request("PUT", "k").send_head(Some(declared)).await;
        stream.write_all(&content(sent)).await.expect("most of the body");
        stream.shutdown().await.expect("the end");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(door.get("k").await, "old");
}

#[tokio::test]
async fn bytes_beyond_the_declared_length_are_not_part_of_the_object() {
    let door = TestDoor::open().await;
    let mut stream = door.request("PUT", "k").send_head(Some(3)).await;
    stream.write_all(b"abcdef\r\n\r\n").await.expect("a body");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("the door closes the connection");
    assert!(
        answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 400"),
        "the rest is no request: {answers}"
    );
    assert_eq!(door.get("k").await, "abc");
}

#[tokio::test]
async fn a_body_without_a_length_is_refused() {
    let door = TestDoor::open().await;
    for rest in ["transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "\r\n"] {
        let (head, _) = door.request("PUT", "k").signed_head(None);
        let head = format!("{}\r\n{rest}", head.trim_end());
        exchange(door.address, head.as_bytes(), b"").await.expect_error(411, "MissingContentLength");
    }
    assert!(!door.exists("k").await);
}

/// A proxy in front may have read another length than we: what follows is no request.
#[tokio::test]
async fn ambiguous_lengths_store_nothing_and_end_the_connection() {
    let door = TestDoor::open().await;
    let cases = [
        "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "content-length: -1\r\n\r\nabc",
        "content-length: 3, 3\r\n\r\nabc",
    ];
    for rest in cases {
        let (head, _) = door.request("PUT", "k").signed_head(None);
        let smuggled = door.request("PUT", "smuggled").signed_head(Some(0)).0;
        let mut stream = door.connect().await;
        let sent = format!("{}\r\n{rest}{smuggled}", head.trim_end());
        stream.write_all(sent.as_bytes()).await.expect("a request and what hides behind it");
        let mut answers = Vec::new();
        let _reset_is_an_end_too = stream.read_to_end(&mut answers).await;
        let answers = String::from_utf8_lossy(&answers);
        let is_refused = ["HTTP/1.1 400 ", "HTTP/1.1 411 "].iter().any(|status| answers.starts_with(status));
        assert!(is_refused && answers.matches("HTTP/1.1 ").count() == 1, "{rest:?}: {answers}");
    }
    assert!(!door.exists("k").await && !door.exists("smuggled").await);
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_it_is_asked_for() {
    let small = BTreeMap::from([(BucketName::parse(BUCKET).expect("a name"), 1000)]);
    for (limits, length) in [(BTreeMap::new(), (5 << 30) + 1), (BTreeMap::new(), 6 << 40), (small, 1001)] {
        let door = TestDoor::with(|config| config.bucket_limits = limits).await;
        let mut stream = door.request("PUT", "k").header("expect", "100-continue").send_head(Some(length)).await;
        read_response(&mut stream).await.expect_error(400, "EntityTooLarge");
    }
}

#[tokio::test]
async fn a_buckets_limit_holds_however_its_name_is_spelt() {
    let small = BTreeMap::from([(BucketName::parse(BUCKET).expect("a name"), 1000)]);
    let door = TestDoor::with(|config| config.bucket_limits = small).await;
    let begun = door.request("POST", "k").query(&[("uploads", "")]).send().await.expect_status(200);
    let id = begun.element("UploadId").expect("an id");
    for query in [vec![], vec![("uploadId", id.as_str()), ("partNumber", "1")]] {
        let link = door.request("PUT", "k").query(&query).presign("60").replace("/bkt/", "/%62kt/");
        link.send(&content(1001)).await.expect_error(400, "EntityTooLarge");
        link.send(&content(1000)).await.expect_status(200);
    }
}

#[tokio::test]
async fn a_store_without_room_refuses_new_bytes_before_they_are_sent() {
    let store = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
    let door = TestDoor::over(store.clone(), |_| {}).await;
    door.put("there", b"kept").await;
    let begin = || async { door.request("POST", "parts").query(&[("uploads", "")]).send().await };
    let upload = begin().await.expect_status(200).element("UploadId").expect("an id");
    store.set_room(Some(100_000));
    for (length, status) in [(50_000, 100), (200_000, 503)] {
        let mut stream = door.request("PUT", "k").header("expect", "100-continue").send_head(Some(length)).await;
        assert_eq!(read_response(&mut stream).await.status, status, "{length}");
    }
    store.set_room(Some(0));
    let part = door.request("PUT", "parts").query(&[("partNumber", "1"), ("uploadId", &upload)]);
    for refused in [door.request("PUT", "k"), part] {
        let mut stream = refused.header("expect", "100-continue").send_head(Some(3)).await;
        let response = read_response(&mut stream).await.expect_error(503, "SlowDown");
        assert_eq!(response.header("retry-after"), Some("2"));
    }
    let copy = door.request("PUT", "copy").header("x-amz-copy-source", &format!("/{BUCKET}/there")).send().await;
    copy.expect_error(503, "SlowDown");
    begin().await.expect_error(503, "SlowDown");
    assert_eq!(door.get("there").await, "kept");
    door.request("DELETE", "parts").query(&[("uploadId", &upload)]).send().await.expect_status(204);
    door.request("DELETE", "there").send().await.expect_status(204);
    store.set_room(None);
    door.put("there", b"again").await;
}

#[tokio::test]
async fn a_waiting_client_is_told_to_continue_only_when_its_head_is_right() {
    let door = TestDoor::open().await;
    let mut stream = door.request("PUT", "k").header("expect", "100-continue").send_head(Some(3)).await;
    assert_eq!(read_response(&mut stream).await.status, 100);
    stream.write_all(b"abc").await.expect("a body");
    let done = read_response(&mut stream).await.expect_status(200);
    assert_eq!(done.header("connection"), None);

    let wrong = door.request("PUT", "k").header("expect", "100-continue").signed_by(|s| s.secret = "wrong".into());
    read_response(&mut wrong.send_head(Some(3)).await).await.expect_error(403, "SignatureDoesNotMatch");
}

/// botocore takes the status of such an answer for that of its next request on the connection.
#[tokio::test]
async fn a_final_answer_to_a_waiting_client_closes_its_connection() {
    let door = TestDoor::open().await;
    let mut stream = door.request("PUT", "empty").header("expect", "100-continue").send_head(Some(0)).await;
    let done = read_response(&mut stream).await.expect_status(200);
    assert_eq!(done.header("connection"), Some("close"));
    assert_eq!(stream.read(&mut [0]).await.expect("an orderly end"), 0);
}

#[tokio::test]
async fn metadata_comes_back_and_has_a_limit() {
    let door = TestDoor::open().await;
    let put = door
        .request("PUT", "k")
        .header("x-amz-meta-a", "1")
        .header("x-amz-meta-b-c", "two words")
        .header("content-type", "text/x");
    let put =
        put.header("cache-control", "no-cache").header("content-language", "de").header("content-encoding", "gzip");
    put.header("expires", "Wed, 21 Oct 2026 07:28:00 GMT").send().await.expect_status(200);
    for method in ["GET", "HEAD"] {
        let response = door.request(method, "k").send().await.expect_status(200);
        for (name, value) in [
            ("x-amz-meta-a", "1"),
            ("x-amz-meta-b-c", "two words"),
            ("content-type", "text/x"),
            ("cache-control", "no-cache"),
            ("content-language", "de"),
            ("content-encoding", "gzip"),
            ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ] {
            assert_eq!(response.header(name), Some(value), "{method}");
        }
    }
    let fits = "x".repeat(2048 - 1);
    door.request("PUT", "k").header("x-amz-meta-a", &fits).send().await.expect_status(200);
    let over = "x".repeat(2048);
    door.request("PUT", "new").header("x-amz-meta-a", &over).send().await.expect_error(400, "MetadataTooLarge");
    assert!(!door.exists("new").await);
}

#[tokio::test]
async fn metadata_beyond_ascii_travels_as_an_encoded_word() {
    let door = TestDoor::open().await;
    door.request("PUT", "k")
        .header("x-amz-meta-name", "=?UTF-8?B?R3LDvMOfZQ0KWC1FdmlsOiAx?=")
        .send()
        .await
        .expect_status(200);
    let response = door.request("GET", "k").send().await.expect_status(200);
    assert_eq!(response.header("x-amz-meta-name"), Some("=?UTF-8?B?R3LDvMOfZQ0KWC1FdmlsOiAx?="), "Grüße, CR, LF");
    assert_eq!(response.header("x-evil"), None);
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let door = TestDoor::open().await;
    for (name, value, status) in [
        ("x-amz-acl", "public-read", 400),
        ("x-amz-grant-read", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"", 400),
        ("x-amz-storage-class", "GLACIER", 400),
        ("x-amz-server-side-encryption", "AES256", 501),
        ("x-amz-object-lock-mode", "GOVERNANCE", 400),
        ("x-amz-website-redirect-location", "/x", 501),
    ] {
        door.request("PUT", "k").header(name, value).body(b"x").send().await.expect_status(status);
    }
    assert!(!door.exists("k").await);
    let put = door.request("PUT", "k").header("x-amz-acl", "private").header("x-amz-storage-class", "STANDARD");
    put.send().await.expect_status(200);
}

#[tokio::test]
async fn half_the_address_of_a_part_is_no_object() {
    let door = TestDoor::open().await;
    door.put("k", b"old").await;
    for half in [("uploadId", "x"), ("partNumber", "1")] {
        door.request("PUT", "k").query(&[half]).body(b"x").send().await.expect_error(400, "InvalidArgument");
    }
    assert_eq!(door.get("k").await, "old");
}

#[tokio::test]
async fn a_put_to_a_missing_bucket_is_not_found() {
    let door = TestDoor::open().await;
    for size in [10, 100_000] {
        let request = Request::new(door.address, "PUT", "/missing/k").body(&content(size));
        request.send().await.expect_error(404, "NoSuchBucket");
    }
}
