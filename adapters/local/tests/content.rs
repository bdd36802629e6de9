//! Bytes on disk: checked on every read, shared by copies, pinned by readers, cleaned up behind everybody.

mod support;

use filemill_core::ports::*;
use rusqlite::Connection;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use support::*;
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("the file is written");
}

#[tokio::test]
async fn small_content_is_in_the_state_file_and_large_content_in_one_file() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    put(&store, "small", &bytes(64 * 1024, 1)).await;
    assert!(blob_files(dir.path()).is_empty());
    put(&store, "large", &bytes(64 * 1024 + 1, 1)).await;
    assert_eq!(blob_files(dir.path()).len(), 1);
    assert_eq!(get(&store, "small").await, bytes(64 * 1024, 1));
    assert_eq!(get(&store, "large").await, bytes(64 * 1024 + 1, 1));
}

#[tokio::test]
async fn a_flipped_bit_in_the_state_file_is_corrupt_and_never_a_wrong_byte() {
    for size in [100, 64 * 1024] {
        let content = bytes(size, 3);
        for damaged in [0, size / 2, size - 1] {
            let dir = folder();
            let store = with_bucket(dir.path()).await;
            put(&store, "a", &content).await;
            drop(store);
            let db = dir.path().join("filemill.db");
            let stored = fs::read(&db).expect("the closed state file");
            // long content runs over several pages: a piece around the bit is found in one of them
            let piece = &content[damaged.saturating_sub(40)..(damaged + 40).min(size)];
            let at = stored.windows(piece.len()).position(|window| window == piece).expect("the content");
            flip(&db, at + damaged.min(40));
            let store = open(dir.path());
            for range in [None, Some(0..1), Some(size as u64 - 1..size as u64)] {
                let opened = store.open(&bucket(), &key("a"), None, range).await;
                assert!(matches!(opened, Err(BlobError::Corrupt(_))), "byte {damaged} of {size}");
            }
        }
    }
}

#[tokio::test]
async fn a_range_read_notices_a_flipped_bit_in_its_blocks_and_only_there() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let content = bytes(MIB + 77, 3);
    put(&store, "a", &content).await;
    flip(&blob_files(dir.path())[0], 600_000);
    let read = |range: std::ops::Range<u64>| {
        let store = store.clone();
        async move {
            let object = store.open(&bucket(), &key("a"), None, Some(range)).await.expect("it opens");
            let mut out = Vec::new();
            object.body.into_reader().read_to_end(&mut out).map(|_| out)
        }
    };
    assert_eq!(read(10..300_000).await.expect("an intact range"), content[10..300_000]);
    assert_eq!(read(900_000..2_000_000).await.expect("an intact range"), content[900_000..]);
    for damaged in [0..MIB as u64, 599_990..599_999, 600_000..600_001, 700_000..800_000] {
        assert_eq!(read(damaged.clone()).await.expect_err("damaged").kind(), ErrorKind::InvalidData, "{damaged:?}");
    }
}

