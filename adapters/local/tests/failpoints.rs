//! Every durable step made to fail: no answer promises what is not there, and what was answered stays.
//!
//! Failpoints belong to the whole process, so the cases take turns.

mod support;

use fail::FailScenario;
use filemill_core::ports::*;
use filemill_local::{FAILPOINTS, LocalStore};
use std::path::Path;
use std::sync::Arc;
use support::*;
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn is_unavailable<T>(result: &Result<T, BlobError>) -> bool {
    matches!(result, Err(BlobError::Unavailable(_)))
}

/// What a run tried and what it was told is safe, line by line: `try NAME SEED SIZE`, then `safe NAME SEED SIZE`.
type Ledger = Vec<String>;

/// Some of each write, small and large, new and over an older version.
async fn work(dir: &Path, note: &mut dyn FnMut(String)) {
    let Ok(store) = try_open(dir) else { return };
    let _ = store.create_bucket(&bucket()).await;
    for (name, seed, size) in [("a", 1, 10), ("b", 2, 100_000), ("c", 3, 20), ("b", 4, 150_000), ("a", 5, 200_000)] {
        note(format!("try {name} {seed} {size}"));
        if try_put(&store, name, &bytes(size, seed)).await.is_ok() {
            note(format!("safe {name} {seed} {size}"));
        }
    }
    store.settled().await;
}

