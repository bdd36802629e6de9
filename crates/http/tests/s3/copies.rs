//! Copies, deletions of many, tags, attributes.

use super::support::*;
use base64::Engine as _;
use sha2::Digest as _;

fn copy(door: &TestDoor, from: &str, to: &str) -> Request {
    door.request("PUT", to).header("x-amz-copy-source", from)
}

#[tokio::test]
async fn a_copy_has_bytes_metadata_and_tags() {
    let door = TestDoor::open().await;
    for size in [10, 200_000] {
        let bytes = content(size);
        let put = door.request("PUT", "src ü+").header("x-amz-meta-a", "1").header("content-type", "text/x");
        put.header("x-amz-tagging", "t=1").body(&bytes).send().await.expect_status(200);
        let copied = copy(&door, "/bkt/src%20%C3%BC%2B", "dst").send().await.expect_status(200);
        assert_eq!(copied.element("ETag"), Some(format!("\"{}\"", md5_hex(&bytes))));
        let get = door.request("GET", "dst").send().await.expect_status(200);
        assert!(get.body == bytes);
        assert_eq!((get.header("x-amz-meta-a"), get.header("content-type")), (Some("1"), Some("text/x")));
        assert_eq!(get.header("x-amz-tagging-count"), Some("1"));

        let replaced = copy(&door, "bkt/src%20%C3%BC%2B", "dst").header("x-amz-metadata-directive", "REPLACE");
        let replaced = replaced.header("x-amz-meta-b", "2").header("x-amz-tagging-directive", "REPLACE");
        replaced.header("x-amz-tagging", "u=1&v=2").send().await.expect_status(200);
        let get = door.request("GET", "dst").send().await.expect_status(200);
        assert_eq!((get.header("x-amz-meta-a"), get.header("x-amz-meta-b")), (None, Some("2")));
        assert_eq!(get.header("x-amz-tagging-count"), Some("2"));
    }
}

#[tokio::test]
async fn a_copy_goes_from_bucket_to_bucket() {
    let door = TestDoor::open().await;
    Request::new(door.address, "PUT", "/other").send().await.expect_status(200);
    door.put("k", b"x").await;
    let request = Request::new(door.address, "PUT", "/other/k2").header("x-amz-copy-source", "bkt/k");
    request.send().await.expect_status(200);
    let get = Request::new(door.address, "GET", "/other/k2").send().await.expect_status(200);
    assert_eq!(get.body, "x");
}

#[tokio::test]
async fn a_copy_source_is_just_a_key() {
    let door = TestDoor::open().await;
    door.put("../../etc/passwd", b"mine").await;
    copy(&door, "bkt/../../etc/passwd", "dst").send().await.expect_status(200);
    assert_eq!(door.get("dst").await, "mine");
    for (source, status) in [
        ("bkt/../x", 404),
        ("../bkt/k", 400),
        ("bkt", 400),
        ("", 400),
        ("missing/k", 404),
        ("bkt/%FF", 400),
        ("bkt/a%00", 400),
    ] {
        let response = copy(&door, source, "new").send().await;
        assert_eq!(response.status, status, "{source:?}: {}", response.text());
    }
    assert!(!door.exists("new").await);
}

#[tokio::test]
async fn a_copy_onto_itself_must_change_something() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    copy(&door, "bkt/k", "k").send().await.expect_error(400, "InvalidRequest");
    copy(&door, "bkt/k", "k").header("x-amz-metadata-directive", "REPLACE").send().await.expect_status(200);
    copy(&door, "bkt/k", "k")
        .header("x-amz-metadata-directive", "MOVE")
        .send()
        .await
        .expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn conditions_on_the_source_hold() {
    let door = TestDoor::open().await;
    let etag = door.put("k", b"x").await.header("etag").expect("an etag").to_owned();
    let (past, future) = ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2065 07:28:00 GMT");
    for (name, value, status) in [
        ("x-amz-copy-source-if-match", etag.as_str(), 200),
        ("x-amz-copy-source-if-match", "\"other\"", 412),
        ("x-amz-copy-source-if-none-match", etag.as_str(), 412),
        ("x-amz-copy-source-if-modified-since", past, 200),
        ("x-amz-copy-source-if-modified-since", future, 412),
        ("x-amz-copy-source-if-unmodified-since", past, 412),
    ] {
        copy(&door, "bkt/k", "dst").header(name, value).send().await.expect_status(status);
    }
}

