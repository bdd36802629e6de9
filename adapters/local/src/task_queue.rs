//! The `TaskQueue` port on the local store: leases straight from the task rows, so there is nothing to push or to ack.

use crate::queue;
use crate::store::LocalStore;
use async_trait::async_trait;
use filemill_core::ports::*;
use filemill_core::rule::QueueName;
use filemill_core::task::TaskId;
use filemill_core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

#[async_trait]
impl TaskQueue for LocalStore {
    async fn push(&self, _tasks: &[TaskId]) -> Result<(), StateError> {
        Ok(())
    }

    async fn lease(&self, wanted: LeaseRequest) -> Result<Vec<Lease>, StateError> {
        let counters = Arc::clone(&self.leases);
        self.write(Durability::Lazy, move |tx| {
            queue::lease(tx, &wanted, &mut counters.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<Timestamp, LeaseError> {
        let lease = lease.clone();
        self.write(Durability::Lazy, move |tx| queue::extend(tx, &lease, duration)).await
    }

    async fn ack(&self, _lease: &Lease) -> Result<(), StateError> {
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), StateError> {
        let lease = lease.clone();
        self.write(Durability::Lazy, move |tx| queue::release(tx, &lease)).await
    }

    async fn depths(&self) -> Result<BTreeMap<QueueName, QueueDepth>, StateError> {
        let now = self.clock.now();
        self.read(move |sql| queue::depths(sql, now)).await
    }

    /// Sleeps until the next back-off or lease ends, if no commit wakes it before.
    async fn ready(&self) {
        let mut next_ready = self.bells.next_ready.subscribe();
        loop {
            let next = *next_ready.borrow_and_update();
            let by_itself = async {
                match next {
                    Some(next) => self.clock.sleep(next.since(self.clock.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.bells.ready.wait() => return,
                () = by_itself => return,
                // the sender is this store's, so there is always a next change to wait for
                _ = next_ready.changed() => {}
            }
        }
    }
}
