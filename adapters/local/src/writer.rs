//! The one thread that writes to the state file.
//!
//! Requests wait in a bounded queue. The thread takes whatever waits, up to [`GROUP_MAX`], and runs it in at most two
//! transactions: the lazy requests without a sync, answered at once, then the synced ones with one sync for all of them
//! (group commit). An answer is given only after its commit. A request checks every condition before its first write,
//! so a refused one has written nothing and its neighbours go on; if the database itself fails, the whole group does.

use crate::blobs::BlobId;
use crate::effects::{Bells, Effects};
use crate::failpoints::failpoint;
use crate::failure::{Halt, Health, Step, StoreFailure, is_full_log, is_io_error};
use crate::housekeeper::Chores;
use crate::log::{self, Log};
use crate::messages;
use crate::set_aside::SetAside;
use crate::stage::StagedFile;
use crate::tasks;
use filemill_core::ports::{Clock, Durability, WallClock};
use filemill_core::time::Timestamp;
use rusqlite::Connection;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests of one transaction: enough for every connection that a small machine serves at a time, few enough that
/// the first of a group waits only milliseconds for the last.
const GROUP_MAX: usize = 512;
const QUEUE_MAX: usize = 4 * GROUP_MAX;
/// How long the log waits for readers before it starts again: no longer than a sync takes, and twice as long after each time they
/// were in the way: on a busy machine a reader may need that to get its turn. For one that stays, no wait would be enough.
const RESTART_WAIT: Duration = Duration::from_millis(10);
const RESTART_WAIT_MAX: Duration = Duration::from_millis(320);
/// A log that did not restart at its length is asked to again each time it has grown by this part of it.
const ASKS_AGAIN: i32 = 2;

/// The database as a request sees it.
pub(crate) struct Tx<'c> {
    pub(crate) sql: &'c Connection,
    pub(crate) now: Timestamp,
    pub(crate) effects: Effects,
}

/// Work for the writer, with its answer on the way back.
trait Request: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreFailure>);
}

struct Pending {
    durability: Durability,
    request: Box<dyn Request>,
}