#[tokio::test]
async fn conditions_on_the_target_hold() {
    let door = TestDoor::open().await;
    let etag = door.put("k", b"new").await.header("etag").expect("an etag").to_owned();
    let once = || copy(&door, "bkt/k", "dst").header("if-none-match", "*");
    once().send().await.expect_status(200);
    once().send().await.expect_error(412, "PreconditionFailed");
    door.put("dst", b"old").await;
    copy(&door, "bkt/k", "dst").header("if-match", &etag).send().await.expect_error(412, "PreconditionFailed");
    once().header("if-match", &etag).send().await.expect_error(501, "NotImplemented");
    assert_eq!(door.get("dst").await, "old");
}

#[tokio::test]
async fn a_copy_may_get_another_checksum() {
    let door = TestDoor::open().await;
    let bytes = content(300_000);
    door.put("k", &bytes).await;
    let copied =
        copy(&door, "bkt/k", "dst").header("x-amz-checksum-algorithm", "SHA256").send().await.expect_status(200);
    let expected = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&bytes));
    assert_eq!(copied.element("ChecksumSHA256"), Some(expected));
}

#[tokio::test]
async fn a_part_may_be_a_range_of_an_object() {
    let door = TestDoor::open().await;
    let bytes = content(300_000);
    door.put("src", &bytes).await;
    let begun = door.request("POST", "dst").query(&[("uploads", "")]).send().await.expect_status(200);
    let id = begun.element("UploadId").expect("an id");
    let copy_part = |range: &str| {
        copy(&door, "bkt/src", "dst")
            .query(&[("uploadId", &id), ("partNumber", "1")])
            .header("x-amz-copy-source-range", range)
    };
    for bad in ["bytes=0-300000", "bytes=5-1", "bytes=-5", "0-5"] {
        copy_part(bad).send().await.expect_error(400, "InvalidArgument");
    }
    let etag = copy_part("bytes=100-200099").send().await.expect_status(200).element("ETag").expect("an etag");
    assert_eq!(etag, format!("\"{}\"", md5_hex(&bytes[100..200_100])));
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    door.request("POST", "dst").query(&[("uploadId", &id)]).body(document.as_bytes()).send().await.expect_status(200);
    assert!(door.get("dst").await == bytes[100..200_100]);
}

fn delete_many(door: &TestDoor, keys: &[String], quiet: bool) -> Request {
    let objects: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
    let document = format!("<Delete><Quiet>{quiet}</Quiet>{objects}</Delete>");
    door.bucket_request("POST", &[("delete", "")]).body(document.as_bytes())
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let door = TestDoor::open().await;
    for key in ["a", "b&c", "d\re", "é"] {
        door.put(key, b"x").await;
    }
    let keys = ["a", "b&amp;c", "d&#13;e", "é", "missing"].map(str::to_owned);
    let deleted = delete_many(&door, &keys, false).send().await.expect_status(200);
    assert_eq!(deleted.elements("Key"), ["a", "b&amp;c", "d&#xD;e", "é", "missing"]);
    assert_eq!(door.store.usage().await.expect("usage").objects, 0);
    door.put("a", b"x").await;
    let quiet = delete_many(&door, &["a".to_owned()], true).send().await.expect_status(200);
    assert!(quiet.elements("Key").is_empty() && !door.exists("a").await);
    let one_bad = delete_many(&door, &["k".repeat(1025), "b".to_owned()], true).send().await.expect_status(200);
    assert_eq!(one_bad.element("Code").as_deref(), Some("KeyTooLongError"));
    door.put("a", b"x").await;
    let sized = "<Delete><Object><Key>a</Key><Size>5</Size></Object></Delete>";
    let sized = door.bucket_request("POST", &[("delete", "")]).body(sized.as_bytes()).send().await.expect_status(200);
    assert_eq!((sized.element("Code").as_deref(), door.exists("a").await), (Some("NotImplemented"), true));
}

