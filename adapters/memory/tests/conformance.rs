//! The memory adapter against the suites of its ports, in both of its modes.

use async_trait::async_trait;
use filemill_conformance::{Backend, HandClock, Outside};
use filemill_core::object::ObjectInfo;
use filemill_memory::{MemoryOptions, MemoryStore};
use std::sync::Arc;
use std::time::Duration;

const IN_FLIGHT_MAX: u64 = 100;

struct Hand {
    store: Arc<MemoryStore>,
    clock: Arc<HandClock>,
}

fn backend(store: Arc<MemoryStore>, clock: Arc<HandClock>) -> Backend {
    let outside = Box::new(Hand { store: store.clone(), clock });
    let (blobs, state, queue) = (store.clone(), store.clone(), store.clone());
    Backend { blobs, state, queue, messages: store, in_flight_max: IN_FLIGHT_MAX, outside }
}

async fn fresh(publishes: bool) -> Backend {
    let clock = Arc::new(HandClock::new());
    let options = MemoryOptions { publishes, messages_in_flight_max: IN_FLIGHT_MAX, ..MemoryOptions::default() };
    backend(Arc::new(MemoryStore::new(clock.clone(), options)), clock)
}

#[async_trait]
impl Outside for Hand {
    async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    async fn set_clock(&self, by_millis: i64) {
        self.clock.set(by_millis);
    }

    async fn flip_bit(&self, object: &ObjectInfo, _content: &[u8]) {
        self.store.flip_bit(&object.bucket, &object.key);
    }

    async fn leave_room(&self, bytes: Option<u64>) {
        self.store.set_room(bytes);
    }

    async fn crash(self: Box<Self>) -> Backend {
        self.store.crash();
        backend(self.store, self.clock)
    }
}

mod publishing {
    use super::*;

    filemill_conformance::blob_store_suite!(fresh(true));
    filemill_conformance::state_store_suite!(fresh(true));
    filemill_conformance::task_queue_suite!(fresh(true));
    filemill_conformance::message_queues_suite!(fresh(true));
}

mod not_publishing {
    use super::*;

    filemill_conformance::state_store_suite!(fresh(false));
}
