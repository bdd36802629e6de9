//! What a crash may take: nothing that was synced, and of the rest only what came last.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;

/// B2
pub async fn what_was_synced_survives_a_crash(backend: Backend) {
    let backend = with_bucket(backend).await;
    let large = bytes(2 * 1024 * 1024, 1);
    put(&backend, "gone", b"x").await;
    put(&backend, "small", b"small").await;
    put(&backend, "large", &large).await;
    let upload = begin(&backend, "parts").await;
    let part = put_part(&backend, &upload, 1, &large).await;
    backend.blobs.complete_multipart(&upload, completion(vec![named(&part)])).await.expect("complete");
    backend.blobs.delete(&bucket(), &key("gone"), Precondition::None).await.expect("delete");

    let backend = backend.crash().await;
    assert_eq!(keys(&backend).await, ["large", "parts", "small"]);
    assert_eq!(get(&backend, "small").await.expect("get"), b"small");
    assert!(get(&backend, "large").await.expect("get") == large);
    assert!(get(&backend, "parts").await.expect("get") == large);
    let announced = all_announcements(&backend).await;
    assert_eq!(announced.len(), 5, "the announcements are as durable as the objects: {announced:?}");
}

/// B2, B8
pub async fn an_open_upload_goes_on_after_a_crash_or_is_not_there(backend: Backend) {
    let backend = with_bucket(backend).await;
    let upload = begin(&backend, "a").await;
    let part = put_part(&backend, &upload, 1, &bytes(part_length(&backend), 1)).await;
    let backend = backend.crash().await;
    match backend.blobs.complete_multipart(&upload, completion(vec![named(&part)])).await {
        Ok(_) => assert!(get(&backend, "a").await.expect("get") == bytes(part_length(&backend), 1)),
        Err(BlobError::NotFound(Missing::Upload) | BlobError::Invalid(InvalidBlob::Part(1))) => {}
        Err(other) => panic!("{other:?}"),
    }
}
