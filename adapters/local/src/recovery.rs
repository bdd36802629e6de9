//! What a start does about the end before it. Done twice, or broken off and begun again, it has the same outcome.
//!
//! Files without a row were never visible: they are removed. Rows without a file are reported: their objects answer
//! `Corrupt`. Leases end: the workers died with the process.

use crate::blobs::{BlobFolder, BlobId};
use crate::failpoints::failpoint;
use crate::open::OpenError;
use crate::tasks;
use filemill_core::time::Timestamp;
use rusqlite::Connection;
use std::collections::HashSet;
use std::io;

/// What was found and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub files_removed: u64,
    pub files_missing: u64,
    pub leases_ended: u64,
}

pub(crate) fn recover(db: &Connection, blobs: &BlobFolder, now: Timestamp) -> Result<Recovered, OpenError> {
    failpoint!("local.recovery.leases");
    let leases_ended = tasks::end_leases(db, now)? as u64;
    let mut missing = blobs_with_files(db)?;
    let mut files_removed = 0;
    for shard in BlobFolder::shards() {
        for blob in blobs.files_of_shard(shard).map_err(OpenError::Io)? {
            if !missing.remove(&blob) {
                remove(blobs, blob)?;
                files_removed += 1;
            }
        }
    }
    for blob in &missing {
        tracing::error!(blob = %blob, "a blob's file is missing; objects that hold it cannot be read");
    }
    failpoint!("local.recovery.done");
    let recovered = Recovered { files_removed, files_missing: missing.len() as u64, leases_ended };
    if recovered != Recovered::default() {
        tracing::info!(files_removed, files_missing = recovered.files_missing, leases_ended, "the store recovered");
    }
    Ok(recovered)
}

fn remove(blobs: &BlobFolder, blob: BlobId) -> Result<(), OpenError> {
    failpoint!("local.recovery.unlink");
    let removed: io::Result<()> = blobs.remove(blob);
    removed.map_err(OpenError::Io)
}

fn blobs_with_files(db: &Connection) -> rusqlite::Result<HashSet<BlobId>> {
    let mut statement = db.prepare("SELECT id FROM blobs WHERE data IS NULL")?;
    let rows = statement.query_map([], |row| row.get(0).map(BlobId::from_number))?;
    rows.collect()
}
