//! A check-up finds what was planted and nothing else; a backup is one cut of a store that goes on working, and comes back whole.

mod support;

use filemill_conformance::HandClock;
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use filemill_local::{LocalStore, OpenError, RestoreError, StoppedStore, check_backup, restore_backup};
use rusqlite::Connection;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use support::*;
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn now() -> Timestamp {
    HandClock::new().now()
}

/// With content of every kind: rows, files, parts, an object of parts, a copy.
async fn filled(dir: &Path) -> Arc<LocalStore> {
    let store = with_bucket(dir).await;
    put(&store, "small", b"in the state file").await;
    put(&store, "large", &bytes(300_000, 1)).await;
    try_put_parts(&store, "parts", &bytes(500_000, 2)).await.expect("an object of parts");
    let (bucket, key) = (bucket(), key("large"));
    let etag = store.head(&bucket, &key).await.expect("an object").etag;
    store.copy(put_of("copy"), (&bucket, &key), &etag).await.expect("a copy");
    let upload = begin_multipart(&store, "open").await;
    put_part(&store, &upload, 1, &bytes(200_000, 3)).await;
    store
}

fn codes(checkup: &Checkup) -> Vec<(&str, u64)> {
    checkup.findings.iter().map(|finding| (finding.code.as_str(), finding.count)).collect()
}

