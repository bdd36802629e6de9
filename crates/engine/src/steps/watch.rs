//! Signs of life from blocking work, and the way to stop it: it looks at every read and write.

use filemill_core::ports::{Load, Pulse};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Default)]
pub(crate) struct Watch {
    bytes_read: AtomicU64,
    /// Other signs of life: writes, reads of other objects, whatever the work says.
    beats: AtomicU64,
    stopped: AtomicBool,
    /// Who hears what the work takes of the machine.
    load: Option<Box<dyn Fn(Load) + Send + Sync>>,
}

impl Watch {
    pub fn telling(load: impl Fn(Load) + Send + Sync + 'static) -> Self {
        Watch { load: Some(Box::new(load)), ..Watch::default() }
    }

    /// Of the input.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Rises with every sign of life.
    pub fn signs(&self) -> u64 {
        self.bytes_read().wrapping_add(self.beats.load(Ordering::Relaxed))
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn go_on(&self) -> io::Result<()> {
        if self.is_stopped() { Err(io::Error::other("stopped")) } else { Ok(()) }
    }
}

impl Pulse for Watch {
    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn takes(&self, load: Load) {
        if let Some(tell) = &self.load {
            tell(load);
        }
    }
}

/// The input: its bytes are counted.
pub(crate) struct Watched<R> {
    pub reader: R,
    pub watch: Arc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.watch.go_on()?;
        let n = self.reader.read(buf)?;
        self.watch.bytes_read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Anything else: each call is a beat.
pub(crate) struct Beating<T> {
    pub inner: T,
    pub watch: Arc<Watch>,
}

impl<R: Read> Read for Beating<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.watch.go_on()?;
        self.watch.beat();
        self.inner.read(buf)
    }
}

impl<W: Write> Write for Beating<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.watch.go_on()?;
        self.watch.beat();
        self.inner.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
