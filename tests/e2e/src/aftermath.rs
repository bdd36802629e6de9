//! The state file as a crash left it, before any start repairs anything: no part of it may contradict another.
//!
//! Reads a copy, because opening the file itself would carry the write-ahead log over and take work from the next start.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What the scenarios know besides the store's own check-up: nobody deletes results, and they have a bucket of their own.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "a completed job whose result is not there, and no newer one either",
        "SELECT id FROM jobs j WHERE status = 'completed'
         AND number = (SELECT max(number) FROM jobs k WHERE (k.bucket, k.key) = (j.bucket, j.key) AND status = 'completed')
         AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = json_extract(document, '$.output.bucket')
          AND o.key = json_extract(document, '$.output.key') AND o.etag = json_extract(document, '$.output.etag'))",
    ),
    (
        "a result of no completed job",
        "SELECT key FROM objects o WHERE bucket = 'results' AND NOT EXISTS
         (SELECT 1 FROM jobs j WHERE (j.bucket, j.key) = ('uploads', o.key) AND status = 'completed'
          AND o.etag = json_extract(document, '$.output.etag'))",
    ),
];

/// What was under way when the service ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnderWay {
    pub jobs: i64,
    /// With a lease: a worker was at it.
    pub tasks: i64,
    pub multiparts: i64,
    pub announcements: i64,
}

impl std::ops::AddAssign for UnderWay {
    fn add_assign(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.tasks += other.tasks;
        self.multiparts += other.multiparts;
        self.announcements += other.announcements;
    }
}

/// Of a data folder that no process has open.
pub fn expect_consistent(data: &Path) -> UnderWay {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for name in ["filemill.db", "filemill.db-wal"].into_iter().filter(|name| data.join(name).exists()) {
        fs::copy(data.join(name), copy.path().join(name)).expect("a copy");
    }
    let db = Connection::open(copy.path().join("filemill.db")).expect("the state file opens");
    assert_eq!(texts(&db, "PRAGMA integrity_check"), ["ok"]);
    let own = filemill_local::CONTRADICTIONS.iter().map(|(_, what, query)| (what, query));
    for (what, query) in own.chain(CONTRADICTIONS.iter().map(|(what, query)| (what, query))) {
        assert_eq!(texts(&db, query), [""; 0], "{what}");
    }
    let files = blob_files(data);
    let missing = texts(&db, "SELECT printf('%016x', id) FROM blobs WHERE data IS NULL");
    let missing: Vec<_> = missing.into_iter().filter(|name| !files.contains(name)).collect();
    assert_eq!(missing, [""; 0], "rows whose files are not there");
    let count = |what: &str| db.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).expect(what);
    UnderWay {
        jobs: count("jobs WHERE status IN ('queued', 'running')"),
        tasks: count("tasks WHERE worker IS NOT NULL"),
        multiparts: count("multiparts"),
        announcements: count("announcements"),
    }
}

/// The first column, as text.
fn texts(db: &Connection, query: &str) -> Vec<String> {
    let mut statement = db.prepare(query).expect(query);
    let rows = statement.query_map([], |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        })
    });
    rows.expect(query).collect::<Result<_, _>>().expect(query)
}

/// Names of the files that hold content.
pub fn blob_files(data: &Path) -> BTreeSet<String> {
    let entries = |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let shards = entries(&data.join("blobs"));
    shards.flat_map(|shard| entries(&shard.path())).filter_map(|file| file.file_name().into_string().ok()).collect()
}
