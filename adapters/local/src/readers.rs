//! Read-only connections.
//!
//! A look-up of a row or two by key is microseconds and happens where it is asked: handing it to another thread and
//! waiting to be woken costs several times as much. Lists are read on the readers' own few threads: those of the runtime's
//! pool would each come by in turn, so that none would ever rest and end. Walks over everything (check-up, backup) have a
//! thread and a connection of their own.
//!
//! In write-ahead mode readers and the writer do not wait for one another; a reader sees what was committed when its
//! first statement began.

use crate::failure::{Halt, Step, StoreFailure};
use crossbeam_channel::{Receiver, Sender};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// More than the cores of a small machine would only cost memory.
const THREADS: usize = 4;
/// Page cache of one reader; the operating system's cache does the rest.
const CACHE_KIB: i32 = 512;

/// The handle to the threads.
pub(crate) struct Readers {
    pub(crate) connections: Arc<Connections>,
    /// As long as there are askers. There until the threads are told to end.
    queue: Option<Sender<Query>>,
    threads: Vec<JoinHandle<()>>,
}

/// With its answer on the way back.
type Query = Box<dyn FnOnce(&Connections) + Send>;

/// One for each query that runs.
pub(crate) struct Connections {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn start(path: PathBuf) -> io::Result<Self> {
        let (queue, queries) = crossbeam_channel::unbounded();
        let connections = Arc::new(Connections { path, idle: Mutex::default() });
        let thread = |_| {
            let (queries, connections) = (queries.clone(), Arc::clone(&connections));
            let thread = std::thread::Builder::new().name("filemill-reader".into());
            thread.spawn(move || answer_all(&queries, &connections))
        };
        let threads = (0..THREADS).map(thread).collect::<io::Result<_>>()?;
        Ok(Readers { connections, queue: Some(queue), threads })
    }

    /// For lists. Several statements of `query` see one state. Nothing is read for those who have gone meanwhile.
    pub(crate) async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Step<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFailure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let query: Query = Box::new(move |connections| {
            if !reply.is_closed() {
                // the asker may go at any time
                let _ = reply.send(connections.look(query));
            }
        });
        let sent = self.queue.as_ref().is_some_and(|queue| queue.send(query).is_ok());
        let answered = if sent { answer.await.ok() } else { None };
        answered.unwrap_or_else(|| Err(StoreFailure::unavailable("the readers did not answer").into()))
    }

    /// What was asked before is answered before.
    pub(crate) fn stop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader's thread ended by a panic");
            }
        }
        self.connections.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn answer_all(queries: &Receiver<Query>, connections: &Connections) {
    for query in queries {
        // who asked hears it from the reply that is gone
        if catch_unwind(AssertUnwindSafe(|| query(connections))).is_err() {
            tracing::error!("a read panicked");
        }
    }
}

impl Connections {
    /// For a few rows by key, and for walks that have a thread of their own. Several statements of `query` see one state.
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

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::ports::StateError;
    use futures::future::join_all;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    type Answer<T> = Result<T, StateError>;

    fn readers() -> (tempfile::TempDir, Readers) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        Connection::open(&path).and_then(|db| db.execute_batch("CREATE TABLE t (n)")).expect("a database");
        (folder, Readers::start(path).expect("threads"))
    }

    fn count(sql: &Connection) -> Step<i64, StateError> {
        Ok(sql.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn a_read_that_panics_is_answered_and_takes_no_thread_along() {
        let (_folder, readers) = readers();
        let fails = || readers.read(|_| -> Step<i64, StateError> { panic!("a bug in a query") });
        for answer in join_all((0..2 * THREADS).map(|_| fails())).await {
            answer.expect_err("no answer");
        }
        assert_eq!(readers.read(count).await.expect("an answer"), 0);
    }

    /// All threads at work until both sides have come to the barrier.
    fn busy<'r>(readers: &'r Readers, gate: &Arc<Barrier>) -> impl Future<Output = Vec<Answer<i64>>> + use<'r> {
        let reads: Vec<_> = (0..THREADS)
            .map(|_| {
                let gate = Arc::clone(gate);
                readers.read(move |sql| {
                    gate.wait();
                    gate.wait();
                    count(sql)
                })
            })
            .collect();
        join_all(reads)
    }

    #[tokio::test]
    async fn nothing_is_read_for_who_has_gone() {
        let (_folder, mut readers) = readers();
        let gate = Arc::new(Barrier::new(THREADS + 1));
        let was_read = Arc::new(AtomicBool::new(false));
        {
            let mut busy = Box::pin(busy(&readers, &gate));
            assert!(futures::poll!(&mut busy).is_pending());
            gate.wait();
            let mark = Arc::clone(&was_read);
            let mut left = Box::pin(readers.read(move |sql| {
                mark.store(true, Ordering::Relaxed);
                count(sql)
            }));
            assert!(futures::poll!(&mut left).is_pending());
            drop(left);
            gate.wait();
            assert!(busy.await.iter().all(|answer| matches!(answer, Ok(0))));
        }
        readers.stop();
        assert!(!was_read.load(Ordering::Relaxed));
    }
}
