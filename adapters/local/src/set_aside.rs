//! Room that the state file and its log already own, so that deletes can be written on a disk without a free block.
//!
//! Other programs may fill the disk, whatever this store refuses; a file that is given up then would be theirs in a moment.
//! So the blocks are allocated beyond the ends of the very files that will need them. Where the file system cannot do that,
//! nothing is set aside, and a full disk also holds up deletes.

use crate::durable;
use crate::room::DiskRoom;
use filemill_core::limits::{KIB, MIB};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// All of the log may be new pages of the state file when it is carried over, so as much is set aside for each.
const ASIDE_BYTES: u64 = 36 * MIB;
/// Of what is set aside for the log: what may still be written while its bulk is being carried over.
const MARGIN: u64 = 9;
const PAGE_BYTES: u64 = 4096;
const LOG_PAGES_MIN: i32 = 256;
const INDEX_BYTES: u64 = 256 * KIB;
/// Of small disks, this share at most for each.
const SHARE_MAX: u64 = 8;

/// The files stay open as long as the store: closing one would end the locks that SQLite has on it in this process.
pub(crate) struct SetAside {
    state: File,
    log: File,
    index: File,
    room: Arc<DiskRoom>,
    /// For the log, and again for the state file.
    bytes: u64,
}

impl SetAside {
    /// Of an open state file: log and index are there.
    pub(crate) fn open(path: &Path, room: Arc<DiskRoom>) -> io::Result<Arc<Self>> {
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            durable::open_file(Path::new(&name))
        };
        let bytes = aside_of(room.disk_bytes().ok());
        let aside = SetAside { state: beside("")?, log: beside("-wal")?, index: beside("-shm")?, room, bytes };
        aside.tend();
        Ok(Arc::new(aside))
    }

    /// A log of this many pages is carried over: a longer one would grow out of what is set aside for it.
    pub(crate) fn log_pages(&self) -> i32 {
        log_pages(self.bytes)
    }

    /// Giving blocks back now would be for good: what is free on a full disk is somebody else's in a moment.
    pub(crate) fn is_needed(&self) -> bool {
        self.room.room().is_low()
    }

    /// The state file grows when the log is carried over: time to set aside more.
    pub(crate) fn tend(&self) {
        if self.is_needed() {
            return;
        }
        if let Err(e) = self.allocate() {
            tracing::debug!(error = %e, "no room could be set aside for the state file");
        }
    }

    fn allocate(&self) -> io::Result<()> {
        durable::set_aside(&self.log, self.bytes)?;
        durable::set_aside(&self.index, INDEX_BYTES.min(self.bytes))?;
        durable::set_aside(&self.state, self.state.metadata()?.len() + self.bytes)
    }
}

/// Some file systems do not tell their size, or say 0.
fn aside_of(disk_bytes: Option<u64>) -> u64 {
    disk_bytes.filter(|bytes| *bytes > 0).map_or(ASIDE_BYTES, |bytes| ASIDE_BYTES.min(bytes / SHARE_MAX))
}

fn log_pages(bytes: u64) -> i32 {
    i32::try_from((bytes - bytes / MARGIN) / PAGE_BYTES).unwrap_or(i32::MAX).max(LOG_PAGES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_carried_over_before_it_outgrows_what_is_set_aside() {
        assert_eq!(log_pages(aside_of(Some(1 << 40))), 8192);
        assert_eq!([None, Some(0)].map(|told| log_pages(aside_of(told))), [8192; 2]);
        assert!(log_pages(aside_of(Some(240 * MIB))) < 7000, "30 MiB are set aside");
        assert_eq!(log_pages(aside_of(Some(1))), LOG_PAGES_MIN);
    }
}
