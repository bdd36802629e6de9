//! The thread for slow things that nobody waits for: unlinking files and checkpointing the write-ahead log.
//!
//! A checkpoint runs beside the writer, so that commits do not stall; only when the log is long and its bulk is already
//! in the database does it hold the writer for the short rest, after which the log starts again from its beginning.

use crate::blobs::BlobFolder;
use crate::failpoints::failpoint;
use crate::blobs::BlobId;
use rusqlite::Connection;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

enum Chore {
    /// Unlink these as soon as no reader wants them.
    Unlink(Vec<BlobId>),
    Checkpoint,
    /// Tell when everything asked for before is done.
    Settle(oneshot::Sender<()>),
    Stop,
}

/// The handle to give chores. Never blocks and never fails: chores left undone are found when the store opens.
#[derive(Clone)]
pub(crate) struct Chores(Sender<Chore>);

pub(crate) struct ChoreList(Receiver<Chore>);

pub(crate) fn chores() -> (Chores, ChoreList) {
    let (sender, receiver) = mpsc::channel();
    (Chores(sender), ChoreList(receiver))
}

impl Chores {
    #[cfg(test)]
    pub(crate) fn unheard() -> Self {
        chores().0
    }

    pub(crate) fn unlink(&self, blobs: Vec<BlobId>) {
        self.give(Chore::Unlink(blobs));
    }

    pub(crate) fn checkpoint(&self) {
        self.give(Chore::Checkpoint);
    }

    pub(crate) async fn settled(&self) {
        let (done, wait) = oneshot::channel();
        self.give(Chore::Settle(done));
        // an error means that the thread has ended, and nothing is left to wait for
        let _ = wait.await;
    }

    pub(crate) fn stop(&self) {
        self.give(Chore::Stop);
    }

    /// After the thread has ended nobody takes chores; whatever is left is done at the next opening.
    fn give(&self, chore: Chore) {
        let _ = self.0.send(chore);
    }
}

pub(crate) struct Housekeeper {
    pub(crate) list: ChoreList,
    pub(crate) blobs: Arc<BlobFolder>,
    pub(crate) db: Connection,
    /// Held by the writer while it runs a group.
    pub(crate) writing: Arc<Mutex<()>>,
}

impl Housekeeper {
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("filemill-housekeeper".into()).spawn(move || self.run())
    }

    fn run(self) {
        while let Ok(chore) = self.list.0.recv() {
            match chore {
                Chore::Unlink(blobs) => self.unlink(blobs),
                Chore::Checkpoint => self.checkpoint_or_warn(),
                // the asker may have gone
                Chore::Settle(done) => drop(done.send(())),
                Chore::Stop => return,
            }
        }
    }

    fn unlink(&self, blobs: Vec<BlobId>) {
        let pins = &self.blobs.pins;
        pins.condemn(blobs);
        for blob in pins.take_removable() {
            if let Err(e) = self.blobs.remove(blob) {
                tracing::warn!(blob = %blob, error = %e, "a blob file could not be removed; the next start tries again");
            }
        }
    }

    fn checkpoint_or_warn(&self) {
        if let Err(e) = self.checkpoint() {
            tracing::warn!(error = %e, "the write-ahead log could not be checkpointed; it grows until one succeeds");
        }
    }

    fn checkpoint(&self) -> Result<(), Box<dyn std::error::Error>> {
        failpoint!("local.checkpoint.run");
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        let _writer_waits = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // busy only means that a reader is still in the log; the next checkpoint tries again
        self.db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
        Ok(())
    }
}
