//! GET and HEAD: ranges, overrides, what protects a browser, and damage that is never served.

use super::support::*;
use async_trait::async_trait;
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use filemill_memory::{FaultPlan, MemoryOptions, MemoryStore};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

#[tokio::test]
async fn ranges_are_exact() {
    let door = TestDoor::open().await;
    for size in [1000usize, 1_000_000] {
        let bytes = content(size);
        door.put("k", &bytes).await;
        let end = size - 1;
        let cases = [
            ("bytes=0-0".to_owned(), 0..1),
            (format!("bytes=0-{end}"), 0..size),
            (format!("bytes=10-{}", end + 5), 10..size),
            ("bytes=500-".to_owned(), 500..size),
            ("bytes=-7".to_owned(), size - 7..size),
            (format!("bytes=-{}", size + 9), 0..size),
        ];
        for (range, expected) in cases {
            let get = door.request("GET", "k").header("range", &range).send().await.expect_status(206);
            assert!(get.body == bytes[expected.clone()], "{range}");
            let content_range = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
            assert_eq!(get.header("content-range"), Some(content_range.as_str()));
            let head = door.request("HEAD", "k").header("range", &range).send().await.expect_status(206);
            assert_eq!(head.header("content-length"), Some(expected.len().to_string().as_str()));
        }
        let beyond = door.request("GET", "k").header("range", &format!("bytes={size}-")).send().await;
        assert_eq!(
            beyond.expect_error(416, "InvalidRange").header("content-range"),
            Some(format!("bytes */{size}").as_str())
        );
        assert_eq!(door.request("GET", "k").send().await.header("accept-ranges"), Some("bytes"));
    }
}

/// Browsers send such ranges along with links.
#[tokio::test]
async fn a_range_that_cannot_be_served_is_passed_over() {
    let door = TestDoor::open().await;
    door.put("k", b"0123456789").await;
    for range in ["bytes=0-1,3-4", "bytes=abc", "items=0-1", "bytes=5-2", "\u{e9}"] {
        let by_link = door.request("GET", "k").presign("60").with_header("range", range).send(b"").await;
        let by_header = door.request("GET", "k").unsigned_header("range", range).send().await;
        for response in [by_link, by_header] {
            assert_eq!(response.expect_status(200).body, "0123456789", "{range}");
        }
    }
    let twice = door.request("GET", "k").unsigned_header("range", "bytes=0-1").unsigned_header("range", "bytes=2-3");
    assert_eq!(twice.send().await.expect_status(200).body, "0123456789");
    let single = door.request("GET", "k").presign("60").with_header("range", "bytes=2-3").send(b"").await;
    assert_eq!(single.expect_status(206).body, "23");
}

#[tokio::test]
async fn an_object_that_is_xml_keeps_its_bytes() {
    let door = TestDoor::open().await;
    let document = b"<Error>\r\n\x01</Error>\r";
    door.request("PUT", "k").header("content-type", "application/xml").body(document).send().await.expect_status(200);
    assert_eq!(door.get("k").await, &document[..]);
}

#[tokio::test]
async fn a_resumed_download_is_never_a_mix() {
    let door = TestDoor::open().await;
    let etag = door.put("k", b"0123456789").await.header("etag").expect("an etag").to_owned();
    let resume = |etag: &str| door.request("GET", "k").header("range", "bytes=5-").header("if-range", etag);
    assert_eq!(resume(&etag).send().await.expect_status(206).body, "56789");
    door.put("k", b"abcdefghij").await;
    assert_eq!(resume(&etag).send().await.expect_status(200).body, "abcdefghij");
}

#[tokio::test]
async fn an_empty_object_reads_as_empty() {
    let door = TestDoor::open().await;
    door.put("k", b"").await;
    assert_eq!(door.request("GET", "k").send().await.expect_status(200).header("content-length"), Some("0"));
    door.request("GET", "k").query(&[("partNumber", "1")]).send().await.expect_status(200);
    door.request("GET", "k").header("range", "bytes=0-").send().await.expect_error(416, "InvalidRange");
}

#[tokio::test]
async fn signed_overrides_change_the_headers() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    let query = [
        ("response-content-type", "text/plain"),
        ("response-content-disposition", "attachment; filename=\"a b.txt\""),
        ("response-cache-control", "no-store"),
        ("response-content-language", "de"),
        ("response-expires", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ];
    for method in ["GET", "HEAD"] {
        let response = door.request(method, "k").query(&query).presign("60").send(b"").await.expect_status(200);
        for (name, value) in query {
            assert_eq!(response.header(&name["response-".len()..]), Some(value), "{method}");
        }
    }
    let evil = door.request("GET", "k").query(&[("response-content-type", "a\r\nx-evil: 1")]).presign("60");
    let response = evil.send(b"").await.expect_status(400);
    assert_eq!(response.header("x-evil"), None);
}

