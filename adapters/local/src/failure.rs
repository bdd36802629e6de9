//! What can go wrong under a port, and how a port's error carries it.
//!
//! `StoreFailure` is the store's own: the disk, the database, a shutdown. `Halt` is how a piece of database work ends
//! early: refused by a rule of the port, or failed by the database under it.

use filemill_core::ports::{BlobError, LeaseError, MessageError, StateError};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

/// Shared by all requests of a failed group, hence cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum StoreFailure {
    /// Try again later.
    Unavailable(Arc<str>),
    /// The same, because there is no room. Its source says so in the kind that an I/O error has for it.
    Full(Arc<io::Error>),
    /// What is stored cannot be read.
    Corrupt(Arc<str>),
}

impl StoreFailure {
    pub(crate) fn unavailable(why: impl fmt::Display) -> Self {
        StoreFailure::Unavailable(why.to_string().into())
    }

    pub(crate) fn full(why: impl fmt::Display) -> Self {
        StoreFailure::Full(io::Error::new(io::ErrorKind::StorageFull, why.to_string()).into())
    }

    pub(crate) fn corrupt(what: impl fmt::Display) -> Self {
        StoreFailure::Corrupt(what.to_string().into())
    }
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreFailure::Unavailable(why) => f.write_str(why),
            StoreFailure::Full(why) => why.fmt(f),
            StoreFailure::Corrupt(what) => write!(f, "corrupt: {what}"),
        }
    }
}

impl std::error::Error for StoreFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreFailure::Full(why) => Some(&**why),
            StoreFailure::Unavailable(_) | StoreFailure::Corrupt(_) => None,
        }
    }
}

impl From<rusqlite::Error> for StoreFailure {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match e.sqlite_error_code() {
            _ if is_full_index(&e) => StoreFailure::full(e),
            Some(DatabaseCorrupt | NotADatabase) => StoreFailure::corrupt(e),
            Some(DiskFull) => StoreFailure::full(e),
            _ => StoreFailure::unavailable(e),
        }
    }
}

impl From<io::Error> for StoreFailure {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreFailure::full(e),
            _ => StoreFailure::unavailable(e),
        }
    }
}

impl From<StoreFailure> for BlobError {
    fn from(e: StoreFailure) -> Self {
        match e {
            StoreFailure::Corrupt(what) => BlobError::Corrupt(what.to_string()),
            other => BlobError::Unavailable(Box::new(other)),
        }
    }
}

impl From<StoreFailure> for StateError {
    fn from(e: StoreFailure) -> Self {
        match e {
            StoreFailure::Corrupt(what) => StateError::Corrupt(what.to_string()),
            other => StateError::Unavailable(Box::new(other)),
        }
    }
}

impl From<StoreFailure> for LeaseError {
    fn from(e: StoreFailure) -> Self {
        LeaseError::Unavailable(Box::new(e))
    }
}

impl From<StoreFailure> for MessageError {
    fn from(e: StoreFailure) -> Self {
        match e {
            StoreFailure::Corrupt(what) => MessageError::Corrupt(what.to_string()),
            other => MessageError::Unavailable(Box::new(other)),
        }
    }
}

/// Why a piece of database work ended early. A refused one has written nothing.
#[derive(Debug)]
pub(crate) enum Halt<E> {
    Refused(E),
    Failed(rusqlite::Error),
}

pub(crate) type Step<T, E> = Result<T, Halt<E>>;

impl<E> From<rusqlite::Error> for Halt<E> {
    fn from(e: rusqlite::Error) -> Self {
        Halt::Failed(e)
    }
}

pub(crate) fn refuse<T, E>(why: E) -> Step<T, E> {
    Err(Halt::Refused(why))
}

/// A stored document that cannot be read.
pub(crate) fn unreadable<E: From<StoreFailure>>(what: impl fmt::Display) -> Halt<E> {
    Halt::Refused(StoreFailure::corrupt(what).into())
}

/// Is the store still to be trusted? After one failed sync it is not: a later sync that succeeds says nothing about
/// the pages that the failed one lost. Nor is it when one of its threads panicked.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: OnceLock<String>,
}

impl Health {
    pub(crate) fn fail(&self, why: String) {
        if self.failed.set(why).is_ok() {
            tracing::error!(reason = self.failed.get(), "the store takes no more writes until it is opened again");
        }
    }

    /// A failed sync of the database is as bad as one of the log: the next checkpoint would believe its pages written.
    pub(crate) fn failed_checkpoint(&self, e: &rusqlite::Error) {
        if is_io_error(e) {
            self.fail(format!("checkpointing: {e}"));
        } else {
            tracing::warn!(error = %e, "the write-ahead log could not be checkpointed; it grows until one succeeds");
        }
    }

    /// To be held where a panic would leave undone what others count on.
    pub(crate) fn sentry(self: &Arc<Self>, who: &'static str) -> Sentry {
        Sentry { health: Arc::clone(self), who }
    }

    pub(crate) fn check(&self) -> Result<(), StoreFailure> {
        match self.failed.get() {
            None => Ok(()),
            Some(why) => Err(StoreFailure::unavailable(format_args!("the store stopped taking writes: {why}"))),
        }
    }
}

/// If it is dropped by a panic, the store takes no more writes.
pub(crate) struct Sentry {
    health: Arc<Health>,
    who: &'static str,
}

impl Drop for Sentry {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.fail(format!("{} panicked", self.who));
        }
    }
}

pub(crate) fn is_io_error(e: &rusqlite::Error) -> bool {
    e.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure) && !is_full_index(e)
}

/// A write to the log found no room. SQLite writes the frame that ends a transaction last, so the log does not hold it.
pub(crate) fn is_full_log(e: &rusqlite::Error) -> bool {
    e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// The log's index, which is no durable data, found no room to grow. The log may hold the transaction, on disk even: until the
/// next one is written over it, a crash would bring it back.
fn is_full_index(e: &rusqlite::Error) -> bool {
    e.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}
