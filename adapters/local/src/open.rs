//! Opening a store: the lock, the state file, recovery, then the threads.

use crate::announcements;
use crate::backup;
use crate::blobs::BlobFolder;
use crate::config::LocalConfig;
use crate::durable;
use crate::effects::Bells;
use crate::failpoints::failpoint;
use crate::failure::Health;
use crate::feed;
use crate::flusher::Flusher;
use crate::housekeeper::{Housekeeper, chores};
use crate::log::Log;
use crate::messages::MessageCounters;
use crate::migrations::migrate;
use crate::pins::Pins;
use crate::presign::Presigner;
use crate::queue::LeaseCounters;
use crate::readers::{Readers, keep_plans};
use crate::recovery::{self, Recovered};
use crate::restore;
use crate::set_aside::SetAside;
use crate::stage::Stages;
use crate::store::{LocalStore, Threads};
use crate::tasks;
use crate::writer::WriterThread;
use rusqlite::Connection;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Page cache of the writer.
const WRITER_CACHE_KIB: i32 = 4096;

/// Only somebody with the `sqlite3` shell can be in the way.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("a restore into {} broke off; remove the folder and restore again", .0.display())]
    HalfRestored(PathBuf),
    #[error("the data folder cannot be used: {0}")]
    Io(#[from] io::Error),
    #[error("the state file cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("the state file was written by a newer version (schema {found}; this one knows {known})")]
    Newer { found: u32, known: u32 },
    #[error("{0}")]
    Endpoint(String),
}

impl LocalStore {
    /// Blocking: call it off the async threads, or before they have work.
    pub fn open(config: LocalConfig) -> Result<Arc<Self>, OpenError> {
        let presigner = Presigner::new(&config).map_err(OpenError::Endpoint)?;
        durable::make_folder(&config.dir)?;
        let lock = lock(&config.dir)?;
        if config.dir.join(restore::UNNAMED).exists() {
            return Err(OpenError::HalfRestored(config.dir));
        }
        durable::remove_scratch(&config.dir, backup::SCRATCH)?;
        let path = config.dir.join("filemill.db");
        // SQLite would make it readable for others; what it puts beside it takes its mode
        durable::open_file(&path)?;
        // closing well carries the log into the state file and removes it
        let was_closed = !config.dir.join("filemill.db-wal").exists();
        let mut db = connect(&path)?;
        migrate(&mut db)?;
        sync_names(&config.dir)?;

        let health = Arc::new(Health::default());
        let (chores, list) = chores();
        let pins = Pins::new(chores.clone());
        let folder = config.dir.join("blobs");
        let blobs = Arc::new(BlobFolder::open(folder, pins, Arc::clone(&health), config.reserve)?);
        let recovered = recovery::recover(&db, &blobs, config.clock.now())?;
        let start = count_start(&mut db, was_closed)?;
        blobs.number_from_start(start);
        let bells = Arc::new(first_bells(&db)?);
        let leases = LeaseCounters { token: tasks::highest_token(&db)?, leases: 0 };

        let aside = SetAside::open(&path, Arc::clone(&blobs.room))?;
        let log = Arc::new(Log::default());
        let housekeeper = Housekeeper {
            list,
            blobs: Arc::clone(&blobs),
            db: connect(&path)?,
            health: Arc::clone(&health),
            log: Arc::clone(&log),
        };
        let housekeeper = housekeeper.start()?;
        let writer = WriterThread {
            db,
            clock: Arc::clone(&config.clock),
            health: Arc::clone(&health),
            bells: Arc::clone(&bells),
            chores: chores.clone(),
            aside: Arc::clone(&aside),
            log: Arc::clone(&log),
        };
        let (writer, writer_thread) = writer.start()?;
        let stages = Stages { blobs: Arc::clone(&blobs), chores: chores.clone(), flusher: Flusher::start()? };
        Ok(Arc::new(LocalStore {
            writer: Some(writer),
            readers: Readers::start(path)?,
            blobs,
            stages,
            bells,
            chores,
            log,
            leases: Arc::new(Mutex::new(leases)),
            messages: Arc::new(Mutex::new(MessageCounters::of_start(start, config.messages_in_flight_max))),
            stranded_after: Mutex::default(),
            looked_for_leftovers: Mutex::default(),
            presigner,
            clock: config.clock,
            recovered,
            threads: Threads { writer: Some(writer_thread), housekeeper: Some(housekeeper) },
            _aside: aside,
            _lock: lock,
        }))
    }

    /// What opening found and did about the end before it.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }
}

/// Held until the file is closed, at the latest when the process ends.
pub(crate) fn lock(dir: &Path) -> Result<File, OpenError> {
    let file = durable::open_file(&dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(e)) => Err(e.into()),
    }
}

/// Of the state file and its log.
fn sync_names(dir: &Path) -> io::Result<()> {
    failpoint!("local.open.sync");
    durable::sync_folder(&File::open(dir)?)
}

/// Before the first blob of this start gets its id, and its first event a number.
fn count_start(db: &mut Connection, was_closed: bool) -> rusqlite::Result<i64> {
    failpoint!("local.open.count", sqlite);
    let start = db.transaction()?;
    let starts = start.query_row("UPDATE store SET starts = starts + 1 RETURNING starts", [], |row| row.get(0))?;
    if !was_closed {
        feed::leave_room(&start)?;
    }
    start.commit()?;
    Ok(starts)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    failpoint!("local.open.connect", sqlite);
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // the housekeeper checkpoints; the log keeps its size, because syncing a grown file is cheaper than growing one
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "journal_size_limit", -1)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // what is deleted is overwritten: an object's bytes are gone when it is
    db.pragma_update(None, "secure_delete", "ON")?;
    db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.busy_timeout(BUSY_WAIT)?;
    keep_plans(&db)?;
    db.set_prepared_statement_cache_capacity(128);
    Ok(db)
}

/// What was left over is waited for at once.
fn first_bells(db: &Connection) -> rusqlite::Result<Bells> {
    let bells = Bells::default();
    let waiting = announcements::count(db)?;
    bells.announcements_waiting.store(waiting, Ordering::Release);
    bells.announced.set(waiting > 0);
    bells.ready.set(true);
    Ok(bells)
}
