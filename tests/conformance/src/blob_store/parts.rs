//! Parts of open uploads: numbered, replaced, listed in pages.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::object::Attributes;
use filemill_core::ports::*;
use std::time::Duration;

/// B7
pub async fn a_part_of_the_same_number_replaces_the_one_before(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let old = put_part(&backend, &upload, 1, b"old").await;
    let new = put_part(&backend, &upload, 1, b"new").await;
    assert_ne!(old.handle, new.handle);
    assert_eq!(backend.blobs.parts(&upload, 0, 10).await.expect("parts"), std::slice::from_ref(&new));
    let by_old_handle = completion(vec![PartRef { etag: None, ..named(&old) }]);
    let refused = backend.blobs.complete_multipart(&upload, by_old_handle).await;
    assert!(matches!(refused, Err(BlobError::Invalid(InvalidBlob::Part(1)))), "{refused:?}");
    backend.blobs.complete_multipart(&upload, completion(vec![named(&new)])).await.expect("complete");
    assert_eq!(get(&backend, "a").await.expect("get"), b"new");
}

/// B7: the same bytes twice are still two parts, and only the newer one is there.
pub async fn a_part_sent_twice_has_another_handle(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let content = bytes(part_length(&backend), 1);
    let old = put_part(&backend, &upload, 1, &content).await;
    let new = put_part(&backend, &upload, 1, &content).await;
    assert_eq!(old.etag, new.etag);
    assert_ne!(old.handle, new.handle);
    backend.blobs.sweep().await.expect("sweep");
    backend.blobs.complete_multipart(&upload, completion(vec![named(&new)])).await.expect("complete");
    assert!(get(&backend, "a").await.expect("get") == content);
}

/// B7
pub async fn part_numbers_have_bounds(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let max = backend.blobs.traits().max_parts;
    for number in [0, max + 1, u32::MAX] {
        let refused = backend.blobs.put_part(&upload, number, inline(b"x"), None, Default::default()).await;
        assert!(matches!(refused, Err(BlobError::Invalid(_))), "{number}: {refused:?}");
    }
    for number in [1, max] {
        put_part(&backend, &upload, number, b"x").await;
    }
}

/// B7
pub async fn parts_are_listed_in_pages(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let mut all = Vec::new();
    for number in [5, 1, 9, 2, 10, 1000] {
        all.push(put_part(&backend, &upload, number, format!("part {number}").as_bytes()).await);
    }
    all.sort_by_key(|p| p.number);
    for limit in 1..=7 {
        let mut found: Vec<PartInfo> = Vec::new();
        loop {
            let after = found.last().map_or(0, |p| p.number);
            let page = backend.blobs.parts(&upload, after, limit).await.expect("parts");
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, all, "pages of {limit}");
    }
}

/// B6
pub async fn open_uploads_are_listed_by_key_then_id(backend: Backend) {
    let backend = with_bucket(backend).await;
    let mut all = Vec::new();
    for name in ["b", "a/1", "a/2", "a/1", "é", "a/1"] {
        all.push(begin(&backend, name).await);
    }
    all.sort_by(|x, y| (&x.key, &x.id).cmp(&(&y.key, &y.id)));
    let query = |prefix: &str, limit| ListMultiparts {
        bucket: Some(bucket()),
        prefix: prefix.into(),
        limit,
        ..Default::default()
    };
    for limit in 1..=7 {
        let mut found: Vec<MultipartRef> = Vec::new();
        loop {
            let after = found.last().map(|m| (m.key.as_str().to_owned(), Some(m.id.clone())));
            let page = backend.blobs.multiparts(&ListMultiparts { after, ..query("", limit) }).await.expect("list");
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|m| m.upload));
        }
        assert_eq!(found, all, "pages of {limit}");
    }
    let of_a = backend.blobs.multiparts(&query("a/1", 10)).await.expect("list");
    assert_eq!(of_a.len(), 3);
    let behind_key = ListMultiparts { after: Some(("a/1".into(), None)), ..query("", 10) };
    let behind = backend.blobs.multiparts(&behind_key).await.expect("list");
    assert_eq!(behind.iter().map(|m| m.upload.key.as_str()).collect::<Vec<_>>(), ["a/2", "b", "é"]);
    let everywhere = backend.blobs.multiparts(&ListMultiparts { limit: 10, ..Default::default() }).await.expect("list");
    assert_eq!(everywhere.len(), 6);
}

/// B6: the sweeper aborts what nobody finished.
pub async fn old_uploads_can_be_told_from_new_ones(backend: Backend) {
    let backend = with_bucket(backend).await;
    let attributes = Attributes { content_type: Some("x/y".into()), ..Attributes::default() };
    let begun = BeginMultipart { bucket: bucket(), key: key("old"), attributes: attributes.clone() };
    let id = backend.blobs.begin_multipart(begun).await.expect("begin");
    let old = MultipartRef { bucket: bucket(), key: key("old"), id };
    backend.outside.pass(Duration::from_secs(3600)).await;
    let new = begin(&backend, "new").await;
    let new_info = backend.blobs.multipart(&new).await.expect("multipart");
    let query = ListMultiparts { begun_before: Some(new_info.begun_at), limit: 10, ..Default::default() };
    let found = backend.blobs.multiparts(&query).await.expect("list");
    assert_eq!(found.iter().map(|m| &m.upload).collect::<Vec<_>>(), [&old]);
    assert_eq!(backend.blobs.multipart(&old).await.expect("multipart").attributes, attributes);
}
