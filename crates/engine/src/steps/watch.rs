//! Signs of life from blocking work, and the way to stop it: it looks at every read.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Default)]
pub(crate) struct Watch {
    bytes_read: AtomicU64,
    stopped: AtomicBool,
}

impl Watch {
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

pub(crate) struct Watched<R> {
    pub reader: R,
    pub watch: Arc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.watch.is_stopped() {
            return Err(io::Error::other("stopped"));
        }
        let n = self.reader.read(buf)?;
        self.watch.bytes_read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
