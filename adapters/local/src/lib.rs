//! The embedded default: blobs, state and queue over one SQLite file and one folder of blobs.
//!
//! `DIR/filemill.db` holds everything but large content (open it with the `sqlite3` shell: plain tables, real names);
//! `DIR/blobs/` holds that; `DIR/lock` keeps a second process out. What was answered with `Synced` survives a power
//! loss. There is one writer thread (see `writer`) and no configuration that weakens any of this.

mod announcements;
mod backup;
mod blob_store;
mod blobs;
mod buckets;
mod checksum;
mod checkup;
mod commit;
mod config;
mod durable;
mod effects;
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
mod keeper;
mod listing;
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
mod restore;
mod room;
mod rows;
mod scrub;
mod set_aside;
mod signal;
mod sigv4;
mod stage;
mod state_store;
mod stopped;
mod store;
mod sweep;
mod task_queue;
mod tasks;
mod writer;

pub use checkup::CONTRADICTIONS;
pub use config::LocalConfig;
pub use failpoints::FAILPOINTS;
pub use open::OpenError;
pub use recovery::Recovered;
pub use restore::{RestoreError, Restored, check_backup, restore_backup};
pub use stopped::StoppedStore;
pub use store::{LocalStore, WriteCounts};
