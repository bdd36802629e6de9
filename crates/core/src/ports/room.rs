//! How much more a store takes, and how a refusal for want of room is told from any other outage.
//!
//! Callers wait for room as for a store that is away; they differ in what they say and in that waiting is nobody's fault.

use std::error::Error;
use std::io;

/// What [`BlobStore::room`](super::BlobStore::room) answers (B10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// No limit that the store knows of.
    #[default]
    Unlimited,
    /// `free` bytes that nobody was promised; new content must leave `reserve` of them.
    Bytes { free: u64, reserve: u64 },
    /// `free` bytes, but the file system makes no more files.
    NoFiles { free: u64 },
}

impl Room {
    /// Is there room for new content of this length?
    pub fn takes(self, bytes: u64) -> bool {
        match self {
            Room::Unlimited => true,
            Room::Bytes { free, reserve } => free.checked_sub(reserve).is_some_and(|room| bytes <= room),
            Room::NoFiles { .. } => false,
        }
    }

    /// Nothing new is taken at all.
    pub fn is_low(self) -> bool {
        !self.takes(0)
    }

    pub fn free_bytes(self) -> Option<u64> {
        match self {
            Room::Unlimited => None,
            Room::Bytes { free, .. } | Room::NoFiles { free } => Some(free),
        }
    }
}

/// Is want of room behind this error? Then a cause of it is an I/O error of kind `StorageFull` or `QuotaExceeded`.
pub fn is_full(e: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(e);
    while let Some(e) = cause {
        let kind = e.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = e.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::BlobError;

    #[test]
    fn new_content_must_leave_the_reserve() {
        let room = Room::Bytes { free: 100, reserve: 40 };
        assert!(room.takes(60) && !room.takes(61) && !room.is_low());
        let low = Room::Bytes { free: 39, reserve: 40 };
        assert!(low.is_low() && !low.takes(0));
        assert!(Room::Unlimited.takes(u64::MAX) && Room::NoFiles { free: 100 }.is_low());
    }

    #[test]
    fn want_of_room_is_seen_through_what_carries_it() {
        let full = || BlobError::unavailable(io::Error::from(io::ErrorKind::StorageFull));
        assert!(is_full(&full()));
        assert!(is_full(&BlobError::unavailable(io::Error::from(io::ErrorKind::QuotaExceeded))));
        assert!(is_full(&io::Error::other(full())));
        assert!(!is_full(&BlobError::unavailable(io::Error::from(io::ErrorKind::TimedOut))));
    }
}
