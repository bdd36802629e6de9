//! What was deleted is gone from the disk: not a byte of it is left in the data folder after the next sweep.

mod support;

use filemill_core::ports::*;
use std::fs;
use std::path::Path;
use support::*;
use tempfile::TempDir;

const MARKER: &[u8] = b"secret-7f3a91d2-of-a-customer";

/// Full of markers, so that any piece that stays behind shows one.
fn secret(size: usize) -> Vec<u8> {
    MARKER.iter().copied().cycle().take(size.max(MARKER.len())).collect()
}

fn holds_marker(path: &Path) -> bool {
    fs::read(path).expect("a file").windows(MARKER.len()).any(|window| window == MARKER)
}

/// Files of the folder, at any depth, in which the marker is.
fn traces(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(traces(&path));
        } else if holds_marker(&path) {
            found.push(path.display().to_string());
        }
    }
    found
}

const SIZES: [usize; 8] = [30, 500, 3_000, 4_096, 20_000, 65_536, 65_537, 700_000];

#[tokio::test]
async fn bytes_of_deleted_objects_are_nowhere_after_a_sweep() {
    let dir = TempDir::new().expect("a temporary folder");
    let store = with_bucket(dir.path()).await;
    for (n, size) in SIZES.into_iter().enumerate() {
        put(&store, &format!("deleted/{n}"), &secret(size)).await;
        put(&store, &format!("overwritten/{n}"), &secret(size)).await;
        put(&store, &format!("kept/{n}"), &bytes(size, 1)).await;
        try_put_parts(&store, &format!("parts/{n}"), &secret(size)).await.expect("an upload in parts");
    }
    let given_up = begin_multipart(&store, "given up").await;
    put_part(&store, &given_up, 1, &secret(1_000)).await;
    assert!(!traces(dir.path()).is_empty(), "the marker can be found");
    for (n, size) in SIZES.into_iter().enumerate() {
        for prefix in ["deleted", "parts"] {
            let key = key(&format!("{prefix}/{n}"));
            store.delete(&bucket(), &key, Precondition::None).await.expect("deleted");
        }
        put(&store, &format!("overwritten/{n}"), &bytes(size, 2)).await;
    }
    store.abort_multipart(&given_up).await.expect("given up");
    store.sweep().await.expect("a sweep");
    assert_eq!(traces(dir.path()), [""; 0]);
    for (n, size) in SIZES.into_iter().enumerate() {
        assert_eq!(get(&store, &format!("kept/{n}")).await, bytes(size, 1));
        assert_eq!(get(&store, &format!("overwritten/{n}")).await, bytes(size, 2));
    }
}

#[tokio::test]
async fn bytes_deleted_before_a_crash_are_nowhere_after_the_first_sweep_behind_it() {
    let dir = TempDir::new().expect("a temporary folder");
    let store = with_bucket(dir.path()).await;
    put(&store, "a", &secret(10_000)).await;
    store.delete(&bucket(), &key("a"), Precondition::None).await.expect("deleted");
    // as after kill -9: the log is there as it was
    let crashed = TempDir::new().expect("a temporary folder");
    copy_folder(dir.path(), crashed.path());
    assert!(!traces(crashed.path()).is_empty(), "the log has it still");
    let store = open(crashed.path());
    store.sweep().await.expect("a sweep");
    assert_eq!(traces(crashed.path()), [""; 0]);
}

#[tokio::test]
async fn what_a_copy_shares_goes_with_the_last_of_them() {
    let dir = TempDir::new().expect("a temporary folder");
    let store = with_bucket(dir.path()).await;
    let first = put(&store, "a", &secret(5_000)).await;
    store.copy(put_of("b"), (&bucket(), &key("a")), &first.etag).await.expect("a copy");
    store.delete(&bucket(), &key("a"), Precondition::None).await.expect("deleted");
    store.sweep().await.expect("a sweep");
    assert_eq!(get(&store, "b").await, secret(5_000));
    store.delete(&bucket(), &key("b"), Precondition::None).await.expect("deleted");
    store.sweep().await.expect("a sweep");
    assert_eq!(traces(dir.path()), [""; 0]);
}

/// Blocks of the log that were given back could not be had again, and the next delete needs them.
#[tokio::test]
async fn on_a_full_disk_the_log_keeps_its_room_and_is_emptied_when_there_is_some() {
    let dir = TempDir::new().expect("a temporary folder");
    let store = with_bucket(dir.path()).await;
    put(&store, "a", &secret(10_000)).await;
    store.delete(&bucket(), &key("a"), Precondition::None).await.expect("deleted");
    let log_bytes = || fs::metadata(dir.path().join("filemill.db-wal")).expect("a log").len();
    let before = log_bytes();
    store.set_reserve(Some(u64::MAX));
    store.sweep().await.expect("a sweep");
    assert!(log_bytes() >= before && before > 0);
    store.set_reserve(None);
    store.sweep().await.expect("a sweep");
    assert_eq!(traces(dir.path()), [""; 0]);
}
