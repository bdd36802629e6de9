//! What a start finds and does: orphans, missing files, leases, another process, an older or newer state file.

mod support;

use filemill_core::event::{EventKind, NewEvent};
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use filemill_local::{LocalStore, OpenError, Recovered};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use support::*;
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

#[tokio::test]
async fn two_stores_cannot_use_one_folder() {
    let dir = folder();
    let store = open(dir.path());
    match try_open(dir.path()).map(drop) {
        Err(e @ OpenError::InUse(_)) => assert!(e.to_string().contains("in use by another process")),
        other => panic!("{other:?}"),
    }
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn files_are_for_their_owner_alone_whatever_folder_they_are_in() {
    let dir = folder();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("an open folder");
    let store = with_bucket(dir.path()).await;
    put(&store, "large", &bytes(100_000, 2)).await;
    let mut paths: Vec<_> =
        ["filemill.db", "filemill.db-wal", "filemill.db-shm", "lock"].map(|name| dir.path().join(name)).into();
    paths.extend(blob_files(dir.path()));
    assert_eq!(paths.len(), 5, "{paths:?}");
    for path in paths {
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_store_comes_back_as_it_was_closed() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let small = put(&store, "small", b"1").await;
    put(&store, "large", &bytes(100_000, 2)).await;
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.recovered(), Recovered::default());
    assert_eq!(store.head(&bucket(), &key("small")).await.expect("small"), small);
    assert_eq!(get(&store, "large").await, bytes(100_000, 2));
    assert_eq!(store.announcements(10).await.expect("announcements").len(), 2);
    store.announced().await;
    let later = put(&store, "small", b"2").await;
    assert!(later.sequencer > small.sequencer);
}

#[tokio::test]
async fn sequencers_and_blobs_are_not_numbered_twice_though_everything_is_gone() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let first = put(&store, "a", &bytes(100_000, 2)).await;
    let file = blob_files(dir.path());
    store.delete(&bucket(), &key("a"), Precondition::None).await.expect("a delete");
    let ids: Vec<u64> = store.announcements(10).await.expect("announcements").iter().map(|a| a.id).collect();
    store.acknowledge(&ids).await.expect("acknowledged");
    drop(store);
    let store = open(dir.path());
    let second = put(&store, "a", &bytes(100_000, 2)).await;
    assert!(second.sequencer > first.sequencer);
    assert_ne!(blob_files(dir.path()), file);
}

#[tokio::test]
async fn files_without_a_row_are_removed_and_rows_without_a_file_reported() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    put(&store, "kept", &bytes(100_000, 1)).await;
    put(&store, "lost", &bytes(100_000, 2)).await;
    let lost = blob_files(dir.path())
        .into_iter()
        .find(|path| fs::read(path).expect("a file").starts_with(&bytes(100_000, 2)))
        .expect("the file");
    drop(store);
    fs::remove_file(lost).expect("a removal");
    let shard = blob_files(dir.path())[0].parent().expect("a shard").to_owned();
    fs::write(shard.join("00000100000000ff"), "left over").expect("an orphan");
    fs::write(shard.join("README"), "not ours").expect("a foreign file");
    let store = open(dir.path());
    let expected = Recovered { files_removed: 1, files_missing: 1, leases_ended: 0 };
    assert_eq!(store.recovered(), expected);
    assert_eq!(blob_files(dir.path()).len(), 2, "the one that is kept, and the foreign one");
    assert_eq!(get(&store, "kept").await, bytes(100_000, 1));
    let mut reader = body(&store, "lost").await;
    let error = std::io::Read::read(&mut reader, &mut [0; 10]).expect_err("a missing file");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    drop((reader, store));
    assert_eq!(open(dir.path()).recovered().files_removed, 0, "a second recovery finds nothing left to do");
}

/// S6, where a power loss took events that listeners had heard.
#[tokio::test]
async fn numbers_of_lost_events_are_not_given_again() {
    let dir = folder();
    let removed = || NewEvent {
        owner: None,
        kind: EventKind::FileRemoved,
        at: Timestamp::from_millis(1),
        job: None,
        file: None,
        upload: None,
        data: serde_json::Value::Null,
    };
    let emit = async |store: &LocalStore| {
        let set = ChangeSet::new().with(Change::Emit(removed()));
        store.commit(set, Durability::Lazy).await.expect("a commit").last_event.expect("a number")
    };
    let store = open(dir.path());
    let kept = emit(&store).await;
    let mut told = kept;
    for _ in 0..100 {
        told = emit(&store).await;
    }
    drop(store);
    let db = Connection::open(dir.path().join("filemill.db")).expect("the state file");
    let lose =
        format!("DELETE FROM events WHERE seq > {kept}; UPDATE sqlite_sequence SET seq = {kept} WHERE name = 'events'");
    db.execute_batch(&lose).expect("events lost");
    // the log of the open connection stands for that of a service that never closed
    let store = open(dir.path());
    let next = emit(&store).await;
    assert!(next > told, "{next} was told before");
    drop((store, db));
    let store = open(dir.path());
    assert_eq!(emit(&store).await, next + 1, "after a good end no number is passed over");
}

