//! Every durable step made to fail, to panic and to abort the process: no answer promises what is not there, and what was
//! answered stays.
//!
//! Failpoints belong to the whole process, so the cases take turns.

mod support;

use fail::FailScenario;
use filemill_core::ports::*;
use filemill_local::{FAILPOINTS, LocalStore, Recovered};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::poll_fn;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use support::*;
use tempfile::TempDir;

/// In memory where that is possible: only processes end here, and whether syncs are made other tests see.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary folder")
}

fn is_unavailable<T>(result: &Result<T, BlobError>) -> bool {
    matches!(result, Err(BlobError::Unavailable(_)))
}

/// What a run tried and what it was told is safe, line by line: `try NAME SEED SIZE`, then `safe NAME SEED SIZE`. Nothing
/// has size 0.
type Ledger = Vec<String>;

const NAMES: [&str; 5] = ["a", "b", "c", "parts", "huge"];
/// A blob file of a start that nobody made.
const ORPHAN: &str = "blobs/00/000001000000ffff";

/// A step that panics is answered by nobody, and whoever asked for it goes on.
async fn is_answered<T, E>(step: impl Future<Output = Result<T, E>>) -> bool {
    let mut step = pin!(step);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(context))) {
        Ok(poll) => poll.map(|answer| answer.is_ok()),
        Err(_panic) => Poll::Ready(false),
    })
    .await
}

/// Some of each write, small and large, new and over an older version. `much` adds what the steps need that come late.
async fn work(dir: &Path, much: bool, note: &mut dyn FnMut(String)) {
    if dir.join("blobs").is_dir() {
        std::fs::create_dir_all(dir.join("blobs/00")).expect("a folder");
        std::fs::write(dir.join(ORPHAN), "left over").expect("an orphan");
    }
    let Ok(Ok(store)) = catch_unwind(|| try_open(dir)) else { return };
    if !is_answered(store.create_bucket(&bucket())).await {
        let _ = store.create_bucket(&bucket()).await;
    }
    let mut entry = |verb: &str, name: &str, seed: u8, size: usize| note(format!("{verb} {name} {seed} {size}"));
    for (name, seed, size) in [("a", 1, 10), ("b", 2, 100_000), ("c", 3, 20), ("b", 4, 150_000), ("a", 5, 200_000)] {
        entry("try", name, seed, size);
        if is_answered(try_put(&store, name, &bytes(size, seed))).await {
            entry("safe", name, seed, size);
        }
    }
    entry("try", "parts", 6, 170_000);
    if is_answered(try_put_parts(&store, "parts", &bytes(170_000, 6))).await {
        entry("safe", "parts", 6, 170_000);
    }
    entry("try", "c", 0, 0);
    if is_answered(store.delete(&bucket(), &key("c"), Precondition::None)).await {
        entry("safe", "c", 0, 0);
    }
    if much {
        entry("try", "huge", 7, HUGE);
        if is_answered(try_put(&store, "huge", &bytes(HUGE, 7))).await {
            entry("safe", "huge", 7, HUGE);
        }
        fill_the_log(&store).await;
        let _ = store.sweep().await;
    }
    store.settled().await;
    tells_whether_it_goes_on(&store).await;
}

/// A store that takes no more writes says so to whoever asks for its health.
async fn tells_whether_it_goes_on(store: &LocalStore) {
    // the first of them may be the step that is to fail
    let tries = [is_answered(try_put(store, "more", b"1")).await, is_answered(try_put(store, "more", b"2")).await];
    assert_eq!(tries[1], store.usage().await.is_ok(), "it takes writes, or does not, and says otherwise");
}

/// Enough for a sync while it is still written.
const HUGE: usize = 17 << 20;

/// Until the log starts again.
async fn fill_the_log(store: &LocalStore) {
    let content = Staged::inline(bytes(64 * 1024, 1).into());
    let StagedBytes::Inline(content) = content.bytes else { panic!("small content is held in memory") };
    for _ in 0..600 {
        let _ = store.put(put_of("log"), Staged::inline(content.clone()), Durability::Lazy).await;
    }
    store.settled().await;
    let _ = store.put(put_of("log"), Staged::inline(content), Durability::Lazy).await;
}

fn needs_much(point: &str) -> bool {
    point.starts_with("local.checkpoint.") || point == "local.stage.flush"
}

