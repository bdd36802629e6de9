//! A data folder that no service has open: its lock is taken, its state file only read, and nothing is left behind.

use crate::blobs::BlobFolder;
use crate::checkup::check_up;
use crate::failure::Health;
use crate::housekeeper::chores;
use crate::open::OpenError;
use crate::pins::Pins;
use filemill_core::ports::{BackedUp, BackupError, BlobError, Checkup};
use filemill_core::time::Timestamp;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Holds the lock until dropped: a service that starts meanwhile is refused.
pub struct StoppedStore {
    path: PathBuf,
    blobs: BlobFolder,
    _lock: File,
}

impl StoppedStore {
    /// [`OpenError::InUse`] if a service has it open.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("filemill.db");
        // before a lock file is made where there is no store
        std::fs::metadata(&path)?;
        let lock = File::options().read(true).write(true).open(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(dir.to_owned())),
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        let pins = Pins::new(chores().0);
        let blobs = BlobFolder::open(dir.join("blobs"), pins, Arc::new(Health::default()), None)?;
        Ok(StoppedStore { path, blobs, _lock: lock })
    }

    pub fn check_up(&self, now: Timestamp) -> Result<Checkup, BlobError> {
        let sql = self.connect().map_err(BlobError::unavailable)?;
        sql.execute_batch("BEGIN").map_err(BlobError::unavailable)?;
        check_up(&sql, &self.blobs, &|_| false, now)
    }

    pub fn back_up(&self, out: &mut dyn Write, now: Timestamp) -> Result<BackedUp, BackupError> {
        let sql = self.connect().map_err(BlobError::unavailable)?;
        let scratch = self.path.parent().unwrap_or(Path::new("."));
        crate::backup::write(&sql, &self.blobs, scratch, now, out, |_| ())
    }

    /// A state file that was closed well is read as it lies; one with a log keeps its log, so that the next start sees how the
    /// last one ended.
    fn connect(&self) -> rusqlite::Result<Connection> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let log = self.path.with_file_name("filemill.db-wal");
        if log.exists() {
            return Connection::open_with_flags(&self.path, flags);
        }
        flags |= OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(immutable(&self.path).map_err(unreadable)?, flags)
    }
}

fn immutable(path: &Path) -> io::Result<String> {
    let full = std::fs::canonicalize(path)?;
    let mut url =
        url::Url::from_file_path(full).map_err(|()| io::Error::other("the path cannot be written as a URL"))?;
    url.set_query(Some("immutable=1"));
    Ok(url.into())
}

fn unreadable(e: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(e))
}
