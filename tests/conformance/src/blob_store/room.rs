//! A store without room refuses new content and nothing else.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::limits::GIB;
use filemill_core::ports::*;

const LARGE: usize = 2 * 1024 * 1024;

/// Stages and puts, as an uploader would.
async fn try_put(backend: &Backend, name: &str, size: usize) -> Result<(), BlobError> {
    let blobs = backend.blobs.clone();
    let staged = tokio::task::spawn_blocking(move || -> Result<Staged, BlobError> {
        let mut writer = blobs.stage(Some(size as u64))?;
        writer.write_all(&bytes(size, 1)).map_err(BlobError::unavailable)?;
        writer.finish()
    });
    let staged = staged.await.expect("staging does not panic")?;
    backend.blobs.put(put_of(name), staged, Durability::Synced).await.map(drop)
}

fn is_refused_for_want_of_room(outcome: &Result<(), BlobError>) -> bool {
    matches!(outcome, Err(e @ BlobError::Unavailable(_)) if is_full(e))
}

/// B10
pub async fn a_full_store_refuses_new_content_and_takes_it_again_when_there_is_room(backend: Backend) {
    let backend = with_bucket(backend).await;
    try_put(&backend, "before", LARGE).await.expect("there is room");
    backend.outside.leave_room(Some(0)).await;
    assert!(backend.blobs.room().is_low());
    for size in [10, LARGE] {
        let refused = try_put(&backend, "refused", size).await;
        assert!(is_refused_for_want_of_room(&refused), "{size}: {refused:?}");
    }
    let inline = Staged::inline(bytes(10, 1).into());
    let refused = backend.blobs.put(put_of("inline"), inline, Durability::Synced).await.map(drop);
    assert!(is_refused_for_want_of_room(&refused), "{refused:?}");
    assert_eq!(keys(&backend).await, ["before"]);
    backend.outside.leave_room(None).await;
    assert!(!backend.blobs.room().is_low());
    try_put(&backend, "after", LARGE).await.expect("there is room again");
    assert_eq!(keys(&backend).await, ["after", "before"]);
}

/// B10: reads, completions and whatever makes room.
pub async fn a_full_store_does_everything_else(backend: Backend) {
    let backend = with_bucket(backend).await;
    let content = bytes(LARGE, 3);
    try_put(&backend, "large", LARGE).await.expect("there is room");
    try_put(&backend, "small", 10).await.expect("there is room");
    let (whole, given_up) = (begin(&backend, "whole").await, begin(&backend, "given up").await);
    let part = put_part(&backend, &whole, 1, &content).await;
    put_part(&backend, &given_up, 1, &content).await;
    backend.outside.leave_room(Some(0)).await;
    assert_eq!(get(&backend, "small").await.expect("a read"), bytes(10, 1));
    backend.blobs.complete_multipart(&whole, completion(vec![named(&part)])).await.expect("what is there is completed");
    backend.blobs.abort_multipart(&given_up).await.expect("an upload is given up");
    backend.blobs.delete(&bucket(), &key("large"), Precondition::None).await.expect("an object is deleted");
    let waiting = backend.blobs.announcements(10).await.expect("announcements");
    assert_eq!(waiting.len(), 4, "two puts, a completion and a removal");
    let ids: Vec<u64> = waiting.iter().map(|a| a.id).collect();
    backend.blobs.acknowledge(&ids).await.expect("they are acknowledged");
    backend.blobs.usage().await.expect("usage");
    assert_eq!(keys(&backend).await, ["small", "whole"]);
    assert!(get(&backend, "whole").await.expect("a read") == content);
}

/// B10: not after half of it has come.
pub async fn a_length_that_does_not_fit_is_refused_before_its_first_byte(backend: Backend) {
    let backend = with_bucket(backend).await;
    backend.outside.leave_room(Some(GIB)).await;
    if backend.blobs.room() == Room::Unlimited {
        return;
    }
    let refused = backend.blobs.stage(Some(4 * GIB)).map(drop);
    assert!(is_refused_for_want_of_room(&refused), "{refused:?}");
    assert!(!backend.blobs.room().takes(4 * GIB));
    try_put(&backend, "fits", LARGE).await.expect("this one fits");
}
