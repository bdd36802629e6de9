//! The store itself: one lock around the world, and the frame that every call runs in.
//!
//! A call may be delayed, refused or have its reply lost; what it does in between happens in one step under the lock.
//! Nothing waits while it holds the lock.

use crate::content::StageCount;
use crate::faults::FaultPlan;
use crate::line::{Call, Line};
use crate::scrub::ScrubMemory;
use crate::world::World;
use filemill_core::ports::{BlobError, Clock, Durability, LeaseError, MessageError, StateError, WallClock};
use filemill_core::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Clone, Debug)]
pub struct MemoryOptions {
    pub faults: FaultPlan,
    /// Does `commit` take `Publish`? Both kinds of backend must work.
    pub publishes: bool,
    /// Do workers die with the store? Then lazy writes may be lost in a crash. Otherwise every write is synced.
    pub local_workers: bool,
    pub min_part_bytes: u64,
    pub max_parts: u32,
    /// Keep the trace's lines, to read a failing seed.
    pub keeps_trace: bool,
    /// A run with more calls than this runs in a circle: no further call ends.
    pub calls_max: u64,
    /// Of one message queue; the default is SQS's.
    pub messages_in_flight_max: u64,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        MemoryOptions {
            faults: FaultPlan::none(),
            publishes: true,
            local_workers: true,
            min_part_bytes: 1,
            max_parts: filemill_core::limits::PARTS_MAX,
            keeps_trace: false,
            calls_max: u64::MAX,
            messages_in_flight_max: filemill_core::limits::MESSAGES_IN_FLIGHT_MAX,
        }
    }
}

/// Implements `BlobStore`, `StateStore`, `TaskQueue` and `MessageQueues`. Clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    world: Arc<Mutex<World>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: MemoryOptions,
    pub(crate) staged: StageCount,
    pub(crate) scrub: Arc<Mutex<ScrubMemory>>,
    /// Bytes that are left, where a test says so.
    pub(crate) room: Arc<Mutex<Option<u64>>>,
    /// Rings when an announcement was written.
    pub(crate) announced: Arc<Notify>,
    /// Rings when a task may be ready.
    pub(crate) ready: Arc<Notify>,
    /// Rings when something changed in a message queue.
    pub(crate) mailed: Arc<Notify>,
    /// Of whoever holds this handle.
    pub(crate) line: Option<Arc<dyn Line>>,
}

impl MemoryStore {
    pub fn new(clock: Arc<dyn Clock>, options: MemoryOptions) -> Self {
        let world = World::new(options.faults.clone(), options.keeps_trace, WallClock::new(&*clock));
        MemoryStore {
            world: Arc::new(Mutex::new(world)),
            clock,
            options,
            staged: StageCount::default(),
            scrub: Arc::default(),
            room: Arc::default(),
            announced: Arc::default(),
            ready: Arc::default(),
            mailed: Arc::default(),
            line: None,
        }
    }

    /// A panic under the lock is a failed test already; others may still look.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A call that writes.
    pub(crate) async fn write<T, E: Outage>(
        &self,
        call: impl Into<Call> + Send,
        durability: Durability,
        apply: impl FnOnce(&mut World, Timestamp) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let call = call.into();
        if let Some(line) = &self.line {
            line.there(&call).await;
        }
        self.wait().await;
        if self.is_overrun() {
            std::future::pending::<()>().await;
        }
        // on a remote store nothing is lazy: workers outlive it
        let durability = if self.options.local_workers { durability } else { Durability::Synced };
        let outcome = {
            let mut world = self.world();
            let now = self.now();
            world.follow(&*self.clock, now);
            self.attempt(&mut world, now, call.name, durability, apply)
        };
        self.wait().await;
        if let Some(line) = &self.line {
            line.back(&call, outcome.is_ok()).await;
        }
        outcome
    }

    /// A call that only looks.
    pub(crate) async fn read<T, E: Outage>(
        &self,
        call: impl Into<Call> + Send,
        look: impl FnOnce(&mut World, Timestamp) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.write(call, Durability::Lazy, look).await
    }

    fn attempt<T, E: Outage>(
        &self,
        world: &mut World,
        now: Timestamp,
        name: &'static str,
        durability: Durability,
        apply: impl FnOnce(&mut World, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        assert!(
            world.trace.calls < self.options.calls_max,
            "the store was called too often: something runs in a circle"
        );
        if world.is_away(now) {
            world.trace.note(now, format_args!("{name}: unavailable"));
            return Err(E::outage("the store does not answer"));
        }
        let outcome = apply(world, now);
        match outcome {
            Ok(_) => world.end_call(durability),
            Err(_) => world.abandon_call(),
        }
        let lost = world.dice.roll(world.plan.lost_reply);
        let word = if outcome.is_ok() { "done" } else { "refused" };
        world.trace.note(now, format_args!("{name}: {word}{}", if lost { ", reply lost" } else { "" }));
        if lost { Err(E::outage("the reply was lost")) } else { outcome }
    }

    /// Something runs in a circle.
    pub fn is_overrun(&self) -> bool {
        self.world().trace.calls >= self.options.calls_max
    }

    async fn wait(&self) {
        let wait = {
            let world = &mut *self.world();
            world.dice.wait(world.plan.delay, world.plan.delay_max)
        };
        if let Some(wait) = wait {
            self.clock.sleep(wait).await;
        }
    }
}

/// Errors that can say "try again later".
pub(crate) trait Outage {
    fn outage(why: &'static str) -> Self;
}

impl Outage for BlobError {
    fn outage(why: &'static str) -> Self {
        BlobError::unavailable(why)
    }
}

impl Outage for StateError {
    fn outage(why: &'static str) -> Self {
        StateError::Unavailable(why.into())
    }
}

impl Outage for MessageError {
    fn outage(why: &'static str) -> Self {
        MessageError::Unavailable(why.into())
    }
}

impl Outage for LeaseError {
    fn outage(why: &'static str) -> Self {
        LeaseError::Unavailable(why.into())
    }
}
