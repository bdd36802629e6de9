//! Multipart uploads, from their beginning to their completion or end.

use super::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filemill_core::object::BucketName;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const PART: usize = 5 << 20;

async fn begin(door: &TestDoor, key: &str, headers: &[(&str, &str)]) -> String {
    let request = door.request("POST", key).query(&[("uploads", "")]);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.expect_status(200).element("UploadId").expect("an upload id")
}

fn part(door: &TestDoor, key: &str, id: &str, number: &str, content: &[u8]) -> Request {
    door.request("PUT", key).query(&[("uploadId", id), ("partNumber", number)]).body(content)
}

async fn put_part(door: &TestDoor, key: &str, id: &str, number: u32, content: &[u8]) -> String {
    let put = part(door, key, id, &number.to_string(), content).send().await.expect_status(200);
    put.header("etag").expect("an etag").to_owned()
}

fn complete(door: &TestDoor, key: &str, id: &str, parts: &[(u32, &str)]) -> Request {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    door.request("POST", key).query(&[("uploadId", id)]).body(document.as_bytes())
}

#[tokio::test]
async fn parts_in_any_order_become_one_object() {
    let door = TestDoor::open().await;
    let bytes = content(2 * PART + 7);
    let id = begin(&door, "a/ü", &[("content-type", "text/x"), ("x-amz-meta-a", "b"), ("x-amz-tagging", "t=1")]).await;
    let third = put_part(&door, "a/ü", &id, 9, &bytes[2 * PART..]).await;
    put_part(&door, "a/ü", &id, 2, b"replaced").await;
    let second = put_part(&door, "a/ü", &id, 2, &bytes[PART..2 * PART]).await;
    let first = put_part(&door, "a/ü", &id, 1, &bytes[..PART]).await;
    assert!(!door.exists("a/ü").await);
    let parts = [(1, first.as_str()), (2, second.as_str()), (9, third.as_str())];
    let done = complete(&door, "a/ü", &id, &parts).send().await.expect_status(200);
    let md5s: Vec<u8> = [&bytes[..PART], &bytes[PART..2 * PART], &bytes[2 * PART..]]
        .iter()
        .flat_map(|part| hex::decode(md5_hex(part)).expect("hex"))
        .collect();
    let etag = format!("\"{}-3\"", md5_hex(&md5s));
    assert_eq!(done.element("ETag"), Some(etag.clone()));
    let get = door.request("GET", "a/ü").send().await.expect_status(200);
    assert!(get.body == bytes && get.header("etag") == Some(etag.as_str()));
    assert_eq!((get.header("content-type"), get.header("x-amz-meta-a")), (Some("text/x"), Some("b")));
    assert_eq!(get.header("x-amz-tagging-count"), Some("1"));

    let one = door.request("GET", "a/ü").query(&[("partNumber", "2")]).send().await.expect_status(206);
    assert!(one.body == bytes[PART..2 * PART] && one.header("x-amz-mp-parts-count") == Some("3"));
    door.request("GET", "a/ü").query(&[("partNumber", "4")]).send().await.expect_error(416, "InvalidPartNumber");

    let again = complete(&door, "a/ü", &id, &parts).send().await.expect_status(200);
    assert_eq!(again.element("ETag"), done.element("ETag"), "a completion whose answer was lost may be repeated");
    part(&door, "a/ü", &id, "3", b"x").send().await.expect_error(404, "NoSuchUpload");
}

#[tokio::test]
async fn a_completion_names_the_parts_that_are_there() {
    let door = TestDoor::open().await;
    let id = begin(&door, "k", &[]).await;
    let (a, b) = (put_part(&door, "k", &id, 1, b"small").await, put_part(&door, "k", &id, 2, b"last").await);
    let refused = async |parts: &[(u32, &str)], code| {
        complete(&door, "k", &id, parts).send().await.expect_error(400, code);
    };
    refused(&[], "MalformedXML").await;
    refused(&[(2, &b), (1, &a)], "InvalidPartOrder").await;
    refused(&[(1, &a), (1, &a)], "InvalidPartOrder").await;
    refused(&[(1, &b)], "InvalidPart").await;
    refused(&[(1, &a), (3, &b)], "InvalidPart").await;
    refused(&[(1, &a), (2, &b)], "EntityTooSmall").await;
    refused(&[(0, &a)], "InvalidArgument").await;
    let garbage = door.request("POST", "k").query(&[("uploadId", &id)]).body(b"<Complete");
    garbage.send().await.expect_error(400, "MalformedXML");
    let wrong_size = complete(&door, "k", &id, &[(2, &b)]).header("x-amz-mp-object-size", "5");
    wrong_size.send().await.expect_error(400, "InvalidRequest");
    assert!(!door.exists("k").await);
    complete(&door, "k", &id, &[(2, &b)]).send().await.expect_status(200);
    assert_eq!(door.get("k").await, "last");
}

