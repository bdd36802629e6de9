//! How much a worker takes at a time.

#[allow(dead_code, reason = "shared, and not every test needs all of it")]
mod support;

use filemill_core::task::TaskKind;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use support::{build, engine_on, hello, running};

/// Chunks hold memory, and what is leased is overtaken by nobody any more.
#[tokio::test]
async fn no_more_chunks_are_leased_than_may_be_worked_on() {
    let (_, store) = build(vec![hello()], true);
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, watched) = (most.clone(), store.clone());
    // looks between any two turns of the others: yielding would look only when none of them is ready
    tokio::spawn(poll_fn::<(), _>(move |context| {
        let tasks = watched.snapshot().tasks;
        let chunks = tasks.iter().filter(|task| task.id.kind == TaskKind::Chunk);
        seen.fetch_max(chunks.filter(|task| task.claim.is_some()).count(), Ordering::Relaxed);
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    let service = running(engine_on(&store, vec![hello()], |config| config.chunks_max = 2), store).await;
    service.put("big", vec![b'\n'; 12 * 700_000].into()).await;
    assert_eq!(service.ended("big").await[0].chunks_done, 12);
    assert_eq!(most.load(Ordering::Relaxed), 2);
}