/// How often a step goes well before it does not: at once, at the first file over a file, when parts are joined, and at
/// the deletion.
fn goes_well(point: &str) -> &'static [u32] {
    if needs_much(point) { &[0] } else { &[0, 4, 9, 10] }
}

/// Each object is the version that was last told to be safe, or one that was tried since.
async fn holds(store: &LocalStore, ledger: &Ledger) {
    for name in NAMES {
        let mut possible = vec![None];
        for line in ledger {
            let words: Vec<&str> = line.split(' ').collect();
            let [verb, of, seed, size] = words[..] else { panic!("{line:?}") };
            if of == name {
                if verb == "safe" {
                    possible.clear();
                }
                let (size, seed) = (size.parse().expect("a size"), seed.parse().expect("a seed"));
                possible.push((size > 0).then(|| bytes(size, seed)));
            }
        }
        let there = store.head(&bucket(), &key(name)).await.is_ok();
        let content = if there { Some(get(store, name).await) } else { None };
        assert!(possible.contains(&content), "{name} is not what the ledger says: {ledger:?}");
    }
    assert_eq!(store.sweep().await.expect("a sweep"), 0, "something was left over: {ledger:?}");
}

/// The folder itself stays as it was left, for the next run to recover.
async fn a_copy_holds(data: &Path, ledger: &Ledger) {
    if data.exists() {
        let copy = folder();
        copy_folder(data, copy.path());
        holds(&open(copy.path()), ledger).await;
    }
}