#[tokio::test]
async fn a_damaged_checksum_or_a_shortened_or_missing_file_is_corrupt() {
    let content = bytes(300_000, 9);
    let damages: [fn(&Path); 3] = [
        |path| flip(path, 300_005),
        |path| fs::write(path, &fs::read(path).expect("a file")[..299_999]).expect("a write"),
        |path| fs::remove_file(path).expect("a removal"),
    ];
    for damage in damages {
        let dir = folder();
        let store = with_bucket(dir.path()).await;
        put(&store, "a", &content).await;
        damage(&blob_files(dir.path())[0]);
        let mut out = Vec::new();
        let error = body(&store, "a").await.read_to_end(&mut out).expect_err("a damaged object");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn a_reader_keeps_every_part_of_its_version_until_it_is_done() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let upload = begin_multipart(&store, "a").await;
    let contents = [bytes(200_000, 1), bytes(100, 2), Vec::new(), bytes(300_000, 3)];
    let mut parts = Vec::new();
    for (content, number) in contents.iter().zip(1..) {
        parts.push(put_part(&store, &upload, number, content).await);
    }
    complete(&store, &upload, parts).await;

    let mut reader = body(&store, "a").await;
    let mut first = [0; 10];
    reader.read_exact(&mut first).expect("the first bytes");
    store.delete(&bucket(), &key("a"), Precondition::None).await.expect("the delete");
    store.settled().await;
    let mut rest = first.to_vec();
    reader.read_to_end(&mut rest).expect("a reader sees its version to the end");
    assert_eq!(rest, contents.concat());
    drop(reader);
    store.settled().await;
    assert_eq!(blob_files(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn completing_copies_no_bytes() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let upload = begin_multipart(&store, "a").await;
    let first = put_part(&store, &upload, 1, &bytes(MIB, 1)).await;
    let unnamed = put_part(&store, &upload, 2, &bytes(MIB, 2)).await;
    let third = put_part(&store, &upload, 3, &bytes(MIB, 3)).await;
    drop(unnamed);
    let before = blob_files(dir.path());
    complete(&store, &upload, vec![first, third]).await;
    store.settled().await;
    let after = blob_files(dir.path());
    assert_eq!((before.len(), after.len()), (3, 2), "the part that was not named is gone");
    assert!(after.iter().all(|path| before.contains(path)));
    assert_eq!(get(&store, "a").await, [bytes(MIB, 1), bytes(MIB, 3)].concat());
}

#[tokio::test]
async fn copies_share_their_bytes_and_the_last_one_takes_them_along() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let upload = begin_multipart(&store, "a").await;
    let parts = vec![
        put_part(&store, &upload, 1, &bytes(100_000, 1)).await,
        put_part(&store, &upload, 2, &bytes(100_000, 2)).await,
    ];
    let original = complete(&store, &upload, parts).await;
    for copy in ["b", "a"] {
        store.copy(put_of(copy), (&bucket(), &key("a")), &original.etag).await.expect("a copy");
    }
    assert_eq!(blob_files(dir.path()).len(), 2);
    store.delete(&bucket(), &key("a"), Precondition::None).await.expect("a delete");
    store.settled().await;
    assert_eq!(get(&store, "b").await, [bytes(100_000, 1), bytes(100_000, 2)].concat());
    store.delete(&bucket(), &key("b"), Precondition::None).await.expect("a delete");
    store.settled().await;
    assert!(blob_files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_lazy_overwrite_keeps_the_old_file_until_a_sync_has_covered_it() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    put(&store, "a", &bytes(100_000, 1)).await;
    let staged = stage(&store, &bytes(100_000, 2)).expect("staged");
    store.put(put_of("a"), staged, Durability::Lazy).await.expect("a lazy put");
    store.settled().await;
    assert_eq!(blob_files(dir.path()).len(), 2, "a power loss may bring the old row back");
    let state = Connection::open(dir.path().join("filemill.db")).expect("the state file");
    let syncs = || state.query_row("SELECT syncs FROM store", [], |row| row.get::<_, u32>(0)).expect("a count");
    assert_eq!(syncs(), 0);
    store.sweep().await.expect("a sweep");
    assert_eq!(blob_files(dir.path()).len(), 1);
    assert_eq!(syncs(), 1, "a commit without a change would have synced nothing");
    store.sweep().await.expect("a sweep");
    assert_eq!(syncs(), 1, "nothing was owed any more");
    assert_eq!(get(&store, "a").await, bytes(100_000, 2));
}

#[tokio::test]
async fn a_sweep_removes_what_nothing_refers_to_and_nothing_else() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    put(&store, "kept", &bytes(100_000, 1)).await;
    try_put_parts(&store, "joined", &bytes(200_000, 2)).await.expect("an upload in parts");
    let upload = begin_multipart(&store, "open").await;
    let part = put_part(&store, &upload, 1, &bytes(100_000, 3)).await;
    let staged = stage(&store, &bytes(100_000, 4)).expect("staged");
    put(&store, "read", &bytes(100_000, 5)).await;
    let mut reader = body(&store, "read").await;
    store.delete(&bucket(), &key("read"), Precondition::None).await.expect("a delete");
    let shard = dir.path().join("blobs/00");
    fs::create_dir_all(&shard).expect("a folder");
    fs::write(shard.join("000001000000ffff"), "left over").expect("an orphan");
    fs::write(shard.join("README"), "not ours").expect("a foreign file");

    assert_eq!(store.sweep().await.expect("a sweep"), 1, "the orphan");
    let mut read = Vec::new();
    reader.read_to_end(&mut read).expect("a reader keeps its version");
    store.put(put_of("staged"), staged, Durability::Synced).await.expect("a put");
    complete(&store, &upload, vec![part]).await;
    assert_eq!(read, bytes(100_000, 5));
    let others = [("kept", 100_000, 1), ("joined", 200_000, 2), ("open", 100_000, 3), ("staged", 100_000, 4)];
    for (name, size, seed) in others {
        assert_eq!(get(&store, name).await, bytes(size, seed), "{name}");
    }
    assert!(shard.join("README").exists() && !shard.join("000001000000ffff").exists());
}

#[tokio::test]
async fn staged_bytes_that_are_dropped_leave_no_file() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let finished = stage(&store, &bytes(100_000, 1)).expect("staged");
    let mut unfinished = store.stage(None).expect("a stage");
    unfinished.write_all(&bytes(100_000, 1)).expect("written");
    assert_eq!(blob_files(dir.path()).len(), 2);
    drop((finished, unfinished));
    store.settled().await;
    assert!(blob_files(dir.path()).is_empty());
}

#[tokio::test]
async fn content_is_refused_while_the_disk_is_nearly_full() {
    let dir = folder();
    let mut config = config(dir.path());
    config.reserve = Some(u64::MAX);
    let store = filemill_local::LocalStore::open(config).expect("it opens");
    store.create_bucket(&bucket()).await.expect("a bucket needs no room");
    let Err(BlobError::Unavailable(why)) = store.stage(None).map(drop) else { panic!("it must be refused") };
    assert!(why.to_string().contains("nearly full"), "{why}");
    let cause = why.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    assert_eq!(
        cause.map(std::io::Error::kind),
        Some(std::io::ErrorKind::StorageFull),
        "a door can tell it from an outage"
    );
    let put = store.put(put_of("a"), Staged::inline("x".into()), Durability::Synced).await;
    assert!(matches!(put, Err(BlobError::Unavailable(_))));
}
