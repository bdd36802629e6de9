//! The store itself: its threads and handles, and how it ends.

use crate::blobs::BlobFolder;
use crate::effects::Bells;
use crate::failure::{Step, StoreFailure};
use crate::housekeeper::Chores;
use crate::jobs::LookedThrough;
use crate::log::Log;
use crate::messages::MessageCounters;
use crate::presign::Presigner;
use crate::queue::LeaseCounters;
use crate::readers::Readers;
use crate::recovery::Recovered;
use crate::set_aside::SetAside;
use crate::stage::Stages;
use crate::writer::{Tx, Writer};
use filemill_core::ports::{Clock, Durability};
use rusqlite::Connection;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Blobs, state, tasks and messages over one SQLite file and one folder. Shared as an `Arc`; the last one dropped closes the store.
pub struct LocalStore {
    /// There until the store is dropped.
    pub(crate) writer: Option<Writer>,
    pub(crate) readers: Readers,
    pub(crate) blobs: Arc<BlobFolder>,
    pub(crate) stages: Stages,
    pub(crate) bells: Arc<Bells>,
    pub(crate) chores: Chores,
    pub(crate) log: Arc<Log>,
    pub(crate) leases: Arc<Mutex<LeaseCounters>>,
    pub(crate) messages: Arc<Mutex<MessageCounters>>,
    /// Where the last look for stranded jobs stopped.
    pub(crate) stranded_after: Mutex<String>,
    pub(crate) looked_for_leftovers: Mutex<LookedThrough>,
    pub(crate) presigner: Presigner,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) recovered: Recovered,
    pub(crate) threads: Threads,
    pub(crate) _aside: Arc<SetAside>,
    pub(crate) _lock: File,
}

pub(crate) struct Threads {
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) housekeeper: Option<JoinHandle<()>>,
}

/// Counts since the store was opened: how well group commit works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteCounts {
    pub requests: u64,
    pub groups: u64,
    pub synced_groups: u64,
}

impl LocalStore {
    pub(crate) async fn write<T, E, F>(&self, durability: Durability, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Step<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFailure> + Send + 'static,
    {
        match &self.writer {
            Some(writer) => writer.write(durability, work).await,
            None => Err(StoreFailure::unavailable("the store is closed").into()),
        }
    }

    pub(crate) fn look<T, E: From<StoreFailure>>(&self, query: impl FnOnce(&Connection) -> Step<T, E>) -> Result<T, E> {
        self.readers.connections.look(query)
    }

    pub(crate) async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Step<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFailure> + Send + 'static,
    {
        self.readers.read(query).await
    }

    pub fn write_counts(&self) -> WriteCounts {
        let Some(writer) = &self.writer else { return WriteCounts { requests: 0, groups: 0, synced_groups: 0 } };
        WriteCounts {
            requests: writer.stats.requests.load(Ordering::Relaxed),
            groups: writer.stats.groups.load(Ordering::Relaxed),
            synced_groups: writer.stats.synced_groups.load(Ordering::Relaxed),
        }
    }

    /// Returns when the files that were to be unlinked by now are unlinked (but for those still read).
    pub async fn settled(&self) {
        self.chores.settled().await;
    }

    /// What new content must leave free from now on; `None`: the default.
    pub fn set_reserve(&self, bytes: Option<u64>) {
        self.blobs.room.set_reserve(bytes);
    }

    /// The public address of the S3 door, for presigned links: where its port is only known after it listens.
    pub fn set_endpoint(&self, endpoint: &str) -> Result<(), String> {
        self.presigner.set_endpoint(endpoint)
    }
}

impl Drop for LocalStore {
    /// Ends the threads; the lock goes last, with the fields.
    fn drop(&mut self) {
        drop(self.writer.take());
        let ended = self.threads.writer.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) {
            tracing::error!("the writer's thread ended by a panic");
        }
        // the last connection to close carries the log into the database, which a reader's could not
        self.readers.stop();
        self.chores.stop();
        let ended = self.threads.housekeeper.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) {
            tracing::error!("the housekeeper's thread ended by a panic");
        }
    }
}
