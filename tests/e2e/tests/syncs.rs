//! What must be on disk before an answer, and before a file goes: each sync is made, and in its place.

use filemill_e2e::Launch;
use filemill_e2e::trace::{Trace, expect_in_order};

const LOG: &str = "filemill.db-wal>";

#[test]
fn answers_and_removals_come_after_their_syncs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Launch::on(&folder.path().join("data")).start();
    // no rule looks at this bucket, so no job syncs anything meanwhile
    let results = service.bucket("results");
    let Some(trace) = Trace::of(service.pid()) else { return };
    results.put("large", &vec![b'x'; 100_000]);
    results.put("small", b"x");
    results.delete("large");
    results.put("after", b"x");
    let calls = trace.end();

    let synced = expect_in_order(
        &calls,
        None,
        &[
            ("mkdir", "/blobs/"),
            ("fsync", "/blobs>)"),
            ("openat", "O_CREAT"),
            ("write", "/blobs/"),
            ("fdatasync", "/blobs/"),
        ],
    );
    let file = synced.text.split(['<', '>']).nth(1).expect("the path of the file");
    let mut writes = calls.iter().filter(|call| call.text.starts_with("write(") && call.text.contains(file));
    assert!(writes.all(|write| write.ended_before(synced)), "something was written after the sync: {calls:#?}");
    let large = expect_in_order(
        &calls,
        Some(synced),
        &[("fsync", "/blobs/"), ("pwrite64", LOG), ("fdatasync", LOG), ("write", "HTTP/1.1 200")],
    );
    let small =
        expect_in_order(&calls, Some(large), &[("pwrite64", LOG), ("fdatasync", LOG), ("write", "HTTP/1.1 200")]);
    let deleted = expect_in_order(&calls, Some(small), &[("pwrite64", LOG), ("fdatasync", LOG)]);
    expect_in_order(&calls, Some(deleted), &[("write", "HTTP/1.1 204")]);
    expect_in_order(&calls, Some(deleted), &[("unlink", file)]);
    let mut removals = calls.iter().filter(|call| call.text.starts_with("unlink"));
    assert!(removals.all(|removal| deleted.ended_before(removal)), "a file went before its row: {calls:#?}");
    service.stop();
}