struct Work<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Request for Work<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Step<T, E> + Send,
    T: Send,
    E: From<StoreFailure> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error> {
        let Some(work) = self.work.take() else { return Ok(()) };
        self.result = Some(match work(tx) {
            Ok(value) => Ok(value),
            Err(Halt::Refused(why)) => Err(why),
            Err(Halt::Failed(e)) => return Err(e),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreFailure>) {
        let result = match (outcome, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreFailure::unavailable("the request did not run").into()),
            (Err(failure), _) => Err(failure.into()),
        };
        // the asker may have gone
        let _ = self.reply.send(result);
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct WriterStats {
    pub(crate) groups: AtomicU64,
    pub(crate) synced_groups: AtomicU64,
    pub(crate) requests: AtomicU64,
}

/// The handle to the thread.
pub(crate) struct Writer {
    queue: mpsc::Sender<Pending>,
    pub(crate) stats: Arc<WriterStats>,
}

impl Writer {
    pub(crate) async fn write<T, E, F>(&self, durability: Durability, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Step<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFailure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = Box::new(Work { work: Some(work), result: None, reply });
        let closed = || E::from(StoreFailure::unavailable("the store is closed"));
        self.queue.send(Pending { durability, request }).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

pub(crate) struct WriterThread {
    pub(crate) db: Connection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Arc<Health>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) chores: Chores,
    pub(crate) aside: Arc<SetAside>,
    pub(crate) log: Arc<Log>,
}

impl WriterThread {
    /// The thread ends when the handle is dropped and the queue is empty.
    pub(crate) fn start(self) -> io::Result<(Writer, JoinHandle<()>)> {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let stats = Arc::new(WriterStats::default());
        let mut groups = Groups::new(self, Arc::clone(&stats));
        let thread = std::thread::Builder::new().name("filemill-writer".into()).spawn(move || groups.run(requests))?;
        Ok((Writer { queue, stats }, thread))
    }
}

struct Groups {
    thread: WriterThread,
    stats: Arc<WriterStats>,
    /// What the connection's `synchronous` stands at.
    synchronous: Option<Durability>,
    /// Something was committed that no sync has covered yet.
    owes_sync: bool,
    wall: WallClock,
    restart_wait: Duration,
    /// Blobs whose files may go once the deletion of their rows is synced: until then a power loss brings the rows back.
    released: Vec<BlobId>,
}

impl Groups {
    fn new(mut thread: WriterThread, stats: Arc<WriterStats>) -> Self {
        let chores = thread.chores.clone();
        let pages_max = thread.aside.log_pages();
        let mut ask_at = pages_max;
        let mut pages_before = 0;
        let hook = thread.db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            if pages < pages_before {
                ask_at = pages_max;
            }
            pages_before = pages;
            // soon again where readers kept it from restarting
            if pages >= ask_at {
                ask_at = pages.saturating_add(pages_max / ASKS_AGAIN);
                chores.checkpoint();
            }
            Ok(())
        }));
        debug_assert!(hook.is_ok(), "a hook can be set on an open connection");
        let wall = WallClock::new(&*thread.clock);
        let restart_wait = RESTART_WAIT;
        Groups { wall, restart_wait, thread, stats, synchronous: None, owes_sync: false, released: Vec::new() }
    }

    fn run(&mut self, mut requests: mpsc::Receiver<Pending>) {
        let _sentry = self.thread.health.sentry("the writer");
        while let Some(first) = requests.blocking_recv() {
            let mut waiting = vec![first];
            while waiting.len() < GROUP_MAX
                && let Ok(next) = requests.try_recv()
            {
                waiting.push(next);
            }
            let (lazy, synced): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|p| p.durability == Durability::Lazy);
            self.run_group(lazy, Durability::Lazy);
            self.run_group(synced, Durability::Synced);
            if self.thread.log.takes_restart() {
                self.restart_log();
            }
            if self.thread.log.takes_emptying() {
                self.empty_log();
            }
        }
    }

    /// Short, because the housekeeper did most of it.
    fn restart_log(&mut self) {
        self.restart_wait = match self.with_log(log::restart) {
            Some(false) => RESTART_WAIT_MAX.min(2 * self.restart_wait),
            Some(true) | None => RESTART_WAIT,
        };
    }

    /// Where a reader was in the way or its room is needed, the next sweep asks again.
    fn empty_log(&mut self) {
        if self.thread.aside.is_needed() {
            return;
        }
        if self.with_log(log::empty) == Some(true) {
            self.thread.log.note_emptied();
        }
    }

    /// Whether it came to its end.
    fn with_log(&mut self, checkpoint: fn(&Connection) -> rusqlite::Result<bool>) -> Option<bool> {
        let db = &self.thread.db;
        let outcome = db.busy_timeout(self.restart_wait).and_then(|()| checkpoint(db));
        let outcome = outcome.and_then(|done| db.busy_timeout(crate::open::BUSY_WAIT).map(|()| done));
        let outcome = outcome.inspect_err(|e| self.thread.health.failed_checkpoint(e)).ok();
        self.thread.aside.tend();
        outcome
    }

    fn run_group(&mut self, group: Vec<Pending>, durability: Durability) {
        if group.is_empty() {
            return;
        }
        let mut group: Vec<Box<dyn Request>> = group.into_iter().map(|p| p.request).collect();
        // before those who wait hear that nobody answers
        let _sentry = self.thread.health.sentry("the writer");
        let outcome = self.thread.health.check().and_then(|()| self.commit_group(&mut group, durability));
        self.stats.groups.fetch_add(1, Ordering::Relaxed);
        self.stats.requests.fetch_add(group.len() as u64, Ordering::Relaxed);
        metrics::counter!("filemill_store_groups_total").increment(1);
        metrics::counter!("filemill_store_writes_total").increment(group.len() as u64);
        for request in group {
            request.answer(outcome.clone());
        }
    }

    fn commit_group(&mut self, group: &mut [Box<dyn Request>], durability: Durability) -> Result<(), StoreFailure> {
        // once the commit is tried the disk may hold rows that name these: then they must stay
        let mut maybe_named = Vec::new();
        let ran = catch_unwind(AssertUnwindSafe(|| self.transact(group, durability, &mut maybe_named)));
        if !matches!(&ran, Ok(Err(cause)) if is_full_log(cause)) {
            maybe_named.into_iter().for_each(StagedFile::keep);
        }
        match ran {
            Ok(Ok(effects)) => {
                self.after_commit(effects, durability);
                reply_after_commit()
            }
            Ok(Err(cause)) => {
                self.roll_back();
                if is_io_error(&cause) {
                    self.thread.health.fail(cause.to_string());
                }
                Err(cause.into())
            }
            Err(_panic) => {
                self.roll_back();
                Err(StoreFailure::unavailable("a write panicked; its group was rolled back"))
            }
        }
    }

    fn transact(
        &mut self,
        group: &mut [Box<dyn Request>],
        durability: Durability,
        maybe_named: &mut Vec<StagedFile>,
    ) -> Result<Effects, rusqlite::Error> {
        self.begin(durability)?;
        let changes_before = self.thread.db.total_changes();
        let now = self.thread.clock.now();
        let set = self.wall.look(&*self.thread.clock, now);
        if let Some((_, step)) = set {
            tracing::warn!(step_ms = step, "the wall clock was set; leases and back-offs keep what is left of them");
            tasks::move_all(&self.thread.db, step)?;
            messages::move_all(&self.thread.db, step)?;
        }
        let mut tx = Tx { sql: &self.thread.db, now, effects: Effects::default() };
        for request in group {
            request.run(&mut tx)?;
        }
        let mut effects = tx.effects;
        let mut changed = self.thread.db.total_changes() != changes_before;
        if !changed && self.owes_sync && durability == Durability::Synced {
            // a commit without a change syncs nothing
            self.thread.db.execute("UPDATE store SET syncs = syncs + 1", [])?;
            changed = true;
        }
        maybe_named.append(&mut effects.kept);
        self.commit()?;
        if let Some((wall, _)) = set {
            self.wall = wall;
        }
        if changed {
            self.owes_sync = durability == Durability::Lazy;
        }
        Ok(effects)
    }

    fn begin(&mut self, durability: Durability) -> Result<(), rusqlite::Error> {
        failpoint!("local.group.begin", sqlite);
        if self.synchronous != Some(durability) {
            self.thread.db.execute_batch(match durability {
                Durability::Lazy => "PRAGMA synchronous = NORMAL",
                Durability::Synced => "PRAGMA synchronous = FULL",
            })?;
            self.synchronous = Some(durability);
        }
        self.thread.db.prepare_cached("BEGIN IMMEDIATE")?.raw_execute().map(drop)
    }

    fn commit(&self) -> Result<(), rusqlite::Error> {
        // whether it was made nobody would know
        let _sentry = self.thread.health.sentry("a commit");
        failpoint!("local.group.before_commit", sqlite);
        self.thread.db.prepare_cached("COMMIT")?.raw_execute()?;
        // as if the sync within had failed: the rows may be there
        failpoint!("local.group.sync", sqlite);
        Ok(())
    }

    fn roll_back(&mut self) {
        self.synchronous = None;
        if !self.thread.db.is_autocommit()
            && let Err(e) = self.thread.db.execute_batch("ROLLBACK")
        {
            self.thread.health.fail(format!("rolling back: {e}"));
        }
    }

    fn after_commit(&mut self, mut effects: Effects, durability: Durability) {
        self.released.append(&mut effects.released);
        if effects.erased {
            self.thread.log.note_erased();
        }
        if durability == Durability::Synced {
            self.stats.synced_groups.fetch_add(1, Ordering::Relaxed);
            if !self.released.is_empty() {
                self.thread.chores.unlink(std::mem::take(&mut self.released));
            }
        }
        self.thread.bells.ring(&effects);
    }
}

/// Where a test loses the reply of a group that is committed.
fn reply_after_commit() -> Result<(), StoreFailure> {
    failpoint!("local.group.after_commit");
    Ok(())
}
