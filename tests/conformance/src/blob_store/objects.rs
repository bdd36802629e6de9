//! Objects: put, read back, overwritten, copied, tagged, deleted; under any key.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::checksum::{ChecksumAlgorithm, Checksums};
use filemill_core::etag::Etag;
use filemill_core::ids::JobId;
use filemill_core::limits::INLINE_BYTES_MAX;
use filemill_core::object::{Attributes, Origin};
use filemill_core::ports::*;
use std::collections::BTreeMap;

const INLINE: usize = INLINE_BYTES_MAX as usize;

fn text(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// All attributes set, each to another value.
fn attributes() -> Attributes {
    Attributes {
        content_type: Some("text/plain; charset=utf-8".into()),
        cache_control: Some("no-store".into()),
        content_disposition: Some("attachment; filename=\"ä.txt\"".into()),
        content_encoding: Some("gzip".into()),
        content_language: Some("de".into()),
        expires: Some("Thu, 01 Dec 1994 16:00:00 GMT".into()),
        metadata: text(&[("owner", "zoë"), ("empty", "")]),
        tags: text(&[("colour", "blue")]),
        origin: Some(Origin { job: JobId::of("b", "k", "1", "r", time()), generation: 1, original: None }),
        ..Attributes::default()
    }
}

/// B1
pub async fn an_object_is_visible_whole(backend: Backend) {
    let backend = with_bucket(backend).await;
    for length in [0, 1, 1000, INLINE - 1, INLINE, INLINE + 1, 3 * 1024 * 1024 + 7] {
        let name = format!("size-{length}");
        let content = bytes(length, 1);
        let info = put(&backend, &name, &content).await;
        assert_eq!((info.size, info.bucket.as_str(), info.key.as_str()), (length as u64, "uploads", name.as_str()));
        assert_eq!(backend.blobs.head(&bucket(), &key(&name)).await.expect("head"), info);
        assert!(get(&backend, &name).await.expect("get") == content, "{length} bytes came back changed");
    }
}

/// B1
pub async fn attributes_and_checksums_come_back_as_given(backend: Backend) {
    let backend = with_bucket(backend).await;
    let checksums = Checksums {
        values: BTreeMap::from([(ChecksumAlgorithm::Crc32, "AAAAAA==".to_owned())]),
        ..Checksums::default()
    };
    let put = PutObject { attributes: attributes(), checksums: checksums.clone(), ..put_of("a") };
    let info = backend.blobs.put(put, inline(b"x"), Durability::Synced).await.expect("put");
    assert_eq!((&info.attributes, &info.checksums), (&attributes(), &checksums));
    assert_eq!(backend.blobs.head(&bucket(), &key("a")).await.expect("head"), info);
    let opened = backend.blobs.open(&bucket(), &key("a"), None, None).await.expect("open");
    assert_eq!(opened.info, info);
}

/// B1
pub async fn a_tag_is_the_callers_or_the_staged_bytes_own(backend: Backend) {
    let backend = with_bucket(backend).await;
    let given = Etag::new("00112233445566778899aabbccddeeff");
    let with_tag = PutObject { etag: Some(given.clone()), ..put_of("given") };
    let info = backend.blobs.put(with_tag, inline(b"x"), Durability::Synced).await.expect("put");
    assert_eq!(info.etag, given);
    for length in [0, 10, INLINE + 1] {
        let content = bytes(length, 2);
        let own = staged(&backend, &content).await.etag;
        assert_eq!(put(&backend, "own", &content).await.etag, own);
        assert_eq!(put(&backend, "other key", &content).await.etag, own, "the same bytes have the same tag");
        assert_ne!(put(&backend, "own", &bytes(length + 1, 2)).await.etag, own);
    }
    assert_eq!(put(&backend, "small", b"hello").await.etag, Etag::md5_of(b"hello"));
}

/// B1
pub async fn an_overwrite_replaces_bytes_and_attributes_together(backend: Backend) {
    let backend = with_bucket(backend).await;
    let version = |n: u8| PutObject {
        attributes: Attributes { content_type: Some(format!("version/{n}")), ..Attributes::default() },
        ..put_of("a")
    };
    let content = |n: u8| vec![n; 1000 + usize::from(n) * 20_000];
    backend.blobs.put(version(0), staged(&backend, &content(0)).await, Durability::Synced).await.expect("put");
    let writing = async {
        for n in 1..=8 {
            let staged = staged(&backend, &content(n)).await;
            backend.blobs.put(version(n), staged, Durability::Synced).await.expect("overwrite");
        }
    };
    let reading = async {
        for _ in 0..40 {
            let opened = backend.blobs.open(&bucket(), &key("a"), None, None).await.expect("open");
            let info = opened.info.clone();
            let found = read(opened).await.expect("read");
            let n = found[0];
            assert!(found == content(n), "a mixture of two versions");
            assert_eq!(info.attributes.content_type, Some(format!("version/{n}")));
            assert_eq!(info.size, found.len() as u64);
        }
    };
    futures::join!(writing, reading);
    assert!(get(&backend, "a").await.expect("get") == content(8));
}

/// B6
pub async fn keys_are_opaque(backend: Backend) {
    let backend = with_bucket(backend).await;
    let longest = "k".repeat(1024);
    let deep = "d/".repeat(400);
    let mut names = vec![
        "a",
        "a/b",
        "a/",
        "a//b",
        "/",
        "//",
        "/a",
        ".",
        "..",
        "../x",
        "a/../b",
        "./a",
        "b",
        "A",
        "é",
        "e\u{301}",
        "%2e%2e",
        "a\\b",
        "C:\\x",
        " ",
        "a b",
        "a+b",
        "\r\n",
        "\u{1}",
        "\u{fffd}",
        "\u{10ffff}",
        ".metadata.json",
        ".tmp",
        ".uploads/x",
        "CON",
        "a\u{202e}b",
        "'; drop table objects; --",
        "*",
        "a%",
        "a_",
        &longest,
        &deep,
    ];
    for (n, name) in names.iter().enumerate() {
        put(&backend, name, format!("content {n}").as_bytes()).await;
    }
    for (n, name) in names.iter().enumerate() {
        assert_eq!(get(&backend, name).await.expect(name), format!("content {n}").as_bytes(), "{name:?}");
    }
    names.sort_unstable();
    assert_eq!(keys(&backend).await, names);
    for name in &names {
        backend.blobs.delete(&bucket(), &key(name), Precondition::None).await.expect(name).expect("it was there");
    }
    assert_eq!(keys(&backend).await, Vec::<String>::new());
}

/// B1
pub async fn a_deleted_object_is_gone(backend: Backend) {
    let backend = with_bucket(backend).await;
    let info = put(&backend, "a", b"x").await;
    put(&backend, "b", b"y").await;
    let removed = backend.blobs.delete(&bucket(), &key("a"), Precondition::None).await.expect("delete");
    assert_eq!(removed.map(|r| (r.key, r.etag)), Some((info.key, info.etag)));
    for outcome in [backend.blobs.head(&bucket(), &key("a")).await.err(), get(&backend, "a").await.err()] {
        assert!(matches!(outcome, Some(BlobError::NotFound(Missing::Object))), "{outcome:?}");
    }
    assert_eq!(backend.blobs.delete(&bucket(), &key("a"), Precondition::None).await.expect("again"), None);
    assert_eq!(get(&backend, "b").await.expect("its neighbour"), b"y");
}

/// B1
pub async fn a_copy_has_the_bytes_of_the_version_that_was_named(backend: Backend) {
    let backend = with_bucket(backend).await;
    let (bucket, from) = (bucket(), key("from"));
    for length in [0, 10, 2 * 1024 * 1024] {
        let content = bytes(length, 3);
        let source = put(&backend, "from", &content).await;
        let put_copy = PutObject { attributes: attributes(), ..put_of("to") };
        let copy = backend.blobs.copy(put_copy, (&bucket, &from), &source.etag).await.expect("copy");
        assert_eq!((copy.size, copy.key.as_str(), &copy.attributes), (length as u64, "to", &attributes()));
        put(&backend, "from", b"another version").await;
        backend.blobs.sweep().await.expect("sweep");
        assert!(get(&backend, "to").await.expect("get") == content);
        let changed = backend.blobs.copy(put_of("to"), (&bucket, &from), &source.etag).await;
        assert!(matches!(changed, Err(BlobError::Conflict(BlobConflict::Precondition))), "{changed:?}");
        assert!(get(&backend, "to").await.expect("get") == content, "a refused copy changed its target");
    }
    backend.blobs.delete(&bucket, &from, Precondition::None).await.expect("delete");
    let gone = backend.blobs.copy(put_of("to"), (&bucket, &from), &Etag::new("x")).await;
    assert!(matches!(gone, Err(BlobError::NotFound(Missing::Object))), "{gone:?}");
}

/// B1: S3's way to change attributes in place.
pub async fn an_object_can_be_copied_onto_itself(backend: Backend) {
    let backend = with_bucket(backend).await;
    let content = bytes(INLINE + 5, 4);
    let source = put(&backend, "a", &content).await;
    let put_copy = PutObject { attributes: attributes(), ..put_of("a") };
    let copy = backend.blobs.copy(put_copy, (&bucket(), &key("a")), &source.etag).await.expect("copy");
    assert_eq!(copy.attributes, attributes());
    assert!(copy.sequencer > source.sequencer);
    backend.blobs.sweep().await.expect("sweep");
    assert!(get(&backend, "a").await.expect("get") == content);
}

/// B1
pub async fn tags_are_replaced_and_nothing_else_changes(backend: Backend) {
    let backend = with_bucket(backend).await;
    let put = PutObject { attributes: attributes(), ..put_of("a") };
    let before = backend.blobs.put(put, inline(b"x"), Durability::Synced).await.expect("put");
    let tags = text(&[("size", "small"), ("ünï", "çødé")]);
    backend.blobs.set_tags(&bucket(), &key("a"), tags.clone()).await.expect("set tags");
    let mut after = backend.blobs.head(&bucket(), &key("a")).await.expect("head");
    assert_eq!(after.attributes.tags, tags);
    after.attributes.tags = before.attributes.tags.clone();
    assert_eq!(after, before);
    backend.blobs.set_tags(&bucket(), &key("a"), BTreeMap::new()).await.expect("drop tags");
    assert!(backend.blobs.head(&bucket(), &key("a")).await.expect("head").attributes.tags.is_empty());
    let missing = backend.blobs.set_tags(&bucket(), &key("none"), BTreeMap::new()).await;
    assert!(matches!(missing, Err(BlobError::NotFound(Missing::Object))), "{missing:?}");
}

/// B1: health and metrics count what is there.
pub async fn usage_counts_objects_and_bytes(backend: Backend) {
    let backend = with_bucket(backend).await;
    put(&backend, "a", &bytes(1000, 1)).await;
    put(&backend, "b", &bytes(INLINE + 1, 1)).await;
    put(&backend, "a", &bytes(10, 1)).await;
    let usage = backend.blobs.usage().await.expect("usage");
    assert_eq!((usage.objects, usage.bytes), (2, 10 + INLINE as u64 + 1));
    backend.blobs.delete(&bucket(), &key("b"), Precondition::None).await.expect("delete");
    let usage = backend.blobs.usage().await.expect("usage");
    assert_eq!((usage.objects, usage.bytes), (1, 10));
}
