//! Read-only connections.
//!
//! A look-up of a row or two by key is microseconds and happens where it is asked: handing it to another thread and
//! waiting to be woken costs several times as much. Whatever reads more rows runs off the async threads.
//!
//! In write-ahead mode readers and the writer do not wait for one another; a reader sees what was committed when its
//! first statement began.

use crate::failure::{Halt, Step, StoreFailure};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Connections at most: more than the cores of a small machine would only cost memory.
const READERS_MAX: usize = 4;
/// Page cache of one reader; the operating system's cache does the rest.
const CACHE_KIB: i32 = 512;

pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Readers { path, idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// For a few rows by key. Several statements of `query` see one state.
    pub(crate) fn look<T, E: From<StoreFailure>>(&self, query: impl FnOnce(&Connection) -> Step<T, E>) -> Result<T, E> {
        let db = self.take().map_err(|e| E::from(e.into()))?;
        let outcome = in_one_snapshot(&db, query);
        if db.is_autocommit() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        }
        match outcome {
            Ok(value) => Ok(value),
            Err(Halt::Refused(why)) => Err(why),
            Err(Halt::Failed(e)) => Err(StoreFailure::from(e).into()),
        }
    }

    /// For lists. Several statements of `query` see one state.
    pub(crate) async fn read<T, E, F>(self: &Arc<Self>, query: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Step<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFailure> + Send + 'static,
    {
        let closed = |why: &dyn std::fmt::Display| E::from(StoreFailure::unavailable(why));
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|e| closed(&e))?;
        let readers = Arc::clone(self);
        let work = move || {
            let _permit = permit;
            readers.look(query)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(closed(&e)))
    }

    pub(crate) fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Result<Connection, rusqlite::Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    pub(crate) fn connect(&self) -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        keep_plans(&db)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    }
}

/// SQLite would look at the value of a `LIMIT ?` when it plans, and plan anew whenever that is bound again: as dear as
/// the look-up itself. Our plans hang on no value.
pub(crate) fn keep_plans(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn in_one_snapshot<T, E>(db: &Connection, query: impl FnOnce(&Connection) -> Step<T, E>) -> Step<T, E> {
    db.prepare_cached("BEGIN")?.raw_execute()?;
    let outcome = query(db);
    db.prepare_cached("COMMIT")?.raw_execute()?;
    outcome
}
