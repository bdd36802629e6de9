//! A store in a temporary folder, and the few steps that most tests begin with.

#![allow(dead_code, reason = "each test binary uses its part")]

use filemill_conformance::HandClock;
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::*;
use filemill_local::{LocalConfig, LocalStore, OpenError};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub fn config(dir: &Path) -> LocalConfig {
    LocalConfig {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        ..LocalConfig::new(dir, Arc::new(HandClock::new()))
    }
}

pub fn try_open(dir: &Path) -> Result<Arc<LocalStore>, OpenError> {
    LocalStore::open(config(dir))
}

pub fn open(dir: &Path) -> Arc<LocalStore> {
    try_open(dir).expect("the store opens")
}

/// With the bucket that the tests use.
pub async fn with_bucket(dir: &Path) -> Arc<LocalStore> {
    let store = open(dir);
    store.create_bucket(&bucket()).await.expect("a new bucket");
    store
}

pub fn bucket() -> BucketName {
    BucketName::parse("uploads").expect("a name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key")
}

pub fn put_of(name: &str) -> PutObject {
    PutObject {
        bucket: bucket(),
        key: key(name),
        attributes: Attributes::default(),
        checksums: Default::default(),
        etag: None,
        condition: Precondition::None,
    }
}

/// Bytes that differ from block to block.
pub fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|i| (i / 251) as u8 ^ (i % 251) as u8 ^ seed).collect()
}

pub fn stage(store: &LocalStore, content: &[u8]) -> Result<Staged, BlobError> {
    let mut stage = store.stage(Some(content.len() as u64))?;
    for piece in content.chunks(100_000) {
        stage.write_all(piece).map_err(BlobError::unavailable)?;
    }
    stage.finish()
}

pub async fn try_put(store: &LocalStore, name: &str, content: &[u8]) -> Result<ObjectInfo, BlobError> {
    store.put(put_of(name), stage(store, content)?, Durability::Synced).await
}

pub async fn put(store: &LocalStore, name: &str, content: &[u8]) -> ObjectInfo {
    try_put(store, name, content).await.expect("the put is taken")
}

pub async fn body(store: &LocalStore, name: &str) -> Box<dyn Read + Send> {
    store.open(&bucket(), &key(name), None, None).await.expect("the object opens").body.into_reader()
}

pub async fn get(store: &LocalStore, name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    body(store, name).await.read_to_end(&mut content).expect("the object is read");
    content
}

/// Every file under `blobs/`.
pub fn blob_files(dir: &Path) -> Vec<PathBuf> {
    let entries = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    };
    entries(&dir.join("blobs")).iter().flat_map(|shard| entries(shard)).collect()
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// In two parts.
pub async fn try_put_parts(store: &LocalStore, name: &str, content: &[u8]) -> Result<ObjectInfo, BlobError> {
    let begin = BeginMultipart { bucket: bucket(), key: key(name), attributes: Attributes::default() };
    let upload = MultipartRef { bucket: bucket(), key: key(name), id: store.begin_multipart(begin).await? };
    let mut parts = Vec::new();
    for (number, content) in (1..).zip(content.chunks(content.len().div_ceil(2))) {
        let part = store.put_part(&upload, number, stage(store, content)?, None, Default::default()).await?;
        parts.push(PartRef { number, handle: Some(part.handle), etag: Some(part.etag) });
    }
    let complete =
        CompleteMultipart { parts, checksums: Default::default(), condition: Precondition::None, min_part_bytes: 0 };
    store.complete_multipart(&upload, complete).await
}

pub async fn begin_multipart(store: &LocalStore, name: &str) -> MultipartRef {
    let begin = BeginMultipart { bucket: bucket(), key: key(name), attributes: Attributes::default() };
    let id = store.begin_multipart(begin).await.expect("an upload begins");
    MultipartRef { bucket: bucket(), key: key(name), id }
}

pub async fn put_part(store: &LocalStore, upload: &MultipartRef, number: u32, content: &[u8]) -> PartRef {
    let staged = stage(store, content).expect("the part is staged");
    let part = store.put_part(upload, number, staged, None, Default::default()).await.expect("the part is taken");
    PartRef { number, handle: Some(part.handle), etag: Some(part.etag) }
}

pub async fn complete(store: &LocalStore, upload: &MultipartRef, parts: Vec<PartRef>) -> ObjectInfo {
    let complete =
        CompleteMultipart { parts, checksums: Default::default(), condition: Precondition::None, min_part_bytes: 0 };
    store.complete_multipart(upload, complete).await.expect("the upload completes")
}