#[tokio::test]
async fn a_sound_store_has_no_findings_running_or_stopped() {
    let dir = folder();
    let store = filled(dir.path()).await;
    let running = store.check_up().await.expect("a check-up");
    assert_eq!(codes(&running), []);
    assert!(running.checks > 20);
    assert!(matches!(StoppedStore::open(dir.path()), Err(OpenError::InUse(_))));
    drop(store);
    let before: Vec<_> =
        fs::read_dir(dir.path()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    let stopped = StoppedStore::open(dir.path()).expect("nobody has it");
    assert!(matches!(try_open(dir.path()), Err(OpenError::InUse(_))), "it is held");
    assert_eq!(stopped.check_up(now()).expect("a check-up"), running);
    drop(stopped);
    let after: Vec<_> = fs::read_dir(dir.path()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(before.len(), after.len(), "nothing is left behind");
}

/// Each of these was sound before; `plant` breaks it from outside.
#[tokio::test]
async fn whatever_is_planted_is_found_and_nothing_else() {
    type Plant = fn(&Path, &Connection);
    fn run(db: &Connection, sql: &str) {
        assert!(db.execute(sql, []).expect(sql) > 0, "{sql} changed nothing");
    }
    let plants: &[(&str, Plant)] = &[
        ("references_do_not_match", |_, db| run(db, "UPDATE blobs SET refs = refs + 1 WHERE size = 300000")),
        ("object_without_file", |_, db| run(db, "DELETE FROM announcements WHERE key = 'small'")),
        ("bucket_counts_wrong", |_, db| run(db, "UPDATE buckets SET bytes = bytes + 1")),
        ("file_without_object", |_, db| {
            run(
                db,
                "INSERT INTO files (id, bucket, key, sequencer, document) VALUES ('f', 'uploads', 'ghost', '0', '{}')",
            )
        }),
        ("task_without_job", |_, db| {
            run(
                db,
                "INSERT INTO tasks (job, run, kind, chunk, queue, rank, ready_at, attempts, token)
                VALUES ('j', 1, 'plan', 0, 'default', 0, 0, 0, 0)",
            )
        }),
        ("job_without_task", |_, db| {
            run(
                db,
                "INSERT INTO jobs (id, rev, status, rule, bucket, key, document)
                VALUES ('j', 1, 'queued', 'r', 'uploads', 'k', '{}')",
            )
        }),
        ("chunks_of_ended_job", |_, db| run(db, "INSERT INTO chunks VALUES ('j', 1, 0, '{}')")),
        ("parts_of_ended_job", |_, db| {
            run(
                db,
                "INSERT INTO multiparts VALUES ('m', 'uploads', 'k', 0, '{\"origin\":{\"job\":\"j\",\"generation\":1}}')",
            )
        }),
        ("multipart_forgotten", |_, db| run(db, "UPDATE multiparts SET begun_at = 0")),
        ("upload_not_expired", |_, db| run(db, "INSERT INTO uploads VALUES ('u', 'pending', 'uploads', 'k', 0, '{}')")),
        ("announcement_waits", |_, db| run(db, "UPDATE announcements SET at = 0 WHERE key = 'copy'")),
        ("row_without_file", |dir, _| fs::remove_file(&blob_files(dir)[0]).expect("a removal")),
        ("file_has_other_length", |dir, _| {
            let mut file = fs::File::options().append(true).open(&blob_files(dir)[0]).expect("a file");
            file.write_all(b"more").expect("longer");
        }),
        ("file_without_row", |dir, _| {
            let path = &blob_files(dir)[0];
            let name = path.file_name().expect("a name").to_string_lossy();
            let id = u64::from_str_radix(&name, 16).expect("an id") + 100;
            fs::write(path.with_file_name(format!("{id:016x}")), b"x").expect("a file of its group");
        }),
    ];
    for (code, plant) in plants {
        let dir = folder();
        drop(filled(dir.path()).await);
        let db = Connection::open(dir.path().join("filemill.db")).expect("the state file");
        plant(dir.path(), &db);
        drop(db);
        let found = StoppedStore::open(dir.path()).expect("nobody has it").check_up(now()).expect("a check-up");
        assert_eq!(codes(&found), [(*code, 1)], "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_cut_of_a_working_store_and_comes_back_whole() {
    let (dir, other) = (folder(), folder());
    let store = filled(dir.path()).await;
    let mut backup = Vec::new();
    // the rest of the backup is written after everything that it names was deleted
    let mut out = Meddling { out: &mut backup, store: Some(&store), runtime: tokio::runtime::Handle::current() };
    let done = tokio::task::block_in_place(|| store.back_up(&mut out)).expect("a backup");
    assert!(done.damaged.is_empty() && done.files > 4, "{done:?}");
    store.settled().await;
    assert!(store.head(&bucket(), &key("large")).await.is_err(), "it was deleted meanwhile");
    assert_eq!(check_backup(&backup[..]).expect("whole").files, done.files);

    let data = other.path().join("made");
    restore_backup(&backup[..], &data).expect("restored");
    let found = StoppedStore::open(&data).expect("nobody has it").check_up(now()).expect("a check-up");
    assert_eq!(codes(&found), []);
    let restored = open(&data);
    assert_eq!(get(&restored, "small").await, b"in the state file");
    for (name, content) in [("large", bytes(300_000, 1)), ("copy", bytes(300_000, 1)), ("parts", bytes(500_000, 2))] {
        assert!(get(&restored, name).await == content, "{name}");
    }
    put(&restored, "new", &bytes(100_000, 9)).await;
    assert!(matches!(restore_backup(&backup[..], &data), Err(RestoreError::NotEmpty(_))));
}

/// Deletes all objects once the backup's first bytes are written.
struct Meddling<'a> {
    out: &'a mut Vec<u8>,
    store: Option<&'a LocalStore>,
    runtime: tokio::runtime::Handle,
}

impl Write for Meddling<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(store) = self.store.take() {
            self.runtime.block_on(async {
                for name in ["small", "large", "copy", "parts"] {
                    store.delete(&bucket(), &key(name), Precondition::None).await.expect("a delete");
                }
                store.settled().await;
            });
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_backup_that_was_cut_or_changed_is_refused() {
    let dir = folder();
    let store = filled(dir.path()).await;
    let mut backup = Vec::new();
    store.back_up(&mut backup).expect("a backup");
    drop(store);
    let mut of_stopped = Vec::new();
    StoppedStore::open(dir.path()).expect("nobody has it").back_up(&mut of_stopped, now()).expect("a backup");
    check_backup(&of_stopped[..]).expect("whole");
    for length in [0, 700, 5000, backup.len() / 2, backup.len() - 3000] {
        assert!(check_backup(&backup[..length]).is_err(), "cut at {length} of {}", backup.len());
    }
    let content = bytes(300_000, 1);
    let at = backup.windows(64).position(|w| *w == content[1000..1064]).expect("the content");
    backup[at] ^= 1;
    let (refused, target) = (check_backup(&backup[..]), folder());
    assert!(matches!(refused, Err(RestoreError::NoBackup(why)) if why.contains("is not what was backed up")));
    assert!(restore_backup(&backup[..], target.path()).is_err());
    assert!(!target.path().join("filemill.db").exists(), "what was not restored whole is no store");
    assert!(matches!(try_open(target.path()), Err(OpenError::HalfRestored(_))), "and none is begun over it");
}

#[tokio::test]
async fn damage_goes_into_a_backup_as_it_is_and_is_told() {
    let (dir, other) = (folder(), folder());
    let store = filled(dir.path()).await;
    let path = blob_files(dir.path()).remove(0);
    let mut stored = fs::read(&path).expect("a file");
    stored[1000] ^= 1;
    fs::write(&path, stored).expect("a flipped bit");
    let mut backup = Vec::new();
    let done = store.back_up(&mut backup).expect("a backup");
    assert_eq!(done.damaged, [path.file_name().expect("a name").to_string_lossy()]);
    assert_eq!(restore_backup(&backup[..], &other.path().join("made")).expect("restored").damaged, done.damaged);
}
