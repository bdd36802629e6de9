//! The blob folder: `blobs/XX/ID`, one file for each blob that is too large for the state file.
//!
//! Format of a file: the content, then for each block of 256 KiB of it (the last may be shorter) the block's CRC-64/NVME,
//! 8 bytes little-endian. The checksums are behind the content and not in the state file, so that opening an object of
//! any size needs constant memory. XX follows from the id. Ids rise, say nothing about content or key, and are never
//! given twice.

use crate::durable;
use crate::failure::{Health, StoreFailure};
use crate::pins::Pins;
use crate::room::DiskRoom;
use filemill_core::limits::IO_BLOCK_BYTES;
use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const BLOCK_BYTES: u64 = IO_BLOCK_BYTES as u64;
pub(crate) const CRC_BYTES: u64 = 8;
const SHARDS: u32 = 256;
/// Ids that one start has room for; the start's number is above them. So ids rise over restarts and none is given
/// twice, whatever was deleted in between.
const IDS_PER_START: i64 = 1 << 40;
const IDS_PER_GROUP: i64 = 256;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlobId(i64);

impl BlobId {
    pub(crate) fn from_number(number: i64) -> Self {
        BlobId(number)
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }

    /// Neighbours share a folder, so that making files seldom makes a folder; so do few files of many starts.
    fn shard(self) -> u32 {
        let start = self.0 / IDS_PER_START;
        let group = (self.0 % IDS_PER_START) / IDS_PER_GROUP;
        u32::try_from((start + group).rem_euclid(i64::from(SHARDS))).unwrap_or(0)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let number = i64::from_str_radix(name, 16).ok().filter(|n| *n >= 0)?;
        (BlobId(number).to_string() == name).then_some(BlobId(number))
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(crate) struct BlobFolder {
    root: PathBuf,
    /// Shards whose folders are known to be on disk.
    lasting_shards: Vec<AtomicBool>,
    next: AtomicI64,
    /// Files that are written or waiting for their row: a sweep leaves them alone.
    staged: Mutex<HashSet<BlobId>>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) health: Arc<Health>,
    pub(crate) room: Arc<DiskRoom>,
}

impl BlobFolder {
    pub(crate) fn open(root: PathBuf, pins: Pins, health: Arc<Health>, reserve: Option<u64>) -> io::Result<Self> {
        durable::make_folder(&root)?;
        Ok(BlobFolder {
            room: DiskRoom::new(root.clone(), reserve),
            root,
            lasting_shards: (0..SHARDS).map(|_| AtomicBool::new(false)).collect(),
            next: AtomicI64::new(1),
            staged: Mutex::default(),
            pins: Arc::new(pins),
            health,
        })
    }

    pub(crate) fn number_from_start(&self, start: i64) {
        self.next.store(start.saturating_mul(IDS_PER_START).saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn next_id(&self) -> BlobId {
        BlobId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn path(&self, blob: BlobId) -> PathBuf {
        self.shard_path(blob.shard()).join(blob.to_string())
    }

    /// Before a blob's file is made: its folder is there and lasts. Blocking the first time.
    pub(crate) fn make_shard_of(&self, blob: BlobId) -> io::Result<()> {
        let shard = blob.shard();
        let lasting = &self.lasting_shards[shard as usize];
        if !lasting.load(Ordering::Acquire) {
            let path = self.shard_path(shard);
            durable::add_folder(&path)?;
            let synced = durable::sync_folder(&durable::open_folder_of(&path)?);
            synced.inspect_err(|e| self.health.fail(format!("syncing the blob folder: {e}")))?;
            lasting.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn shard_path(&self, shard: u32) -> PathBuf {
        self.root.join(format!("{shard:02x}"))
    }

    pub(crate) fn shard_folder(&self, shard: u32) -> io::Result<fs::File> {
        fs::File::open(self.shard_path(shard))
    }

    /// The data folder.
    pub(crate) fn folder_above(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    pub(crate) fn remove(&self, blob: BlobId) -> io::Result<()> {
        durable::remove_file(&self.path(blob))
    }

    pub(crate) fn note_staged(&self, blob: BlobId) {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).insert(blob);
    }

    pub(crate) fn forget_staged(&self, blob: BlobId) {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob);
    }

    pub(crate) fn is_staged(&self, blob: BlobId) -> bool {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).contains(&blob)
    }

    /// The blobs of one shard that have a file. Files with foreign names are left alone.
    pub(crate) fn files_of_shard(&self, shard: u32) -> io::Result<Vec<BlobId>> {
        let entries = match fs::read_dir(self.shard_path(shard)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let blob = entry?.file_name().to_str().and_then(BlobId::parse);
            found.extend(blob.filter(|blob| blob.shard() == shard));
        }
        Ok(found)
    }

    pub(crate) fn shards() -> impl Iterator<Item = u32> {
        0..SHARDS
    }

    /// Refuses new content where it would endanger the rest.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), StoreFailure> {
        self.health.check()?;
        self.room.need(bytes)
    }
}

/// The length of the file of a blob with `size` bytes of content.
pub(crate) fn file_bytes(size: u64) -> u64 {
    size + size.div_ceil(BLOCK_BYTES) * CRC_BYTES
}
