//! The thread for slow things that nobody waits for: unlinking files and checkpointing the write-ahead log.
//!
//! A checkpoint runs beside the writer, so that commits do not stall. Then it asks the writer to carry over the little
//! that was written meanwhile, after which the log starts again from its beginning.

use crate::blobs::{BlobFolder, BlobId};
use crate::failure::Health;
use crate::log::{self, Log};
use rusqlite::Connection;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
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
    pub(crate) health: Arc<Health>,
    pub(crate) log: Arc<Log>,
}

impl Housekeeper {
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("filemill-housekeeper".into()).spawn(move || self.run())
    }

    fn run(self) {
        let _sentry = self.health.sentry("the housekeeper");
        while let Ok(chore) = self.list.0.recv() {
            match chore {
                Chore::Unlink(blobs) => self.unlink(blobs),
                Chore::Checkpoint => self.checkpoint(),
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

    fn checkpoint(&self) {
        match log::checkpoint_beside(&self.db) {
            Ok(()) => self.log.ask_restart(),
            Err(e) => self.health.failed_checkpoint(&e),
        }
    }
}
