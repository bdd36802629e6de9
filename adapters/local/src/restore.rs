//! A backup becomes a data folder again, or is only compared with its manifest.
//!
//! The state file gets its name last, when every other file is on disk and is what the manifest says: a restore that broke off
//! leaves a folder that holds no store. Names in the archive are read strictly; nothing of them becomes a path but a blob's id.

use crate::backup::{Entry, FORMAT, HEAD, Hashed, Head, MANIFEST, Manifest, STATE};
use crate::blobs::{BlobFolder, BlobId};
use crate::durable;
use crate::failure::Health;
use crate::feed;
use crate::housekeeper::chores;
use crate::pins::Pins;
use filemill_core::limits::MIB;
use filemill_core::time::Timestamp;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The state file's name until all is there.
pub(crate) const UNNAMED: &str = "filemill.db.restoring";
/// Of the documents; a manifest has about 120 bytes for each blob file.
const DOCUMENT_BYTES_MAX: u64 = 1024 * MIB;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("{0} is not empty; give a folder that is, or that does not exist yet")]
    NotEmpty(PathBuf),
    #[error("this is no backup of filemill, or not a whole one: {0}")]
    NoBackup(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the state file cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
}

#[derive(Debug)]
pub struct Restored {
    pub made_at: Timestamp,
    pub files: u64,
    pub bytes: u64,
    /// Blobs that were damaged when the backup was made.
    pub damaged: Vec<String>,
}

/// Reads all of it and compares; writes nothing.
pub fn check_backup(input: impl Read) -> Result<Restored, RestoreError> {
    unpack(input, |_| Ok(None))
}

pub fn restore_backup(input: impl Read, dir: &Path) -> Result<Restored, RestoreError> {
    durable::make_folder(dir)?;
    if fs::read_dir(dir)?.next().is_some() {
        return Err(RestoreError::NotEmpty(dir.to_owned()));
    }
    // a service that is started on the folder meanwhile finds it in use
    let _lock = crate::open::lock(dir).map_err(|_| RestoreError::NotEmpty(dir.to_owned()))?;
    let pins = Pins::new(chores().0);
    let blobs = BlobFolder::open(dir.join("blobs"), pins, Arc::new(Health::default()), None)?;
    let unnamed = dir.join(UNNAMED);
    let restored = unpack(input, |name| match name {
        Name::State => durable::create_file(&unnamed).map(Some),
        Name::Blob(blob) => {
            blobs.make_shard_of(blob)?;
            durable::create_file(&blobs.path(blob)).map(Some)
        }
    })?;
    leave_room(&unnamed)?;
    for shard in BlobFolder::shards().filter_map(|shard| blobs.shard_folder(shard).ok()) {
        durable::sync_folder(&shard)?;
    }
    durable::name_file(&unnamed, &dir.join("filemill.db"))?;
    Ok(restored)
}

/// Events that were told after the backup keep their numbers: nobody who resumes behind one misses a new one.
fn leave_room(state: &Path) -> Result<(), RestoreError> {
    let db = Connection::open(state)?;
    feed::leave_room(&db)?;
    db.close().map_err(|(_, e)| e)?;
    durable::sync_whole(&File::open(state)?)?;
    Ok(())
}

enum Name {
    State,
    Blob(BlobId),
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("blobs/") {
            Some(id) => BlobId::parse(id).map(Name::Blob),
            None => (text == STATE).then_some(Name::State),
        }
    }
}

fn unpack(input: impl Read, mut place: impl FnMut(Name) -> io::Result<Option<File>>) -> Result<Restored, RestoreError> {
    let no_backup = |why: String| RestoreError::NoBackup(why);
    let mut archive = tar::Archive::new(input);
    let mut head: Option<Head> = None;
    let mut found: BTreeMap<String, Entry> = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry.map_err(|e| no_backup(e.to_string()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match (name.as_str(), &head) {
            (HEAD, None) => {
                let read: Head = document(&mut entry, HEAD)?;
                if read.format != FORMAT {
                    return Err(no_backup(format!("it has format {}, and this version reads {FORMAT}", read.format)));
                }
                head = Some(read);
            }
            (_, None) => return Err(no_backup(format!("it begins with {name:?}"))),
            (MANIFEST, Some(head)) => {
                let manifest: Manifest = document(&mut entry, MANIFEST)?;
                return compared(head, manifest, &found);
            }
            (_, Some(_)) => {
                let parsed = Name::parse(&name).ok_or_else(|| no_backup(format!("it has a file {name:?}")))?;
                let taken = take(&mut entry, place(parsed)?)?;
                found.insert(name, taken);
            }
        }
    }
    Err(no_backup("its manifest is missing: making it was broken off, or it was cut".into()))
}

fn document<T: serde::de::DeserializeOwned>(entry: &mut impl Read, name: &str) -> Result<T, RestoreError> {
    let mut text = Vec::new();
    entry.take(DOCUMENT_BYTES_MAX).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|e| RestoreError::NoBackup(format!("{name}: {e}")))
}

fn take(entry: &mut impl Read, file: Option<File>) -> io::Result<Entry> {
    let mut hashed = Hashed { content: entry, sha256: Sha256::new() };
    let bytes = match file {
        None => io::copy(&mut hashed, &mut io::sink())?,
        Some(mut file) => {
            let bytes = io::copy(&mut hashed, &mut file)?;
            file.flush()?;
            durable::sync_whole(&file)?;
            bytes
        }
    };
    Ok(Entry { bytes, sha256: hex::encode(hashed.sha256.finalize()) })
}

fn compared(head: &Head, manifest: Manifest, found: &BTreeMap<String, Entry>) -> Result<Restored, RestoreError> {
    if !manifest.files.contains_key(STATE) {
        return Err(RestoreError::NoBackup("it has no state".into()));
    }
    for (name, entry) in &manifest.files {
        match found.get(name) {
            Some(read) if read == entry => {}
            Some(_) => return Err(RestoreError::NoBackup(format!("{name} is not what was backed up"))),
            None => return Err(RestoreError::NoBackup(format!("{name} is missing"))),
        }
    }
    if let Some(name) = found.keys().find(|name| !manifest.files.contains_key(*name)) {
        return Err(RestoreError::NoBackup(format!("{name} does not stand in its manifest")));
    }
    let bytes = manifest.files.values().map(|entry| entry.bytes).sum();
    Ok(Restored { made_at: head.made_at, files: found.len() as u64, bytes, damaged: manifest.damaged })
}
