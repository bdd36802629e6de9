//! Multipart uploads to their end: completed, refused, aborted.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::etag::Etag;
use filemill_core::object::Attributes;
use filemill_core::ports::*;

fn is_gone<T: std::fmt::Debug>(outcome: Result<T, BlobError>) {
    assert!(matches!(outcome, Err(BlobError::NotFound(Missing::Upload))), "{outcome:?}");
}

/// B1, B7
pub async fn parts_become_one_object(backend: Backend) {
    let backend = with_bucket(backend).await;
    let length = part_length(&backend);
    let attributes = Attributes { content_type: Some("text/csv".into()), ..Attributes::default() };
    let begun = BeginMultipart { bucket: bucket(), key: key("a"), attributes: attributes.clone() };
    let id = backend.blobs.begin_multipart(begun).await.expect("begin");
    let upload = MultipartRef { bucket: bucket(), key: key("a"), id };
    let contents = [(2, bytes(length, 2)), (7, bytes(length + 5, 7)), (9, bytes(3, 9))];
    let mut parts = Vec::new();
    for nth in [2, 0, 1] {
        let (number, content) = &contents[nth];
        parts.push(put_part(&backend, &upload, *number, content).await);
    }
    let missing = backend.blobs.head(&bucket(), &key("a")).await;
    assert!(matches!(missing, Err(BlobError::NotFound(Missing::Object))), "visible before its completion: {missing:?}");
    parts.sort_by_key(|p| p.number);
    let names = parts.iter().map(named).collect();
    let info = backend.blobs.complete_multipart(&upload, completion(names)).await.expect("complete");
    assert_eq!(info.etag, Etag::of_parts(parts.iter().map(|p| &p.etag)));
    assert_eq!(info.part_sizes, [length as u64, length as u64 + 5, 3]);
    assert_eq!((info.size, &info.attributes), (2 * length as u64 + 8, &attributes));
    assert_eq!(backend.blobs.head(&bucket(), &key("a")).await.expect("head"), info);
    assert!(get(&backend, "a").await.expect("get") == contents.map(|c| c.1).concat());
}

/// B4, B7
pub async fn a_range_may_cross_parts(backend: Backend) {
    let backend = with_bucket(backend).await;
    let length = part_length(&backend) as u64;
    let upload = begin(&backend, "a").await;
    let mut names = Vec::new();
    let mut content = Vec::new();
    for number in 1..=4 {
        let part = bytes(length as usize, u64::from(number));
        names.push(named(&put_part(&backend, &upload, number, &part).await));
        content.extend(part);
    }
    backend.blobs.complete_multipart(&upload, completion(names)).await.expect("complete");
    for range in [0..length, length - 1..length + 1, length..2 * length, 5..4 * length - 5, length / 2..3 * length + 1]
    {
        let opened = backend.blobs.open(&bucket(), &key("a"), None, Some(range.clone())).await.expect("open");
        let wanted = &content[range.start as usize..range.end as usize];
        assert!(read(opened).await.expect("read") == wanted, "{range:?}");
    }
}

/// B7: S3 takes a part by number and tag; the engine by handle.
pub async fn a_part_may_be_named_by_its_tag_or_its_handle(backend: Backend) {
    let backend = with_bucket(backend).await;
    for by_handle in [true, false] {
        let upload = begin(&backend, "a").await;
        let part = put_part(&backend, &upload, 1, b"content").await;
        let mut name = named(&part);
        if by_handle {
            name.etag = None;
        } else {
            name.handle = None;
        }
        backend.blobs.complete_multipart(&upload, completion(vec![name])).await.expect("complete");
        assert_eq!(get(&backend, "a").await.expect("get"), b"content");
    }
}

