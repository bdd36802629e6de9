//! One bit is flipped in each of a hundred stored objects and a hundred parts: a round finds every one, over a restart too, and
//! not one read gives a wrong byte.

mod support;

use filemill_core::limits::{KIB, MIB};
use filemill_core::ports::*;
use filemill_local::LocalStore;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use support::*;
use tempfile::TempDir;

const COUNT: usize = 100;

/// Lengths around those that matter: of rows, of blocks, of several blocks.
fn size(i: usize) -> usize {
    [30, 5000, 65_536, 65_537, 262_144, 262_145, 600_000][i % 7] + i / 7
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[at] ^= 1 << (at % 8);
    fs::write(path, bytes).expect("the file is written");
}

/// Somewhere in each blob file (its checksums too), and in each row's content.
fn flip_a_bit_of_each(dir: &Path) -> usize {
    let mut flipped = 0;
    for (i, path) in blob_files(dir).iter().enumerate() {
        let length = fs::metadata(path).expect("a file").len() as usize;
        flip(path, (i * 7919) % length);
        flipped += 1;
    }
    let db = rusqlite::Connection::open(dir.join("filemill.db")).expect("the state file");
    let mut statement = db.prepare("SELECT id, data FROM blobs WHERE data IS NOT NULL").expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let rows: Vec<(i64, Vec<u8>)> = rows.collect::<Result<_, _>>().expect("rows");
    for (id, mut data) in rows {
        let at = (id as usize * 31) % data.len();
        data[at] ^= 4;
        db.execute("UPDATE blobs SET data = ?2 WHERE id = ?1", rusqlite::params![id, data]).expect("a flipped bit");
        flipped += 1;
    }
    flipped
}

async fn scrub(store: &Arc<LocalStore>, bytes: u64) -> Scrubbed {
    store.scrub(bytes).await.expect("a scrub")
}

#[tokio::test]
async fn every_flipped_bit_is_found_within_a_round_and_no_read_gives_a_wrong_byte() {
    let dir = TempDir::new().expect("a folder");
    let store = with_bucket(dir.path()).await;
    for i in 0..COUNT {
        put(&store, &format!("object-{i:03}"), &bytes(size(i), i as u8)).await;
    }
    let upload = begin_multipart(&store, "parts").await;
    for i in 0..COUNT {
        put_part(&store, &upload, i as u32 + 1, &bytes(size(i), i as u8)).await;
    }
    // half a round before: what follows is about bytes that were good then
    scrub(&store, 4 * MIB).await;
    drop(store);
    assert_eq!(flip_a_bit_of_each(dir.path()), 2 * COUNT);

    let mut store = open(dir.path());
    while scrub(&store, 300 * KIB).await.round.ended_at.is_none() {}
    let mut found = 0;
    for step in 0.. {
        let scrubbed = scrub(&store, 300 * KIB).await;
        found += scrubbed.damaged;
        if scrubbed.round.ended_at.is_some() {
            break;
        }
        if step % 50 == 7 {
            drop(store);
            store = open(dir.path());
        }
    }
    assert_eq!(found, 2 * COUNT as u64);
    let damage = store.damage(None, 1000).await.expect("a list");
    let holders: BTreeSet<String> = damage
        .iter()
        .flat_map(|damage| &damage.held_by)
        .map(|holder| match holder {
            Holder::Object { key, .. } => key.to_string(),
            Holder::Part { upload, number } => format!("{}/{number}", upload.key),
        })
        .collect();
    assert_eq!((damage.len(), holders.len()), (2 * COUNT, 2 * COUNT), "each is told, with its holder");
    for i in 0..COUNT {
        let name = format!("object-{i:03}");
        match store.open(&bucket(), &key(&name), None, None).await {
            Err(BlobError::Corrupt(_)) => {}
            Err(e) => panic!("{name}: {e}"),
            Ok(opened) => {
                let mut out = Vec::new();
                let read = std::io::copy(&mut opened.body.into_reader(), &mut out);
                assert!(read.is_err() && bytes(size(i), i as u8).starts_with(&out), "{name}: a wrong byte");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_gone_is_damage_and_one_that_comes_back_is_none() {
    let dir = TempDir::new().expect("a folder");
    let store = with_bucket(dir.path()).await;
    put(&store, "a", &bytes(300_000, 1)).await;
    let path = blob_files(dir.path()).remove(0);
    let kept = fs::read(&path).expect("a file");
    fs::remove_file(&path).expect("a removal");
    assert_eq!(scrub(&store, MIB).await.damaged, 1);
    let damage = store.damage(None, 10).await.expect("a list");
    assert!(damage[0].what.contains("missing"), "{}", damage[0].what);
    fs::write(&path, kept).expect("it is back");
    while scrub(&store, MIB).await.round.ended_at.is_none() {}
    while scrub(&store, MIB).await.round.ended_at.is_none() {}
    assert_eq!(store.damage(None, 10).await.expect("a list"), []);
}

/// Uploads that never end must not keep a round from ending.
#[tokio::test]
async fn a_round_ends_although_something_is_always_added() {
    let dir = TempDir::new().expect("a folder");
    let store = with_bucket(dir.path()).await;
    put(&store, "first", &bytes(100_000, 1)).await;
    for i in 0.. {
        assert!(i < 5, "the round goes on for ever");
        let over = scrub(&store, 64 * KIB).await.round.ended_at.is_some();
        put(&store, &format!("more-{i}"), &bytes(200_000, 2)).await;
        if over {
            break;
        }
    }
}
