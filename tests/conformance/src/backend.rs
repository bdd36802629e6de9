//! What a suite is given: the four ports of one fresh store, and a hand that reaches it from outside.

use async_trait::async_trait;
use filemill_core::object::ObjectInfo;
use filemill_core::ports::{BlobStore, MessageQueues, StateStore, TaskQueue};
use std::sync::Arc;
use std::time::Duration;

pub struct Backend {
    pub blobs: Arc<dyn BlobStore>,
    pub state: Arc<dyn StateStore>,
    pub queue: Arc<dyn TaskQueue>,
    pub messages: Arc<dyn MessageQueues>,
    /// Messages of one queue that may be in flight. SQS's 120,000 would only take time.
    pub in_flight_max: u64,
    /// Also the place for guards, such as a temporary folder.
    pub outside: Box<dyn Outside>,
}

#[async_trait]
pub trait Outside: Send + Sync {
    /// Lets time pass on the store's clock.
    async fn pass(&self, duration: Duration);

    /// Sets the store's wall clock by so much, without time passing.
    async fn set_clock(&self, by_millis: i64);

    /// Flips a bit of the object's stored bytes; `content` is what they are. Objects given here are 1 MiB or larger.
    async fn flip_bit(&self, object: &ObjectInfo, content: &[u8]);

    /// So many bytes fit into the store from now on, more or less; `None`: as many as at first. Nothing for stores without a
    /// limit.
    async fn leave_room(&self, bytes: Option<u64>);

    /// The store goes down without a farewell and comes back. The other handles are dropped before.
    async fn crash(self: Box<Self>) -> Backend;
}

impl Backend {
    pub async fn crash(self) -> Backend {
        let Backend { blobs, state, queue, messages, outside, .. } = self;
        drop((blobs, state, queue, messages));
        outside.crash().await
    }
}
