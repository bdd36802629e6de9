//! One suite per port: each numbered clause of `core/src/ports` has at least one named case here, which names it.
//!
//! An adapter's tests call [`blob_store_suite!`], [`state_store_suite!`], [`task_queue_suite!`] and
//! [`message_queues_suite!`] with an expression
//! that makes a fresh [`Backend`]; each case becomes a test of its own. What a fake passes, the real thing must pass.

mod backend;
pub mod blob_store;
mod hand_clock;
pub mod message_queues;
mod samples;
pub mod state_store;
mod suites;
pub mod task_queue;

pub use backend::{Backend, Outside};
pub use hand_clock::HandClock;
