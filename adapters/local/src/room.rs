//! Room on the disk: what is left, what was promised to content under way, and what must stay free.
//!
//! New content leaves the reserve alone; content of unknown length that is already being written may use half of it. The
//! other half is for the state file: deletes, completions and clean-up must work on a full disk.

use crate::failure::StoreFailure;
use filemill_core::limits::{DISK_RESERVE_BYTES_MAX, DISK_RESERVE_PERCENT, MIB};
use filemill_core::ports::Room;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Between two looks at the room while content is written: a look costs a microsecond.
pub(crate) const LOOK_EVERY_BYTES: u64 = MIB;
/// Files that the file system must still be able to make; of small file systems a twentieth.
const FILES_RESERVE_MAX: u64 = 1024;

pub(crate) struct DiskRoom {
    root: PathBuf,
    /// `None`: the default.
    reserve: Mutex<Option<u64>>,
    promised: AtomicU64,
}

/// Room for content of known length, from its announcement until it is written.
pub(crate) struct Promise {
    room: Arc<DiskRoom>,
    left: u64,
}

impl DiskRoom {
    pub(crate) fn new(root: PathBuf, reserve: Option<u64>) -> Arc<Self> {
        Arc::new(DiskRoom { root, reserve: Mutex::new(reserve), promised: AtomicU64::new(0) })
    }

    pub(crate) fn set_reserve(&self, reserve: Option<u64>) {
        *self.reserve.lock().unwrap_or_else(PoisonError::into_inner) = reserve;
    }

    /// A file system that does not tell is taken to have room: the write will say.
    pub(crate) fn room(&self) -> Room {
        let Ok(stat) = rustix::fs::statvfs(&self.root) else { return Room::Unlimited };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let promised = self.promised.load(Ordering::Acquire);
        // some file systems make files without end and count none
        if stat.f_files > 0 && stat.f_favail < FILES_RESERVE_MAX.min(stat.f_files / 20) {
            return Room::NoFiles { free };
        }
        let reserve = self.reserve_of(stat.f_blocks.saturating_mul(stat.f_frsize));
        Room::Bytes { free: free.saturating_sub(promised), reserve }
    }

    pub(crate) fn disk_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn reserve_of(&self, disk_bytes: u64) -> u64 {
        let own = *self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        own.unwrap_or_else(|| DISK_RESERVE_BYTES_MAX.min(disk_bytes / 100 * DISK_RESERVE_PERCENT))
    }

    pub(crate) fn need(&self, bytes: u64) -> Result<(), StoreFailure> {
        let room = self.room();
        if room.takes(bytes) { Ok(()) } else { Err(no_room(room, bytes)) }
    }

    pub(crate) fn promise(self: &Arc<Self>, bytes: u64) -> Result<Promise, StoreFailure> {
        self.promised.fetch_add(bytes, Ordering::AcqRel);
        let promise = Promise { room: Arc::clone(self), left: bytes };
        // this promise is counted
        match self.room() {
            Room::Bytes { free, .. } if free == 0 && bytes > 0 => {}
            room if room.takes(0) => return Ok(promise),
            _ => {}
        }
        drop(promise);
        Err(no_room(self.room(), bytes))
    }

    /// May content that is being written grow further?
    pub(crate) fn check_growth(&self) -> io::Result<()> {
        let full = |free: u64| {
            let why = format!("the disk is nearly full: {free} bytes free");
            io::Error::new(io::ErrorKind::StorageFull, why)
        };
        match self.room() {
            Room::Bytes { free, reserve } => {
                let free = free.saturating_add(self.promised.load(Ordering::Acquire));
                if free < reserve / 2 { Err(full(free)) } else { Ok(()) }
            }
            Room::NoFiles { .. } | Room::Unlimited => Ok(()),
        }
    }
}

fn no_room(room: Room, bytes: u64) -> StoreFailure {
    match room {
        Room::Bytes { free, reserve } => StoreFailure::full(format_args!(
            "the disk is nearly full: no room for {bytes} bytes, with {free} free and {reserve} of them kept"
        )),
        Room::NoFiles { .. } => StoreFailure::full("the file system makes no more files"),
        Room::Unlimited => StoreFailure::full("there is no room"),
    }
}

impl Promise {
    /// These bytes are written: the disk itself knows of them now.
    pub(crate) fn keep(&mut self, bytes: u64) {
        let kept = bytes.min(self.left);
        self.left -= kept;
        self.room.promised.fetch_sub(kept, Ordering::AcqRel);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.room.promised.fetch_sub(self.left, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(room: &DiskRoom) -> u64 {
        room.room().free_bytes().expect("a disk")
    }

    #[test]
    fn what_was_promised_to_one_upload_is_not_free_for_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let room = DiskRoom::new(dir.path().into(), Some(0));
        let half = free(&room) / 2;
        let mut first = room.promise(half).expect("there is room");
        assert!(room.promise(half + half / 2).is_err());
        first.keep(half / 2);
        drop(first);
        assert_eq!(room.promised.load(Ordering::Relaxed), 0);
        assert!(room.promise(half).is_ok());
    }

    #[test]
    fn the_reserve_is_a_share_of_the_disk_and_has_a_bound() {
        let room = DiskRoom::new("/".into(), None);
        assert_eq!(room.reserve_of(100 * MIB), 5 * MIB);
        assert_eq!(room.reserve_of(1 << 50), DISK_RESERVE_BYTES_MAX);
        room.set_reserve(Some(7));
        assert_eq!(room.reserve_of(1 << 50), 7);
    }
}
