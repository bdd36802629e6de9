//! How much a worker takes at a time.

#[allow(dead_code, reason = "shared, and not every test needs all of it")]
mod support;

use async_trait::async_trait;
use filemill_core::chunks::Cut;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, Lease, LeaseError, LeaseRequest, Load, ProcessError, Processor, ProcessorSpec,
    QueueDepth, StateError, TaskQueue, Transform, Work,
};
use filemill_core::rule::QueueName;
use filemill_core::task::{TaskId, TaskKind};
use filemill_core::time::Timestamp;
use filemill_engine::{Compute, Ports, Registry};
use filemill_memory::MemoryStore;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::time::Duration;
use support::{build, engine_on, engine_with, hello, ports, running};

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

/// Runs rest until so many of them are there.
struct Meeting {
    expected: u32,
    there: Mutex<u32>,
    came: Condvar,
}

struct Visits {
    spec: ProcessorSpec,
    meeting: Arc<Meeting>,
}

impl Processor for Visits {
    fn spec(&self) -> &ProcessorSpec {
        &self.spec
    }

    fn prepare(&self, _: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(Visit(Arc::clone(&self.meeting))))
    }
}

struct Visit(Arc<Meeting>);

impl Transform for Visit {
    fn works_beyond_its_input(&self) -> bool {
        true
    }

    fn cut(&self, _: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, _: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        work.pulse.takes(Load::Rest);
        let mut there = self.0.there.lock().expect("a count");
        *there += 1;
        self.0.came.notify_all();
        let alone = |there: &mut u32| *there < self.0.expected;
        let (_there, waited) = self.0.came.wait_timeout_while(there, Duration::from_secs(10), alone).expect("a count");
        if waited.timed_out() {
            Err(ProcessError::input("alone", "the others did not come"))
        } else {
            Ok(ChunkReport::default())
        }
    }
}

/// Tells nobody that something is ready.
struct Silent(Arc<MemoryStore>);

#[async_trait]
impl TaskQueue for Silent {
    async fn push(&self, tasks: &[TaskId]) -> Result<(), StateError> {
        self.0.push(tasks).await
    }

    async fn lease(&self, wanted: LeaseRequest) -> Result<Vec<Lease>, StateError> {
        self.0.lease(wanted).await
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<Timestamp, LeaseError> {
        self.0.extend(lease, duration).await
    }

    async fn ack(&self, lease: &Lease) -> Result<(), StateError> {
        self.0.ack(lease).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StateError> {
        self.0.release(lease).await
    }

    async fn depths(&self) -> Result<BTreeMap<QueueName, QueueDepth>, StateError> {
        self.0.depths().await
    }

    async fn ready(&self) {
        std::future::pending().await
    }
}

/// Else a few commands that hang would hold up all others for as long as they may take. Time stands still while one rests, so
/// that the worker's clock makes nothing good.
#[tokio::test(start_paused = true)]
async fn chunks_that_rest_keep_nobody_waiting() {
    let (_, store) = build(vec![], true);
    let spec = ProcessorSpec { kind: "meeting".into(), summary: "".into(), options: &[] };
    let meeting = Arc::new(Meeting { expected: 4, there: Mutex::new(0), came: Condvar::new() });
    let visits: Arc<dyn Processor> = Arc::new(Visits { spec, meeting });
    let ports = Ports {
        queue: Arc::new(Silent(store.clone())),
        processors: Registry::new([]).with([visits]).expect("a processor"),
        compute: Compute::Threads,
        ..ports(&store)
    };
    let mut rule = hello();
    rule["process"] = json!({ "kind": "meeting" });
    let service = running(engine_with(ports, vec![rule], |config| config.chunks_max = 1), store).await;
    for n in 0..4 {
        service.put(&format!("file/{n}"), "x".into()).await;
    }
    for n in 0..4 {
        let job = &service.ended(&format!("file/{n}")).await[0];
        assert!(job.failure.is_none(), "{:?}", job.failure);
    }
}
