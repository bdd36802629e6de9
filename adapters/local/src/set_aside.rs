//! Room that the state file and its log already own, so that deletes can be written on a disk without a free block.
//!
//! Other programs may fill the disk, whatever this store refuses; a file that is given up then would be theirs in a moment.
//! So the blocks are allocated beyond the ends of the very files that will need them. Where the file system cannot do that,
//! nothing is set aside, and a full disk also holds up deletes.

use crate::durable;
use crate::room::DiskRoom;
use crate::writer::LOG_BYTES;
use filemill_core::limits::{KIB, MIB};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A log of the usual length and a little; all of it may be new pages of the state file when it is carried over.
const ASIDE_BYTES: u64 = LOG_BYTES + 4 * MIB;
const INDEX_BYTES: u64 = 256 * KIB;
/// Of small disks, this share at most for each.
const SHARE_MAX: u64 = 8;

/// The files stay open as long as the store: closing one would end the locks that SQLite has on it in this process.
pub(crate) struct SetAside {
    state: File,
    log: File,
    index: File,
    room: Arc<DiskRoom>,
}

impl SetAside {
    /// Of an open state file: log and index are there.
    pub(crate) fn open(path: &Path, room: Arc<DiskRoom>) -> io::Result<Arc<Self>> {
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            durable::open_file(Path::new(&name))
        };
        let aside = SetAside { state: beside("")?, log: beside("-wal")?, index: beside("-shm")?, room };
        aside.tend();
        Ok(Arc::new(aside))
    }

    /// The state file grows when the log is carried over: time to set aside more.
    pub(crate) fn tend(&self) {
        if self.room.room().is_low() {
            return;
        }
        if let Err(e) = self.allocate() {
            tracing::debug!(error = %e, "no room could be set aside for the state file");
        }
    }

    fn allocate(&self) -> io::Result<()> {
        let aside = ASIDE_BYTES.min(self.room.disk_bytes()? / SHARE_MAX);
        durable::set_aside(&self.log, aside)?;
        durable::set_aside(&self.index, INDEX_BYTES.min(aside))?;
        durable::set_aside(&self.state, self.state.metadata()?.len() + aside)
    }
}