#[tokio::test]
async fn a_stored_page_cannot_run() {
    let door = TestDoor::open().await;
    for (content_type, disposition) in [
        ("text/html", Some("attachment")),
        ("image/svg+xml; charset=utf-8", Some("attachment")),
        ("application/xhtml+xml", Some("attachment")),
        ("text/plain", None),
        ("image/png", None),
    ] {
        door.request("PUT", "k").header("content-type", content_type).body(b"<script>").send().await.expect_status(200);
        let get = door.request("GET", "k").send().await.expect_status(200);
        assert_eq!(get.header("content-disposition"), disposition, "{content_type}");
        assert_eq!(get.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(get.header("content-security-policy"), Some("sandbox"));
    }
    let put = door.request("PUT", "k").header("content-type", "text/html").header("content-disposition", "inline");
    put.send().await.expect_status(200);
    assert_eq!(door.request("GET", "k").send().await.header("content-disposition"), Some("inline"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let door = TestDoor::open().await;
    door.request("GET", "k").send().await.expect_error(404, "NoSuchKey");
    assert_eq!(door.request("HEAD", "k").send().await.status, 404);
    Request::new(door.address, "GET", "/missing/k").send().await.expect_error(404, "NoSuchBucket");
    Request::new(door.address, "HEAD", "/missing").send().await.expect_status(404);
    Request::new(door.address, "GET", "/No_Bucket/k").send().await.expect_error(400, "InvalidBucketName");
    door.put("k", b"x").await;
    let version = door.request("GET", "k").query(&[("versionId", "3")]).send().await;
    version.expect_error(404, "NoSuchVersion");
    door.request("GET", "k").query(&[("versionId", "null")]).send().await.expect_status(200);
}

#[tokio::test]
async fn damage_at_the_start_is_an_error_and_later_breaks_the_connection() {
    let healthy = content(2_000_000);
    for (good, expected) in [(0, Some(500)), (1_000_000, None), (1_999_999, None)] {
        let memory = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
        let door = TestDoor::over(Arc::new(Damaged { inner: memory, good }), |_| {}).await;
        door.put("k", &healthy).await;
        let mut stream = door.request("GET", "k").send_head(None).await;
        let answer = try_read(&mut stream, false).await;
        match expected {
            Some(status) => assert_eq!(answer.expect("a clean refusal").status, status),
            None => assert!(answer.is_err(), "a damaged body must not look whole"),
        }
    }
}

#[tokio::test]
async fn an_unavailable_store_says_when_to_come_back() {
    let memory = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
    let door = TestDoor::over(Arc::new(Full { inner: memory }), |_| {}).await;
    let response = door.request("PUT", "k").body(b"x").send().await.expect_error(503, "SlowDown");
    assert!(response.header("retry-after").is_some());
    door.request("GET", "k").send().await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn an_outage_is_never_an_empty_answer() {
    let memory = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
    let door = TestDoor::over(memory.clone(), |_| {}).await;
    door.put("k", b"x").await;
    memory.set_faults(FaultPlan { unavailable: 1.0, ..FaultPlan::none() });
    let begin = door.request("POST", "k").query(&[("uploads", "")]);
    let copy = door.request("PUT", "k2").header("x-amz-copy-source", "bkt/k");
    let delete = b"<Delete><Object><Key>k</Key></Object></Delete>";
    for request in [
        door.request("GET", "k"),
        door.request("PUT", "k").body(b"y"),
        door.request("DELETE", "k"),
        copy,
        begin,
        door.request("GET", "k").query(&[("tagging", "")]),
        door.bucket_request("GET", &[("list-type", "2")]),
        door.bucket_request("GET", &[]),
        door.bucket_request("GET", &[("uploads", "")]),
        door.bucket_request("POST", &[("delete", "")]).body(delete),
        Request::new(door.address, "GET", "/"),
    ] {
        let response = request.send().await.expect_error(503, "ServiceUnavailable");
        assert!(response.header("retry-after").is_some(), "{} {}", request.method, request.path);
    }
    door.request("HEAD", "k").send().await.expect_status(503);
    memory.set_faults(FaultPlan::none());
    assert_eq!(door.get("k").await, "x");
}

/// Reads fail behind `good` bytes, as a store's reader does when a block's checksum is wrong.
struct Damaged {
    inner: Arc<MemoryStore>,
    good: u64,
}

struct Spoilt<R>(R);

impl<R: Read> Read for Spoilt<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::Error::new(io::ErrorKind::InvalidData, "checksum mismatch")),
            n => Ok(n),
        }
    }
}

/// The disk is full: nothing can be put.
struct Full {
    inner: Arc<MemoryStore>,
}

