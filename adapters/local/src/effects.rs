//! What a group of writes does outside of the database, once it is committed.

use crate::blobs::BlobId;
use crate::message_bells::{MessageBells, News};
use crate::signal::Signal;
use crate::stage::StagedFile;
use filemill_core::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Collected by the requests of one group.
#[derive(Default)]
pub(crate) struct Effects {
    /// Files that rows name now.
    pub(crate) kept: Vec<StagedFile>,
    /// Blobs whose rows are gone.
    pub(crate) released: Vec<BlobId>,
    /// Content in the state file was overwritten.
    pub(crate) erased: bool,
    pub(crate) announced: u64,
    pub(crate) acknowledged: u64,
    pub(crate) tasks: Option<TaskNews>,
    pub(crate) messages: Vec<News>,
}

/// The last word of a group about tasks.
#[derive(Clone, Copy)]
pub(crate) enum TaskNews {
    /// A task may be ready.
    Ready,
    /// A worker asked for more than there was; the next one becomes ready by itself at this time.
    Drained { next: Option<Timestamp> },
}

/// What waits for announcements, tasks and messages looks here.
#[derive(Default)]
pub(crate) struct Bells {
    pub(crate) announcements_waiting: AtomicU64,
    pub(crate) announced: Signal,
    pub(crate) ready: Signal,
    /// When a task becomes ready by itself, as far as the last lease saw.
    pub(crate) next_ready: watch::Sender<Option<Timestamp>>,
    pub(crate) messages: MessageBells,
}

impl Bells {
    pub(crate) fn ring(&self, effects: &Effects) {
        self.announcements_waiting.fetch_add(effects.announced, Ordering::AcqRel);
        let before = self.announcements_waiting.fetch_sub(effects.acknowledged, Ordering::AcqRel);
        self.announced.set(before > effects.acknowledged);
        self.messages.ring(&effects.messages);
        match effects.tasks {
            None => {}
            Some(TaskNews::Ready) => self.ready.set(true),
            Some(TaskNews::Drained { next }) => {
                self.ready.set(false);
                self.next_ready.send_replace(next);
            }
        }
    }
}