/// Each object is the version that was last told to be safe, or one that was tried since.
async fn holds(store: &LocalStore, ledger: &Ledger) {
    for name in ["a", "b", "c"] {
        let mut possible = vec![None];
        for line in ledger {
            let words: Vec<&str> = line.split(' ').collect();
            let [verb, of, seed, size] = words[..] else { panic!("{line:?}") };
            if of == name {
                if verb == "safe" {
                    possible.clear();
                }
                possible.push(Some(bytes(size.parse().expect("a size"), seed.parse().expect("a seed"))));
            }
        }
        let there = store.head(&bucket(), &key(name)).await.is_ok();
        let content = if there { Some(get(store, name).await) } else { None };
        assert!(possible.contains(&content), "{name} is not what the ledger says: {ledger:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_step_fails_nothing_that_was_answered_is_lost() {
    for point in FAILPOINTS {
        for action in ["1*return", "3*off->1*return"] {
            let scenario = FailScenario::setup();
            let dir = folder();
            fail::cfg(*point, action).expect("a failpoint");
            let mut ledger = Ledger::new();
            // the second run starts on what the first one left, and may fail again
            for _ in 0..2 {
                work(dir.path(), &mut |line| ledger.push(line)).await;
            }
            scenario.teardown();
            holds(&open(dir.path()), &ledger).await;
        }
    }
    a_failed_commit_stops_all_answers().await;
    a_failed_sync_of_a_file_stops_all_answers().await;
    a_failed_early_sync_fails_the_file().await;
    a_failed_checkpoint_stops_all_answers().await;
    a_lost_reply_says_nothing().await;
    a_refused_request_does_not_harm_its_group().await;
}

const CRASH_DIR: &str = "FILEMILL_TEST_CRASH_DIR";

#[tokio::test]
async fn wherever_the_process_aborts_nothing_that_was_answered_is_lost() {
    if let Ok(dir) = std::env::var(CRASH_DIR) {
        // the process that aborts
        let _scenario = FailScenario::setup();
        return work(Path::new(&dir), &mut |line| println!("{line}")).await;
    }
    // no other case's failpoints meanwhile
    let _scenario = FailScenario::setup();
    let mut aborted = 0;
    for point in FAILPOINTS {
        for skipped in [0, 4] {
            let dir = folder();
            let mut ledger = Ledger::new();
            // the second run starts on what the first one left, and may abort again, in its recovery too
            for _ in 0..2 {
                aborted +=
                    usize::from(crash(dir.path(), &format!("{point}={skipped}*off->return(abort)"), &mut ledger));
            }
            holds(&open(dir.path()), &ledger).await;
        }
    }
    assert!(aborted > FAILPOINTS.len(), "only {aborted} runs aborted");
}

/// Runs this test again as another process. Answers whether it aborted.
fn crash(dir: &Path, failpoints: &str, ledger: &mut Ledger) -> bool {
    let me = std::env::current_exe().expect("the path of this test");
    let output = std::process::Command::new(me)
        .args(["--exact", "wherever_the_process_aborts_nothing_that_was_answered_is_lost", "--nocapture"])
        .env(CRASH_DIR, dir)
        .env("FAILPOINTS", failpoints)
        .output()
        .expect("this test as a process");
    let text = String::from_utf8_lossy(&output.stdout);
    let is_entry = |line: &&str| line.starts_with("try ") || line.starts_with("safe ");
    ledger.extend(text.lines().filter(is_entry).map(str::to_owned));
    !output.status.success()
}

async fn a_failed_commit_stops_all_answers() {
    let scenario = FailScenario::setup();
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    put(&store, "before", b"1").await;
    fail::cfg("local.group.before_commit", "1*return").expect("a failpoint");
    assert!(is_unavailable(&try_put(&store, "during", b"2").await));
    // the failpoint is spent: a later sync would succeed, and would prove nothing
    for name in ["after", "later"] {
        assert!(is_unavailable(&try_put(&store, name, b"3").await));
    }
    assert!(store.commit(ChangeSet::new(), Durability::Lazy).await.is_err());
    assert!(is_unavailable(&store.usage().await) && store.counts().await.is_err(), "health is asked by these");
    assert_eq!(get(&store, "before").await, b"1", "reads go on");
    scenario.teardown();
}

async fn a_failed_sync_of_a_file_stops_all_answers() {
    for point in ["local.stage.datasync", "local.stage.dirsync"] {
        let scenario = FailScenario::setup();
        let dir = folder();
        let store = with_bucket(dir.path()).await;
        fail::cfg(point, "1*return").expect("a failpoint");
        assert!(is_unavailable(&try_put(&store, "large", &bytes(100_000, 1)).await));
        assert!(is_unavailable(&try_put(&store, "small", b"1").await));
        scenario.teardown();
    }
}

async fn a_failed_early_sync_fails_the_file() {
    let scenario = FailScenario::setup();
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    fail::cfg("local.stage.flush", "1*return").expect("a failpoint");
    assert!(is_unavailable(&stage(&store, &bytes(40 << 20, 1))), "the sync at the end succeeds and proves nothing");
    assert!(is_unavailable(&try_put(&store, "small", b"1").await));
    scenario.teardown();
}

async fn a_failed_checkpoint_stops_all_answers() {
    let scenario = FailScenario::setup();
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    fail::cfg("local.checkpoint.run", "1*return").expect("a failpoint");
    let content = bytes(64 * 1024, 1);
    let mut refused = false;
    for n in 0..2000 {
        refused =
            is_unavailable(&store.put(put_of("a"), Staged::inline(content.clone().into()), Durability::Lazy).await);
        if refused {
            assert!(n > 100, "not before the log is long");
            break;
        }
    }
    assert!(refused);
    scenario.teardown();
}

async fn a_lost_reply_says_nothing() {
    let scenario = FailScenario::setup();
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    fail::cfg("local.group.after_commit", "1*return").expect("a failpoint");
    assert!(is_unavailable(&try_put(&store, "a", &bytes(100_000, 1)).await));
    assert_eq!(get(&store, "a").await, bytes(100_000, 1), "it was applied all the same");
    put(&store, "b", b"2").await;
    scenario.teardown();
}

async fn a_refused_request_does_not_harm_its_group() {
    let dir = folder();
    let store = with_bucket(dir.path()).await;
    let puts = (0..64).map(|n| {
        let store: Arc<LocalStore> = store.clone();
        tokio::spawn(async move {
            let condition = if n % 2 == 0 { Precondition::IfAbsent } else { Precondition::None };
            let name = if n % 2 == 0 { "same".to_owned() } else { format!("k{n}") };
            let put = PutObject { condition, ..put_of(&name) };
            store.put(put, Staged::inline("x".into()), Durability::Synced).await
        })
    });
    let mut taken = 0;
    for put in puts.collect::<Vec<_>>() {
        taken += usize::from(put.await.expect("a put").is_ok());
    }
    assert_eq!(taken, 33, "all of the one half and one of the other");
    assert_eq!(store.usage().await.expect("usage").objects, 33);
}

#[test]
fn every_failpoint_of_the_source_is_listed() {
    let mut found = Vec::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(src).expect("the source") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(path).expect("a source file");
            let names = text.split("failpoint!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(names.map(str::to_owned));
        }
    }
    found.sort();
    let mut listed: Vec<String> = FAILPOINTS.iter().map(|name| (*name).to_owned()).collect();
    listed.sort();
    assert_eq!(found, listed);
}