#[test]
fn leases_end_with_the_process_that_held_them() {
    let dir = folder();
    drop(open(dir.path()));
    let db = Connection::open(dir.path().join("filemill.db")).expect("the state file");
    let in_a_thousand_years = 33_000_000_000_000_i64;
    let leased = "INSERT INTO tasks (job, run, kind, chunk, queue, rank, ready_at, attempts, token, worker)
        VALUES ('j', 1, 'plan', 0, 'default', 0, ?1, 1, 7, 'a worker')";
    db.execute(leased, [in_a_thousand_years]).expect("a leased task");
    assert_eq!(open(dir.path()).recovered().leases_ended, 1);
    let ready = "SELECT count(*) FROM tasks WHERE worker = 'a worker' AND ready_at < ?1 AND attempts = 1 AND token = 7";
    let ready: u32 = db.query_row(ready, [in_a_thousand_years], |row| row.get(0)).expect("a count");
    assert_eq!(ready, 1, "ready at once; the attempt counts, and is still known as that worker's");
    assert_eq!(open(dir.path()).recovered(), Recovered::default());
}

#[tokio::test]
async fn an_open_store_that_is_copied_comes_back_with_everything_that_was_answered() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    for n in 0..50 {
        put(&store, &format!("k{n}"), &bytes(10 + n * 4000, n as u8)).await;
    }
    let _staged = stage(&store, &bytes(100_000, 7)).expect("staged");
    let copy = folder();
    copy_folder(dir.path(), copy.path());
    let store = open(copy.path());
    assert_eq!(store.recovered().files_removed, 1, "the staged file");
    for n in 0..50 {
        assert_eq!(get(&store, &format!("k{n}")).await, bytes(10 + n * 4000, n as u8));
    }
}

#[tokio::test]
async fn a_state_file_of_a_newer_version_is_refused() {
    let dir = folder();
    drop(open(dir.path()));
    let db = Connection::open(dir.path().join("filemill.db")).expect("the state file");
    db.pragma_update(None, "user_version", 77).expect("a version");
    drop(db);
    assert!(matches!(try_open(dir.path()).map(drop), Err(OpenError::Newer { found: 77, .. })));
}

#[tokio::test]
async fn concurrent_synced_puts_share_commits() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let before = store.write_counts();
    let puts = (0..200).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { put(&store, &format!("k{n}"), b"content").await })
    });
    for task in puts.collect::<Vec<_>>() {
        task.await.expect("a put");
    }
    let after = store.write_counts();
    assert_eq!(after.requests - before.requests, 200);
    let groups = after.synced_groups - before.synced_groups;
    assert!((1..100).contains(&groups), "{groups} commits for 200 puts");
}

#[tokio::test]
async fn tables_read_well_in_the_sqlite_shell() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    put(&store, "folder/a name", b"content").await;
    let db = Connection::open(dir.path().join("filemill.db")).expect("the state file");
    let row: (String, String, i64, Vec<u8>) = db
        .query_row(
            "SELECT bucket, key, objects.size, data FROM objects JOIN blobs ON blobs.id = objects.blob",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .expect("one object");
    assert_eq!(row, ("uploads".into(), "folder/a name".into(), 7, b"content".to_vec()));
}

#[tokio::test]
async fn the_write_ahead_log_starts_again_and_does_not_grow_for_ever() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let content = bytes(64 * 1024, 1);
    // 250 MiB of writes to a handful of keys
    for n in 0..4000 {
        let staged = Staged::inline(content.clone().into());
        store.put(put_of(&format!("k{}", n % 7)), staged, Durability::Lazy).await.expect("a put");
    }
    let log = fs::metadata(dir.path().join("filemill.db-wal")).expect("the log").len();
    assert!(log < 130 << 20, "{log} bytes");
    assert_eq!(get(&store, "k3").await, content);
}

/// As on a machine that is so busy that some reader is always waiting for its turn, with a read begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_overlap_do_not_keep_the_log_from_starting_again() {
    const READ: Duration = Duration::from_millis(60);
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let readers = (0..4).map(|n| {
        let db = Connection::open(dir.path().join("filemill.db")).expect("the state file");
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || {
            thread::sleep(READ * n / 4);
            while !is_over.load(Ordering::Relaxed) {
                db.execute_batch("BEGIN; SELECT count(*) FROM buckets").expect("a read begun");
                thread::sleep(READ);
                db.execute_batch("COMMIT").expect("a read ended");
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let content = bytes(64 * 1024, 1);
    // 312 MiB of writes to a handful of keys
    for n in 0..5_000 {
        let staged = Staged::inline(content.clone().into());
        store.put(put_of(&format!("k{}", n % 7)), staged, Durability::Lazy).await.expect("a put");
    }
    is_over.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    let log = fs::metadata(dir.path().join("filemill.db-wal")).expect("the log").len();
    assert!(log < 500 << 20, "{log} bytes");
}