#[tokio::test]
async fn documents_have_limits() {
    let door = TestDoor::open().await;
    door.put("0", b"x").await;
    let thousand_and_one: Vec<String> = (0..1001).map(|i| i.to_string()).collect();
    delete_many(&door, &thousand_and_one, true).send().await.expect_error(400, "MalformedXML");
    delete_many(&door, &[], true).send().await.expect_error(400, "MalformedXML");
    assert!(door.exists("0").await);
    delete_many(&door, &thousand_and_one[..1000], true).send().await.expect_status(200);
    for (document, code) in [
        (b"<Delete><Object>".to_vec(), "MalformedXML"),
        (b"not xml".to_vec(), "MalformedXML"),
        (
            b"<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><Delete><Object><Key>&e;</Key></Object></Delete>"
                .to_vec(),
            "MalformedXML",
        ),
        ("<a>".repeat(100_000).into_bytes(), "MalformedXML"),
        (vec![b' '; 20 << 20], "MaxMessageLengthExceeded"),
    ] {
        let length = document.len();
        let started = std::time::Instant::now();
        let response = door.bucket_request("POST", &[("delete", "")]).body(&document).send().await;
        response.expect_error(400, code);
        assert!(started.elapsed().as_secs() < 5, "{length} bytes took {:?}", started.elapsed());
    }
    let mismatch = delete_many(&door, &["x".to_owned()], true).header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
    mismatch.send().await.expect_error(400, "BadDigest");
    let mismatch = delete_many(&door, &["x".to_owned()], true).payload(&"0".repeat(64));
    mismatch.send().await.expect_error(400, "XAmzContentSHA256Mismatch");
}

#[tokio::test]
async fn tags_are_set_read_and_removed() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    let tagging = |method: &str| door.request(method, "k").query(&[("tagging", "")]);
    let document = "<Tagging><TagSet><Tag><Key>a b</Key><Value>ü&amp;</Value></Tag></TagSet></Tagging>";
    tagging("PUT").body(document.as_bytes()).send().await.expect_status(200);
    let tags = tagging("GET").send().await.expect_status(200);
    assert_eq!((tags.element("Key").as_deref(), tags.element("Value").as_deref()), (Some("a b"), Some("ü&amp;")));
    tagging("DELETE").send().await.expect_status(204);
    assert!(tagging("GET").send().await.expect_status(200).element("Key").is_none());
    let eleven: String = (0..11).map(|i| format!("<Tag><Key>{i}</Key><Value/></Tag>")).collect();
    let document = format!("<Tagging><TagSet>{eleven}</TagSet></Tagging>");
    tagging("PUT").body(document.as_bytes()).send().await.expect_error(400, "InvalidTag");
    let missing = door.request("GET", "missing").query(&[("tagging", "")]).send().await;
    missing.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn attributes_are_told_as_asked() {
    let door = TestDoor::open().await;
    door.request("PUT", "k").header("x-amz-checksum-crc32", "jNyhEw==").body(b"x").send().await;
    door.put("k", b"hello").await;
    let request =
        door.request("GET", "k").query(&[("attributes", "")]).header("x-amz-object-attributes", "ETag,ObjectSize");
    let response = request.send().await.expect_status(200);
    assert_eq!(response.element("ObjectSize").as_deref(), Some("5"));
    assert!(response.element("ETag").is_some_and(|etag| etag.contains(&md5_hex(b"hello"))));
    assert!(response.element("StorageClass").is_none());
}
