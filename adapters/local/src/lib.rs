//! The embedded default: blobs, state, tasks and messages over one SQLite file and one folder of blobs.
//!
//! `DIR/filemill.db` holds everything but large content (open it with the `sqlite3` shell: plain tables, real names);
//! `DIR/blobs/` holds that; `DIR/lock` keeps a second process out. What was answered with `Synced` survives a power
//! loss. There is one writer thread (see `writer`) and no configuration that weakens any of this.

mod announcements;
mod blob_store;
mod blobs;
mod buckets;
mod checksum;
mod commit;
mod config;
mod durable;
mod effects;
mod expiry;
mod extents;
mod failpoints;
mod failure;
mod feed;
mod files;
mod filter;
mod findings;
mod flusher;
mod housekeeper;
mod jobs;
mod listing;
mod log;
mod message_bells;
mod message_port;
mod message_rows;
mod messages;
mod migrations;
mod multipart;
mod objects;
mod open;
mod pins;
mod presign;
mod queue;
mod readers;
mod reading;
mod records;
mod recovery;
mod room;
mod rows;
mod scrub;
mod set_aside;
mod signal;
mod sigv4;
mod stage;
mod state_store;
mod store;
mod sweep;
mod task_queue;
mod tasks;
mod writer;

pub use config::LocalConfig;
pub use failpoints::FAILPOINTS;
pub use open::OpenError;
pub use recovery::Recovered;
pub use store::{LocalStore, WriteCounts};
