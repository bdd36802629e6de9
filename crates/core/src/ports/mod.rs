//! What the engine needs from the outside. Adapters implement these; `tests/conformance` holds them to the clauses.
//!
//! The weakest backend shapes a port: one bounded conditional commit, at-least-once queues, no joins, no locks.

mod blob_store;
mod clock;
mod keeper;
mod message_queues;
mod notifier;
mod processor;
mod room;
mod scrub;
mod state_store;
mod task_queue;

pub use blob_store::*;
pub use clock::*;
pub use keeper::*;
pub use message_queues::*;
pub use notifier::*;
pub use processor::*;
pub use room::*;
pub use scrub::*;
pub use state_store::*;
pub use task_queue::*;

/// The cause of an adapter's failure, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// May be lost by a crash, but only together with everything written after it.
    Lazy,
    /// On disk, with everything written before it, when the call returns.
    Synced,
}
