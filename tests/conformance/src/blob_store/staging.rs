//! Staged bytes: no object yet, and nothing at all once dropped.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::etag::Etag;
use filemill_core::ports::*;
use std::io::Write;

const LARGE: usize = 2 * 1024 * 1024;

async fn nothing_is_left(backend: &Backend) {
    assert_eq!(backend.blobs.sweep().await.expect("sweep"), 0, "the sweep found something left behind");
    let usage = backend.blobs.usage().await.expect("usage");
    assert_eq!((usage.objects, usage.bytes, usage.announcements_waiting), (0, 0, 0));
    assert_eq!(keys(backend).await, Vec::<String>::new());
}

/// B9
pub async fn staged_bytes_that_are_dropped_leave_nothing(backend: Backend) {
    let backend = with_bucket(backend).await;
    for length in [0, 10, LARGE] {
        drop(staged(&backend, &bytes(length, 1)).await);
        nothing_is_left(&backend).await;
    }
}

/// B9
pub async fn an_unfinished_stage_leaves_nothing(backend: Backend) {
    let backend = with_bucket(backend).await;
    for expected in [None, Some(LARGE as u64)] {
        let blobs = backend.blobs.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut writer = blobs.stage(expected).expect("stage");
            writer.write_all(&bytes(LARGE / 2, 1)).expect("write");
        });
        work.await.expect("staging does not panic");
        nothing_is_left(&backend).await;
    }
}

/// B5, B9
pub async fn a_refused_put_leaves_nothing(backend: Backend) {
    let backend = with_bucket(backend).await;
    for length in [10, LARGE] {
        let condition = Precondition::IfMatch(Etag::new("none"));
        let staged = staged(&backend, &bytes(length, 1)).await;
        let refused = backend.blobs.put(PutObject { condition, ..put_of("a") }, staged, Durability::Synced).await;
        assert!(refused.is_err());
        nothing_is_left(&backend).await;
    }
}

/// B9: the sweep runs while uploads do.
pub async fn a_sweep_spares_what_is_being_written(backend: Backend) {
    let backend = with_bucket(backend).await;
    let content = bytes(LARGE, 4);
    let upload = begin(&backend, "parts").await;
    let part = put_part(&backend, &upload, 1, &content).await;
    let held = staged(&backend, &content).await;
    backend.blobs.sweep().await.expect("sweep");
    backend.blobs.put(put_of("whole"), held, Durability::Synced).await.expect("put");
    backend.blobs.complete_multipart(&upload, completion(vec![named(&part)])).await.expect("complete");
    backend.blobs.sweep().await.expect("sweep");
    for name in ["whole", "parts"] {
        assert!(get(&backend, name).await.expect("get") == content, "{name}");
    }
}

/// B1: an expectation is a hint.
pub async fn a_stage_takes_more_or_less_than_expected(backend: Backend) {
    let backend = with_bucket(backend).await;
    for (expected, length) in [(None, LARGE), (Some(10), LARGE), (Some(LARGE as u64), 10), (Some(0), 1), (Some(5), 0)] {
        let content = bytes(length, 5);
        let (blobs, to_write) = (backend.blobs.clone(), content.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut writer = blobs.stage(expected).expect("stage");
            writer.write_all(&to_write).expect("write");
            writer.finish().expect("finish")
        });
        let staged = work.await.expect("staging does not panic");
        assert_eq!(staged.size, length as u64);
        backend.blobs.put(put_of("a"), staged, Durability::Synced).await.expect("put");
        assert!(get(&backend, "a").await.expect("get") == content, "expected {expected:?}, wrote {length}");
    }
}
