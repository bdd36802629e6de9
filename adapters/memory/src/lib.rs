//! The strictest backend, in memory and seeded: for tests and simulation.
//!
//! Promises the clauses of `core/src/ports` and not a bit more: bounded commits, no item twice in a set, rings only by
//! `push`. With a [`FaultPlan`] it also does everything the clauses allow a backend to do badly, all from one seed.
//! Holds nothing on disk; a crash is played by taking back what no synced write covered.

mod announcements;
mod blobs;
mod clock;
mod commit;
mod content;
mod faults;
mod inspect;
mod line;
mod listing;
mod messages;
mod multipart;
mod queue;
mod scrub;
mod state;
mod store;
mod trace;
mod world;

pub use clock::SimClock;
pub use faults::FaultPlan;
pub use inspect::Snapshot;
pub use line::{About, Call, Line};
pub use store::{MemoryOptions, MemoryStore};