#[tokio::test]
async fn an_upload_id_belongs_to_its_key() {
    let door = TestDoor::open().await;
    let id = begin(&door, "k", &[]).await;
    let etag = put_part(&door, "k", &id, 1, b"x").await;
    part(&door, "other", &id, "1", b"y").send().await.expect_error(404, "NoSuchUpload");
    complete(&door, "other", &id, &[(1, &etag)]).send().await.expect_error(404, "NoSuchUpload");
    for (method, key, upload) in
        [("DELETE", "other", id.as_str()), ("GET", "other", &id), ("DELETE", "k", "nonsense"), ("GET", "k", "../x")]
    {
        let request = door.request(method, key).query(&[("uploadId", upload)]);
        request.send().await.expect_error(404, "NoSuchUpload");
    }
    for number in ["0", "10001", "-1", "x"] {
        part(&door, "k", &id, number, b"y").send().await.expect_error(400, "InvalidArgument");
    }
    complete(&door, "k", &id, &[(1, &etag)]).send().await.expect_status(200);
    assert_eq!(door.get("k").await, "x");
}

#[tokio::test]
async fn part_numbers_run_from_1_to_10000() {
    let door = TestDoor::open().await;
    let id = begin(&door, "k", &[]).await;
    for number in ["0", "10001", "-1", "", "1.5", "one", "4294967297", "99999999999999999999"] {
        let refused = part(&door, "k", &id, number, b"x").send().await;
        assert_eq!(refused.status, 400, "{number:?}: {}", refused.text());
        let named = format!(
            "<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
        );
        let completion = door.request("POST", "k").query(&[("uploadId", &id)]).body(named.as_bytes()).send().await;
        assert_eq!(completion.status, 400, "{number:?}: {}", completion.text());
    }
    let last = put_part(&door, "k", &id, 10_000, b"x").await;
    complete(&door, "k", &id, &[(10_000, &last)]).send().await.expect_status(200);
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let door = TestDoor::open().await;
    let id = begin(&door, "k", &[]).await;
    put_part(&door, "k", &id, 1, &content(100_000)).await;
    door.request("DELETE", "k").query(&[("uploadId", &id)]).send().await.expect_status(204);
    door.request("GET", "k").query(&[("uploadId", &id)]).send().await.expect_error(404, "NoSuchUpload");
    part(&door, "k", &id, "2", b"x").send().await.expect_error(404, "NoSuchUpload");
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn parts_and_uploads_are_listed_in_pages() {
    let door = TestDoor::open().await;
    let id = begin(&door, "b/1", &[]).await;
    for number in 1..=5 {
        put_part(&door, "b/1", &id, number, b"x").await;
    }
    let page = door.request("GET", "b/1").query(&[("uploadId", &id), ("max-parts", "2"), ("part-number-marker", "1")]);
    let page = page.send().await.expect_status(200);
    assert_eq!(page.elements("PartNumber"), ["2", "3"]);
    assert_eq!(
        (page.element("IsTruncated").as_deref(), page.element("NextPartNumberMarker").as_deref()),
        (Some("true"), Some("3"))
    );
    let rest = door.request("GET", "b/1").query(&[("uploadId", &id), ("part-number-marker", "3")]).send().await;
    assert_eq!(
        (rest.elements("PartNumber"), rest.element("IsTruncated").as_deref()),
        (vec!["4".into(), "5".into()], Some("false"))
    );

    for key in ["a", "b/2", "c"] {
        begin(&door, key, &[]).await;
    }
    let all = door.bucket_request("GET", &[("uploads", "")]).send().await.expect_status(200);
    assert_eq!(all.elements("Key"), ["a", "b/1", "b/2", "c"]);
    let id = begin(&door, "d e+", &[]).await;
    let encoded =
        door.bucket_request("GET", &[("uploads", ""), ("encoding-type", "url"), ("prefix", "d ")]).send().await;
    let encoded = encoded.expect_status(200);
    assert_eq!(
        (encoded.elements("Key"), encoded.elements("UploadId")),
        (vec!["d%20e%2B".to_owned()], vec![id.clone()])
    );
    door.request("DELETE", "d e+").query(&[("uploadId", &id)]).send().await.expect_status(204);
    let folded = door.bucket_request("GET", &[("uploads", ""), ("delimiter", "/"), ("max-uploads", "2")]);
    let folded = folded.send().await.expect_status(200);
    assert_eq!((folded.elements("Key"), folded.text().contains("<Prefix>b/</Prefix>")), (vec!["a".to_owned()], true));
    let marker = folded.element("NextKeyMarker").expect("more");
    let next = door.bucket_request("GET", &[("uploads", ""), ("delimiter", "/"), ("key-marker", &marker)]).send().await;
    assert_eq!(next.expect_status(200).elements("Key"), ["c"]);
}

#[tokio::test]
async fn a_promised_checksum_is_made_and_checked() {
    let door = TestDoor::open().await;
    let sha256 = |content: &[u8]| STANDARD.encode(Sha256::digest(content));
    let id = begin(&door, "k", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let put = part(&door, "k", &id, "1", b"one").header("x-amz-checksum-sha256", &sha256(b"one")).send().await;
    let etag = put.expect_status(200).header("etag").expect("an etag").to_owned();
    let other = part(&door, "k", &id, "2", b"x").header("x-amz-checksum-crc32", "jNjh8w==").send().await;
    other.expect_error(400, "InvalidRequest");
    let wrong = part(&door, "k", &id, "1", b"two").header("x-amz-checksum-sha256", &sha256(b"one")).send().await;
    wrong.expect_error(400, "BadDigest");
    let composite = format!("{}-1", sha256(&Sha256::digest(b"one")));
    let lie = complete(&door, "k", &id, &[(1, &etag)]).header("x-amz-checksum-sha256", &sha256(b"x"));
    lie.send().await.expect_error(400, "BadDigest");
    let done = complete(&door, "k", &id, &[(1, &etag)]).header("x-amz-checksum-sha256", &composite);
    let done = done.send().await.expect_status(200);
    assert_eq!(done.element("ChecksumSHA256"), Some(composite.clone()));
    let head = door.request("HEAD", "k").header("x-amz-checksum-mode", "ENABLED").send().await;
    assert_eq!(head.header("x-amz-checksum-sha256"), Some(composite.as_str()));
    assert_eq!(head.header("x-amz-checksum-type"), Some("COMPOSITE"));
}

#[tokio::test]
async fn a_full_object_checksum_is_that_of_one_put() {
    let door = TestDoor::open().await;
    let bytes = content(PART + 1000);
    for (algorithm, element, parameters) in [
        ("CRC32", "ChecksumCRC32", crc_fast::CrcAlgorithm::Crc32IsoHdlc),
        ("CRC64NVME", "ChecksumCRC64NVME", crc_fast::CrcAlgorithm::Crc64Nvme),
    ] {
        let headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", "FULL_OBJECT")];
        let id = begin(&door, "k", &headers).await;
        let first = put_part(&door, "k", &id, 1, &bytes[..PART]).await;
        let second = put_part(&door, "k", &id, 2, &bytes[PART..]).await;
        let done = complete(&door, "k", &id, &[(1, &first), (2, &second)]).send().await.expect_status(200);
        let crc = crc_fast::checksum(parameters, &bytes).to_be_bytes();
        let expected = if algorithm == "CRC32" { STANDARD.encode(&crc[4..]) } else { STANDARD.encode(crc) };
        assert_eq!(done.element(element), Some(expected));
        assert_eq!(done.element("ChecksumType").as_deref(), Some("FULL_OBJECT"));
    }
}

#[tokio::test]
async fn a_completion_may_be_conditional() {
    let door = TestDoor::open().await;
    door.put("k", b"old").await;
    let id = begin(&door, "k", &[]).await;
    let etag = put_part(&door, "k", &id, 1, b"new").await;
    let completion = complete(&door, "k", &id, &[(1, &etag)]).header("if-none-match", "*");
    completion.send().await.expect_error(412, "PreconditionFailed");
    assert_eq!(door.get("k").await, "old");
    complete(&door, "k", &id, &[(1, &etag)]).send().await.expect_status(200);
    assert_eq!(door.get("k").await, "new");
}

#[tokio::test]
async fn a_bucket_limit_holds_for_the_sum_of_the_parts() {
    let limits = BTreeMap::from([(BucketName::parse(BUCKET).expect("a name"), PART as u64 + 10)]);
    let door = TestDoor::with(|config| config.bucket_limits = limits).await;
    let id = begin(&door, "k", &[]).await;
    let first = put_part(&door, "k", &id, 1, &content(PART)).await;
    let second = put_part(&door, "k", &id, 2, &content(11)).await;
    let whole = complete(&door, "k", &id, &[(1, &first), (2, &second)]);
    whole.send().await.expect_error(400, "EntityTooLarge");
    complete(&door, "k", &id, &[(1, &first)]).send().await.expect_status(200);
}

#[tokio::test]
async fn parts_may_be_sent_by_links() {
    let door = TestDoor::open().await;
    let id = begin(&door, "k", &[]).await;
    let link = door.request("PUT", "k").query(&[("uploadId", &id), ("partNumber", "1")]).presign("60");
    let etag = link.send(b"by link").await.expect_status(200).header("etag").expect("an etag").to_owned();
    let other = link.replace("partNumber=1", "partNumber=2").send(b"x").await;
    other.expect_error(403, "SignatureDoesNotMatch");
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let done = door.request("POST", "k").query(&[("uploadId", &id)]).presign("60").send(document.as_bytes()).await;
    done.expect_status(200);
    assert_eq!(door.get("k").await, "by link");
}