/// B1, B7
pub async fn a_wrong_completion_is_refused_and_the_upload_stays_open(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let one = named(&put_part(&backend, &upload, 1, &bytes(part_length(&backend), 1)).await);
    let two = named(&put_part(&backend, &upload, 2, b"last").await);
    let foreign_tag = PartRef { etag: Some(Etag::new("0")), handle: None, ..one.clone() };
    let foreign_handle = PartRef { handle: Some("another".into()), etag: None, ..one.clone() };
    let missing = PartRef { number: 3, ..two.clone() };
    let refused = |parts: Vec<PartRef>| {
        let (blobs, upload) = (&backend.blobs, &upload);
        async move {
            match blobs.complete_multipart(upload, completion(parts)).await {
                Err(BlobError::Invalid(reason)) => reason,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(refused(vec![foreign_tag, two.clone()]).await, InvalidBlob::Part(1));
    assert_eq!(refused(vec![foreign_handle, two.clone()]).await, InvalidBlob::Part(1));
    assert_eq!(refused(vec![one.clone(), missing]).await, InvalidBlob::Part(3));
    assert_eq!(refused(vec![two.clone(), one.clone()]).await, InvalidBlob::PartOrder);
    assert_eq!(refused(vec![one.clone(), one.clone()]).await, InvalidBlob::PartOrder);
    refused(Vec::new()).await;
    assert_eq!(keys(&backend).await, Vec::<String>::new());
    assert_eq!(all_announcements(&backend).await, []);
    backend.blobs.complete_multipart(&upload, completion(vec![one, two])).await.expect("the right one");
}

/// B7: S3 asks 5 MiB of every part but the last.
pub async fn small_parts_are_refused_except_at_the_end(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let length = part_length(&backend);
    let one = put_part(&backend, &upload, 1, &bytes(length, 1)).await;
    let two = put_part(&backend, &upload, 2, b"small").await;
    let with_min = |min_part_bytes| {
        let parts = vec![named(&one), named(&two)];
        CompleteMultipart { min_part_bytes, ..completion(parts) }
    };
    let min = length as u64 + 1;
    let refused = backend.blobs.complete_multipart(&upload, with_min(min)).await;
    let BlobError::Invalid(reason) = refused.expect_err("the first part is too small") else { panic!("not invalid") };
    assert_eq!(reason, InvalidBlob::PartTooSmall { number: 1, size: length as u64, min });
    backend.blobs.complete_multipart(&upload, with_min(length as u64)).await.expect("only the last is small");
}

/// B7
pub async fn an_upload_is_completed_once(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let part = named(&put_part(&backend, &upload, 1, b"content").await);
    let complete = || backend.blobs.complete_multipart(&upload, completion(vec![part.clone()]));
    let outcomes = futures::future::join_all((0..8).map(|_| complete())).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
    is_gone(complete().await);
    is_gone(backend.blobs.multipart(&upload).await);
    is_gone(backend.blobs.abort_multipart(&upload).await);
    assert_eq!(get(&backend, "a").await.expect("get"), b"content");
    assert_eq!(all_announcements(&backend).await.len(), 1);
}

/// B7, B9
pub async fn an_aborted_upload_leaves_nothing(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let part = put_part(&backend, &upload, 1, &bytes(part_length(&backend), 1)).await;
    backend.blobs.abort_multipart(&upload).await.expect("abort");
    is_gone(backend.blobs.abort_multipart(&upload).await);
    is_gone(backend.blobs.parts(&upload, 0, 10).await);
    is_gone(backend.blobs.put_part(&upload, 2, inline(b"x"), None, Default::default()).await);
    is_gone(backend.blobs.complete_multipart(&upload, completion(vec![named(&part)])).await);
    assert_eq!(keys(&backend).await, Vec::<String>::new());
    let left = backend.blobs.multiparts(&ListMultiparts { limit: 10, ..Default::default() }).await.expect("list");
    assert!(left.is_empty(), "{left:?}");
}

/// B7: an id belongs to its bucket and key.
pub async fn another_keys_upload_is_no_upload(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let part = put_part(&backend, &upload, 1, b"content").await;
    for foreign in [
        MultipartRef { key: key("b"), ..upload.clone() },
        MultipartRef { bucket: filemill_core::object::BucketName::parse("other").expect("name"), ..upload.clone() },
        MultipartRef { id: "../../etc/passwd".into(), ..upload.clone() },
        MultipartRef { id: String::new(), ..upload.clone() },
    ] {
        is_gone(backend.blobs.multipart(&foreign).await);
        is_gone(backend.blobs.parts(&foreign, 0, 10).await);
        is_gone(backend.blobs.put_part(&foreign, 2, inline(b"x"), None, Default::default()).await);
        is_gone(backend.blobs.complete_multipart(&foreign, completion(vec![named(&part)])).await);
        is_gone(backend.blobs.abort_multipart(&foreign).await);
    }
    backend.blobs.complete_multipart(&upload, completion(vec![named(&part)])).await.expect("its own");
}

/// B3, B7: overwriting an object that was made of parts, and what it shared with a copy.
pub async fn an_object_of_parts_can_be_replaced_and_copied(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let content = bytes(part_length(&backend), 3);
    let part = put_part(&backend, &upload, 1, &content).await;
    let info = backend.blobs.complete_multipart(&upload, completion(vec![named(&part)])).await.expect("complete");
    backend.blobs.copy(put_of("b"), (&bucket(), &key("a")), &info.etag).await.expect("copy");
    put(&backend, "a", b"small now").await;
    backend.blobs.sweep().await.expect("sweep");
    assert_eq!(get(&backend, "a").await.expect("get"), b"small now");
    assert!(get(&backend, "b").await.expect("get") == content);
}
