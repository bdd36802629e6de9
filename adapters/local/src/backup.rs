//! A backup: a tar of one consistent cut, which ordinary tools can list.
//!
//! Format 1: `filemill-backup.json` (format, when), `state.db` (the state file of the cut, closed well), `blobs/ID` for each blob
//! file that it names, and last `manifest.json`: the SHA-256 and length of each of them. A backup without its manifest is not
//! whole. Credentials are not in it: who can read a backup must not be able to act.

use crate::blobs::{BlobFolder, BlobId, file_bytes};
use crate::failure::StoreFailure;
use crate::reading::{Piece, verify};
use crate::rows::from_sql;
use filemill_core::ports::{BackedUp, BackupError, BlobError};
use filemill_core::time::Timestamp;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

pub(crate) const HEAD: &str = "filemill-backup.json";
pub(crate) const STATE: &str = "state.db";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const FORMAT: u32 = 1;
/// What copies of the state file under way are called; a start removes those that a crash left.
pub(crate) const SCRATCH: &str = ".backup";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) format: u32,
    pub(crate) made_at: Timestamp,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) files: BTreeMap<String, Entry>,
    /// Blobs that were damaged in the store already.
    pub(crate) damaged: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// `named` hears which blob files the cut names, before they are read.
pub(crate) fn write(
    sql: &Connection,
    blobs: &BlobFolder,
    scratch: &Path,
    now: Timestamp,
    out: &mut dyn Write,
    named: impl FnOnce(&[BlobId]),
) -> Result<BackedUp, BackupError> {
    let copy = tempfile::Builder::new().prefix(SCRATCH).tempfile_in(scratch).map_err(store)?;
    let files = cut(sql, copy.path()).map_err(|e| BlobError::from(StoreFailure::from(e)))?;
    named(&files.iter().map(|(blob, _)| *blob).collect::<Vec<_>>());
    let mut writing = Writing { tar: tar::Builder::new(out), manifest: Manifest::default() };
    writing.document(HEAD, &Head { format: FORMAT, made_at: now })?;
    let state = File::open(copy.path()).map_err(store)?;
    let length = state.metadata().map_err(store)?.len();
    writing.file(STATE, state, length)?;
    for (blob, size) in files {
        let length = file_bytes(size);
        let file = File::open(blobs.path(blob));
        let piece = Piece { blob, size, range: 0..size };
        let is_sound = verify(blobs, piece).is_ok();
        if !is_sound {
            tracing::error!(blob = %blob, "a damaged blob goes into the backup as it is");
            writing.manifest.damaged.push(blob.to_string());
        }
        match file {
            // of the length that the archive was told, whatever is there
            Ok(file) => {
                writing.file(&format!("blobs/{blob}"), file.take(length).chain(io::repeat(0)).take(length), length)?
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(store(e)),
        }
    }
    writing.finish()
}

/// What the copy of the state file takes up while the backup is made.
pub(crate) fn state_bytes(sql: &Connection) -> rusqlite::Result<u64> {
    let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    sql.query_row(pages, [], |row| row.get(0)).map(from_sql)
}

/// The whole state in one read transaction, and which blobs of it are files.
fn cut(sql: &Connection, path: &Path) -> rusqlite::Result<Vec<(BlobId, u64)>> {
    let mut copy = Connection::open(path)?;
    Backup::new(sql, &mut copy)?.run_to_completion(i32::MAX, std::time::Duration::from_millis(100), None)?;
    // one file, without a log beside it
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    let mut statement = copy.prepare("SELECT id, size FROM blobs WHERE data IS NULL ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((BlobId::from_number(row.get(0)?), from_sql(row.get(1)?))))?;
    rows.collect()
}

struct Writing<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    manifest: Manifest,
}

impl Writing<'_> {
    fn document(&mut self, name: &str, document: &impl Serialize) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(document).map_err(|e| store(e.into()))?;
        self.append(name, &text[..], text.len() as u64)
    }

    fn file(&mut self, name: &str, content: impl Read, bytes: u64) -> Result<(), BackupError> {
        let mut hashed = Hashed { content, sha256: Sha256::new() };
        self.append(name, &mut hashed, bytes)?;
        let sha256 = hex::encode(hashed.sha256.finalize());
        self.manifest.files.insert(name.to_owned(), Entry { bytes, sha256 });
        Ok(())
    }

    fn append(&mut self, name: &str, content: impl Read, bytes: u64) -> Result<(), BackupError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        self.tar.append_data(&mut header, name, content).map_err(|e| BackupError::Out(Box::new(e)))
    }

    fn finish(mut self) -> Result<BackedUp, BackupError> {
        let manifest = std::mem::take(&mut self.manifest);
        self.document(MANIFEST, &manifest)?;
        let out = self.tar.into_inner().and_then(|out| out.flush());
        out.map_err(|e| BackupError::Out(Box::new(e)))?;
        let bytes = manifest.files.values().map(|entry| entry.bytes).sum();
        Ok(BackedUp { files: manifest.files.len() as u64, bytes, damaged: manifest.damaged })
    }
}

pub(crate) struct Hashed<R> {
    pub(crate) content: R,
    pub(crate) sha256: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(buffer)?;
        self.sha256.update(&buffer[..n]);
        Ok(n)
    }
}

fn store(e: io::Error) -> BackupError {
    BlobError::from(StoreFailure::from(e)).into()
}
