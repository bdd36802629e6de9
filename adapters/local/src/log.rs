//! The write-ahead log: when it starts again from its beginning, and when it is emptied.
//!
//! Its old pages stay in its file until they are written over. So after content was erased a sweep empties it: what the
//! database overwrote must not lie beside it.

use crate::failpoints::failpoint;
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What the writer is asked to do with it between two groups.
pub(crate) struct Log {
    /// Its bulk is in the database.
    is_long: AtomicBool,
    /// It may hold content that was erased. True at first: nobody knows what the start before left.
    holds_erased: AtomicBool,
    is_to_be_emptied: AtomicBool,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            is_long: AtomicBool::new(false),
            holds_erased: AtomicBool::new(true),
            is_to_be_emptied: AtomicBool::new(false),
        }
    }
}

impl Log {
    pub(crate) fn ask_restart(&self) {
        self.is_long.store(true, Ordering::Release);
    }

    pub(crate) fn takes_restart(&self) -> bool {
        self.is_long.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn note_erased(&self) {
        self.holds_erased.store(true, Ordering::Release);
    }

    pub(crate) fn holds_erased(&self) -> bool {
        self.holds_erased.load(Ordering::Acquire)
    }

    pub(crate) fn ask_emptying(&self) {
        self.is_to_be_emptied.store(true, Ordering::Release);
    }

    pub(crate) fn takes_emptying(&self) -> bool {
        self.is_to_be_emptied.swap(false, Ordering::AcqRel)
    }

    /// By the writer, which erases nothing meanwhile.
    pub(crate) fn note_emptied(&self) {
        self.holds_erased.store(false, Ordering::Release);
    }
}

/// As far as nobody is in the way.
pub(crate) fn checkpoint_beside(db: &Connection) -> Result<(), rusqlite::Error> {
    failpoint!("local.checkpoint.beside", sqlite);
    checkpoint(db, "PASSIVE").map(drop)
}

/// Waits for readers as long as the connection's busy time says; false where one was in the way.
pub(crate) fn restart(db: &Connection) -> Result<bool, rusqlite::Error> {
    failpoint!("local.checkpoint.restart", sqlite);
    checkpoint(db, "RESTART")
}

/// Likewise.
pub(crate) fn empty(db: &Connection) -> Result<bool, rusqlite::Error> {
    failpoint!("local.checkpoint.empty", sqlite);
    checkpoint(db, "TRUNCATE")
}

/// Did it come to its end? If not, the next one goes on from where it came.
fn checkpoint(db: &Connection, mode: &str) -> Result<bool, rusqlite::Error> {
    let began = Instant::now();
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (is_over, pages, carried) = (row.get::<_, i64>(0)? == 0, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?);
        let took_ms = began.elapsed().as_millis();
        tracing::debug!(mode, is_over, pages, carried, took_ms, "the log was carried over");
        Ok(is_over)
    })
}