/// What was answered is there, whatever a step does once in each of two runs. The second starts on what the first one left.
async fn at_each_step(action: &str) {
    for point in FAILPOINTS {
        for well in goes_well(point) {
            let dir = folder();
            let data = dir.path().join("new/data");
            let mut ledger = Ledger::new();
            for _ in 0..2 {
                let scenario = FailScenario::setup();
                fail::cfg(*point, &format!("{well}*off->1*{action}")).expect("a failpoint");
                work(&data, needs_much(point), &mut |line| ledger.push(line)).await;
                fail::remove(*point);
                // before another case has its turn
                a_copy_holds(&data, &ledger).await;
                scenario.teardown();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_step_fails_nothing_that_was_answered_is_lost() {
    at_each_step("return").await;
    every_step_is_visited().await;
    a_failed_commit_stops_all_answers().await;
    a_failed_sync_of_a_file_stops_all_answers().await;
    a_failed_early_sync_fails_the_file().await;
    a_failed_checkpoint_stops_all_answers().await;
    a_lost_reply_says_nothing().await;
    a_refused_request_does_not_harm_its_group().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_step_panics_nothing_that_was_answered_is_lost() {
    let panicked = note_panics();
    at_each_step("panic").await;
    let visited = panicked.lock().expect("a list").clone();
    assert_eq!(visited, FAILPOINTS.iter().map(|point| (*point).to_owned()).collect());
}

/// The failpoints that panicked from now on, which nobody needs to read of; whatever else panics is told as before.
fn note_panics() -> Arc<Mutex<BTreeSet<String>>> {
    let panicked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let (noted, before) = (panicked.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        match text.strip_prefix("failpoint ").and_then(|text| text.strip_suffix(" panic")) {
            Some(point) => drop(noted.lock().expect("a list").insert(point.to_owned())),
            None => before(panic),
        }
    }));
    panicked
}

/// What the runs above do comes by each failpoint, so each has failed once.
async fn every_step_is_visited() {
    let scenario = FailScenario::setup();
    let visited: Arc<Mutex<BTreeSet<&str>>> = Arc::default();
    for point in FAILPOINTS {
        let visited = Arc::clone(&visited);
        let visit = move || {
            visited.lock().expect("a list").insert(*point);
        };
        fail::cfg_callback(*point, visit).expect("a failpoint");
    }
    let dir = folder();
    for _ in 0..2 {
        work(&dir.path().join("new/data"), true, &mut |_| {}).await;
    }
    scenario.teardown();
    assert_eq!(*visited.lock().expect("a list"), FAILPOINTS.iter().copied().collect());
}

const SIGABRT: i32 = 6;
const CRASH_DIR: &str = "FILEMILL_TEST_CRASH_DIR";
const CRASH_MUCH: &str = "FILEMILL_TEST_CRASH_MUCH";

#[tokio::test]
async fn wherever_the_process_aborts_nothing_that_was_answered_is_lost() {
    if let Some(dir) = std::env::var_os(CRASH_DIR) {
        // the process that aborts
        let _scenario = FailScenario::setup();
        // the harness has begun a line, which would take the first entry with it
        println!();
        return work(Path::new(&dir), std::env::var_os(CRASH_MUCH).is_some(), &mut |line| println!("{line}")).await;
    }
    // no other case's failpoints meanwhile
    let _scenario = FailScenario::setup();
    for point in FAILPOINTS {
        let mut aborted = false;
        for well in goes_well(point) {
            let dir = folder();
            let data = dir.path().join("new/data");
            let mut ledger = Ledger::new();
            // the second run starts on what the first one left, and may abort again, in its recovery too
            for _ in 0..2 {
                aborted |= crash(&data, point, *well, &mut ledger);
                a_copy_holds(&data, &ledger).await;
            }
        }
        assert!(aborted, "{point} was never visited");
    }
    a_recovery_that_is_broken_off_is_done_by_the_next_start().await;
}

async fn a_recovery_that_is_broken_off_is_done_by_the_next_start() {
    let dir = folder();
    let mut ledger = Ledger::new();
    work(dir.path(), false, &mut |line| ledger.push(line)).await;
    for point in FAILPOINTS.iter().filter(|point| point.starts_with("local.recovery.")) {
        for well in 0..4 {
            let crashed = folder();
            copy_folder(dir.path(), crashed.path());
            let shard = crashed.path().join("blobs/00");
            std::fs::create_dir_all(&shard).expect("a folder");
            (0..3).for_each(|n| std::fs::write(shard.join(format!("000001000000ff0{n}")), "").expect("an orphan"));
            if !crash(crashed.path(), point, well, &mut Ledger::new()) {
                assert!(well > 0, "{point} was never visited");
                break;
            }
            let store = open(crashed.path());
            holds(&store, &ledger).await;
            drop(store);
            assert_eq!(blob_names(crashed.path()), blob_names(dir.path()), "after {well} at {point}");
            assert_eq!(open(crashed.path()).recovered(), Recovered::default(), "after {well} at {point}");
        }
    }
}

fn blob_names(dir: &Path) -> BTreeSet<OsString> {
    blob_files(dir).iter().filter_map(|file| file.file_name().map(ToOwned::to_owned)).collect()
}

/// Runs the test above again as another process. Answers whether it aborted.
fn crash(dir: &Path, point: &str, well: u32, ledger: &mut Ledger) -> bool {
    let me = std::env::current_exe().expect("the path of this test");
    let mut again = std::process::Command::new(me);
    again.args(["--exact", "wherever_the_process_aborts_nothing_that_was_answered_is_lost", "--nocapture"]);
    again.env(CRASH_DIR, dir).env("FAILPOINTS", format!("{point}={well}*off->return(abort)"));
    if needs_much(point) {
        again.env(CRASH_MUCH, "1");
    }
    let output = again.output().expect("this test as a process");
    let text = String::from_utf8_lossy(&output.stdout);
    let is_entry = |line: &&str| line.starts_with("try ") || line.starts_with("safe ");
    ledger.extend(text.lines().filter(is_entry).map(str::to_owned));
    let aborted = output.status.signal() == Some(SIGABRT);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(aborted || output.status.success(), "{point} ended otherwise: {text}{errors}");
    aborted
}

async fn a_failed_commit_stops_all_answers() {
    for point in ["local.group.begin", "local.group.before_commit", "local.group.sync"] {
        let scenario = FailScenario::setup();
        let dir = folder();
        let store = with_bucket(dir.path()).await;
        put(&store, "before", b"1").await;
        fail::cfg(point, "1*return").expect("a failpoint");
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
}

async fn a_failed_sync_of_a_file_stops_all_answers() {
    for point in ["local.folder.sync", "local.stage.datasync", "local.stage.dirsync"] {
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
    for point in ["local.checkpoint.beside", "local.checkpoint.restart", "local.checkpoint.empty"] {
        let scenario = FailScenario::setup();
        let dir = folder();
        let store = with_bucket(dir.path()).await;
        fail::cfg(point, "1*return").expect("a failpoint");
        put(&store, "before", b"1").await;
        fill_the_log(&store).await;
        let _ = store.sweep().await;
        assert!(is_unavailable(&try_put(&store, "after", b"2").await), "{point}");
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
    let _scenario = FailScenario::setup();
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
