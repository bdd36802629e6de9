//! Events: numbered in commit order, resumable from any number.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::event::{EventKind, NewEvent};
use filemill_core::ids::FileId;
use filemill_core::ports::*;
use futures::future::join_all;
use std::sync::atomic::{AtomicBool, Ordering};

async fn numbers_after(backend: &Backend, seq: u64, limit: u32) -> Vec<(u64, u64)> {
    let events = backend.state.events_after(seq, limit).await.expect("events");
    let number = |e: &NewEvent| e.data["number"].as_u64().expect("a number");
    events.iter().map(|e| (e.seq.expect("stored events are numbered"), number(&e.event))).collect()
}

/// S6
pub async fn events_are_numbered_in_commit_order(backend: Backend) {
    assert_eq!(backend.state.last_event().await.expect("last event"), 0);
    let mut last = 0;
    for n in 0..5 {
        let committed = commit(&backend, [Change::Emit(event(2 * n)), Change::Emit(event(2 * n + 1))]).await;
        let seq = committed.expect("commit").last_event.expect("a number");
        assert!(seq > last);
        last = seq;
    }
    assert_eq!(backend.state.last_event().await.expect("last event"), last);
    let found = numbers_after(&backend, 0, 100).await;
    assert_eq!(found.iter().map(|f| f.1).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert!(found.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(found.last().map(|f| f.0), Some(last));
}

/// S6
pub async fn events_are_read_from_any_number_in_pages(backend: Backend) {
    for n in 0..7 {
        commit(&backend, [Change::Emit(event(n))]).await.expect("commit");
    }
    let all = numbers_after(&backend, 0, 100).await;
    for limit in 1..=8 {
        let mut found: Vec<(u64, u64)> = Vec::new();
        loop {
            let page = numbers_after(&backend, found.last().map_or(0, |f| f.0), limit).await;
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, all);
    }
    assert_eq!(numbers_after(&backend, all[6].0 + 100, 10).await, []);
}

/// S6: an event comes back as it was.
pub async fn an_event_comes_back_as_it_was(backend: Backend) {
    for kind in EventKind::ALL {
        let event = NewEvent {
            owner: None,
            kind,
            at: time(),
            job: Some(job("a", 1).id),
            file: Some(FileId::of("b", "k")),
            upload: Some(upload("a", 1).id),
            data: serde_json::json!({ "key": "é\n\u{0}", "bytes": { "in": 1u64 << 53 }, "failure": null }),
        };
        let seq = commit(&backend, [Change::Emit(event.clone())]).await.expect("commit").last_event.expect("a number");
        let found = backend.state.events_after(seq - 1, 1).await.expect("events").pop().expect("one");
        assert_eq!((found.seq, found.event), (Some(seq), event));
    }
}

/// S6: whoever resumes behind the number of a lost event must not miss the one that came instead.
pub async fn a_number_is_not_given_again_after_a_crash(backend: Backend) {
    commit(&backend, [Change::Emit(event(0))]).await.expect("commit");
    let mut told = 0;
    for n in 1..10 {
        let lazy = set([Change::Emit(event(n))]);
        let committed = backend.state.commit(lazy, Durability::Lazy).await.expect("commit");
        told = committed.last_event.expect("a number");
    }
    let backend = backend.crash().await;
    let seq = commit(&backend, [Change::Emit(event(10))]).await.expect("commit").last_event.expect("a number");
    assert!(seq > told, "{seq} after {told}");
    assert_eq!(numbers_after(&backend, told, 10).await, [(seq, 10)]);
}

/// S6: a reader that follows the numbers misses none, however many commit at once.
pub async fn a_follower_misses_nothing(backend: Backend) {
    let backend = &backend;
    let is_over = &AtomicBool::new(false);
    let writing = async {
        let writers = (0..8).map(|writer| async move {
            for n in 0..10 {
                let changes = set([Change::Emit(event(writer * 10 + n))]);
                backend.state.commit(changes, Durability::Lazy).await.expect("commit");
            }
        });
        join_all(writers).await;
        is_over.store(true, Ordering::SeqCst);
    };
    let following = async {
        let mut found: Vec<(u64, u64)> = Vec::new();
        loop {
            let was_over = is_over.load(Ordering::SeqCst);
            let page = numbers_after(backend, found.last().map_or(0, |f| f.0), 3).await;
            if page.is_empty() && was_over {
                return found;
            }
            found.extend(page);
            tokio::task::yield_now().await;
        }
    };
    let ((), found) = futures::join!(writing, following);
    let mut numbers: Vec<u64> = found.iter().map(|f| f.1).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..80).collect::<Vec<_>>());
}