macro_rules! blob_store {
    ($name:ident { $($own:item)* }) => {
        #[async_trait]
        impl BlobStore for $name {
            $($own)*

            async fn scrub(&self, bytes: u64) -> Result<Scrubbed, BlobError> {
                self.inner.scrub(bytes).await
            }
            async fn scrub_round(&self) -> Result<Option<ScrubRound>, BlobError> {
                self.inner.scrub_round().await
            }
            async fn damage(&self, after: Option<&str>, limit: u32) -> Result<Vec<Damage>, BlobError> {
                self.inner.damage(after, limit).await
            }
            fn room(&self) -> Room {
                self.inner.room()
            }

            fn traits(&self) -> StoreTraits {
                BlobStore::traits(&*self.inner)
            }
            async fn create_bucket(&self, bucket: &BucketName) -> Result<(), BlobError> {
                self.inner.create_bucket(bucket).await
            }
            async fn bucket(&self, bucket: &BucketName) -> Result<Option<BucketInfo>, BlobError> {
                self.inner.bucket(bucket).await
            }
            async fn buckets(&self) -> Result<Vec<BucketInfo>, BlobError> {
                self.inner.buckets().await
            }
            async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), BlobError> {
                self.inner.delete_bucket(bucket).await
            }
            fn stage(&self, expected: Option<u64>) -> Result<Box<dyn StageWriter>, BlobError> {
                self.inner.stage(expected)
            }
            async fn copy(&self, put: PutObject, source: (&BucketName, &ObjectKey), etag: &Etag) -> Result<ObjectInfo, BlobError> {
                self.inner.copy(put, source, etag).await
            }
            async fn head(&self, bucket: &BucketName, key: &ObjectKey) -> Result<ObjectInfo, BlobError> {
                self.inner.head(bucket, key).await
            }
            async fn list(&self, query: &ListObjects) -> Result<ObjectList, BlobError> {
                self.inner.list(query).await
            }
            async fn delete(&self, b: &BucketName, k: &ObjectKey, c: Precondition) -> Result<Option<ObjectInfo>, BlobError> {
                self.inner.delete(b, k, c).await
            }
            async fn set_tags(&self, b: &BucketName, k: &ObjectKey, tags: BTreeMap<String, String>) -> Result<(), BlobError> {
                self.inner.set_tags(b, k, tags).await
            }
            async fn begin_multipart(&self, begin: BeginMultipart) -> Result<String, BlobError> {
                self.inner.begin_multipart(begin).await
            }
            async fn put_part(
                &self, u: &MultipartRef, n: u32, s: Staged, e: Option<Etag>, c: Checksums,
            ) -> Result<PartInfo, BlobError> {
                self.inner.put_part(u, n, s, e, c).await
            }
            async fn complete_multipart(&self, u: &MultipartRef, c: CompleteMultipart) -> Result<ObjectInfo, BlobError> {
                self.inner.complete_multipart(u, c).await
            }
            async fn abort_multipart(&self, upload: &MultipartRef) -> Result<(), BlobError> {
                self.inner.abort_multipart(upload).await
            }
            async fn multipart(&self, upload: &MultipartRef) -> Result<MultipartInfo, BlobError> {
                self.inner.multipart(upload).await
            }
            async fn parts(&self, upload: &MultipartRef, after: u32, limit: u32) -> Result<Vec<PartInfo>, BlobError> {
                self.inner.parts(upload, after, limit).await
            }
            async fn multiparts(&self, query: &ListMultiparts) -> Result<Vec<MultipartInfo>, BlobError> {
                self.inner.multiparts(query).await
            }
            async fn announcements(&self, limit: u32) -> Result<Vec<Announcement>, BlobError> {
                self.inner.announcements(limit).await
            }
            async fn acknowledge(&self, ids: &[u64]) -> Result<(), BlobError> {
                self.inner.acknowledge(ids).await
            }
            async fn announced(&self) {
                self.inner.announced().await
            }
            fn presign(&self, request: &PresignRequest, now: Timestamp) -> Result<PresignedRequest, BlobError> {
                self.inner.presign(request, now)
            }
            async fn sweep(&self) -> Result<u64, BlobError> {
                self.inner.sweep().await
            }
            async fn usage(&self) -> Result<StoreUsage, BlobError> {
                self.inner.usage().await
            }
        }
    };
}

blob_store!(Damaged {
    async fn put(&self, put: PutObject, staged: Staged, durability: Durability) -> Result<ObjectInfo, BlobError> {
        self.inner.put(put, staged, durability).await
    }

    async fn open(
        &self, bucket: &BucketName, key: &ObjectKey, etag: Option<&Etag>, range: Option<Range<u64>>,
    ) -> Result<OpenObject, BlobError> {
        let open = self.inner.open(bucket, key, etag, range).await?;
        let body = BlobBody::Reader(Box::new(Spoilt(open.body.into_reader().take(self.good))));
        Ok(OpenObject { info: open.info, range: open.range, body })
    }
});

blob_store!(Full {
    async fn put(&self, _: PutObject, _: Staged, _: Durability) -> Result<ObjectInfo, BlobError> {
        Err(BlobError::unavailable(io::Error::from(io::ErrorKind::StorageFull)))
    }

    async fn open(
        &self, bucket: &BucketName, key: &ObjectKey, etag: Option<&Etag>, range: Option<Range<u64>>,
    ) -> Result<OpenObject, BlobError> {
        self.inner.open(bucket, key, etag, range).await
    }
});
