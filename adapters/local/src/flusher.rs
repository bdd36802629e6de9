//! Starts the disk early on large files, so that the sync at their end has little left to do.
//!
//! One thread; a writer asks it whenever another [`FLUSH_BYTES`] are written, unless its last request still waits. A
//! failed early sync fails the file: the kernel reports such an error only once, so the later sync would not know.

use crate::durable;
use crate::failpoints::failpoint;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// Large against the cost of a sync, small against what a disk writes in a second.
pub(crate) const FLUSH_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Clone)]
pub(crate) struct Flusher(Sender<Arc<Flushed>>);

/// A file that is being written.
pub(crate) struct Flushed {
    pub(crate) file: File,
    asked: AtomicBool,
    /// Locked while a sync is under way.
    failed: Mutex<Option<io::Error>>,
}

impl Flushed {
    pub(crate) fn new(file: File) -> Arc<Self> {
        Arc::new(Flushed { file, asked: AtomicBool::new(false), failed: Mutex::default() })
    }

    /// The error of an early sync, once none is under way. Ask after the last sync: a later one has nothing to do.
    pub(crate) fn outcome(&self) -> io::Result<()> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn flush(&self) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked.store(false, Ordering::Release);
        if let Err(e) = durable::sync_early(&self.file) {
            *failed = Some(e);
        }
    }
}

/// Writes go on while a sync is under way.
pub(crate) struct Unsynced(pub(crate) Arc<Flushed>);

impl Write for Unsynced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        failpoint!("local.stage.write");
        (&self.0.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Flusher {
    /// The thread ends with the last handle.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, files) = mpsc::channel::<Arc<Flushed>>();
        let run = move || files.into_iter().for_each(|file| file.flush());
        std::thread::Builder::new().name("filemill-flusher".into()).spawn(run)?;
        Ok(Flusher(sender))
    }

    pub(crate) fn flush(&self, file: &Arc<Flushed>) {
        if !file.asked.swap(true, Ordering::AcqRel) {
            // without the thread the sync at the end does all of it
            let _ = self.0.send(Arc::clone(file));
        }
    }
}
