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

/// One of each write, and the store opened anew. Answers what it put and was told is safe.
async fn work(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut safe = Vec::new();
    let Ok(store) = try_open(dir) else { return safe };
    let _ = store.create_bucket(&bucket()).await;
    for (n, size) in [10, 100_000, 20, 200_000].into_iter().enumerate() {
        let (name, content) = (format!("k{n}"), bytes(size, n as u8));
        if try_put(&store, &name, &content).await.is_ok() {
            safe.push((name, content));
        }
    }
    if try_put(&store, "k1", &bytes(150_000, 77)).await.is_ok() {
        safe.retain(|(name, _)| name != "k1");
        safe.push(("k1".into(), bytes(150_000, 77)));
    }
    store.settled().await;
    safe
}

async fn holds_all(store: &LocalStore, safe: &[(String, Vec<u8>)]) {
    for (name, content) in safe {
        assert_eq!(get(store, name).await, *content, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_step_fails_nothing_that_was_answered_is_lost() {
    for point in FAILPOINTS {
        for action in ["1*return", "return", "2*off->return", "5*off->1*return"] {
            let scenario = FailScenario::setup();
            let dir = folder();
            fail::cfg(*point, action).expect("a failpoint");
            let safe = work(dir.path()).await;
            // a start that fails can be tried again
            let again = work(dir.path()).await;
            scenario.teardown();
            let store = open(dir.path());
            let later: Vec<_> = safe.into_iter().filter(|(name, _)| !again.iter().any(|(n, _)| n == name)).collect();
            holds_all(&store, &later).await;
            holds_all(&store, &again).await;
        }
    }
    a_failed_commit_stops_all_answers().await;
    a_failed_sync_of_a_file_stops_all_answers().await;
    a_lost_reply_says_nothing().await;
    a_refused_request_does_not_harm_its_group().await;
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
