//! Looking after a store as a whole: is it sound, and a copy of it. Only stores that keep state and bytes themselves have a
//! keeper; others are looked after by their own means.
//!
//! Clauses:
//! * K1 `check_up` changes nothing and sees one state; what is under way is no finding.
//! * K2 `back_up` writes one consistent cut, while the store works; every file that the cut names is in it.
//! * K3 a backup says at its end that it is whole, and what each of its files must be.

use super::{BlobError, BoxError};
use async_trait::async_trait;
use serde::Serialize;
use std::io::Write;

#[async_trait]
pub trait Keeper: Send + Sync {
    async fn check_up(&self) -> Result<Checkup, BlobError>;
    /// Blocking: call it off the async threads.
    fn back_up(&self, out: &mut dyn Write) -> Result<BackedUp, BackupError>;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checkup {
    /// Kinds of things that were looked for.
    pub checks: u64,
    pub findings: Vec<CheckupFinding>,
}

/// Things that should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckupFinding {
    /// Stable, for programs.
    pub code: String,
    /// For people: what each of them is.
    pub what: String,
    pub count: u64,
    /// At most [`CHECKUP_EXAMPLES_MAX`](crate::limits::CHECKUP_EXAMPLES_MAX) of them.
    pub examples: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackedUp {
    pub files: u64,
    pub bytes: u64,
    /// Blobs that are in the backup as damaged as they are in the store.
    pub damaged: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Store(#[from] BlobError),
    /// Whoever was to take it does not.
    #[error("the backup cannot be written")]
    Out(#[source] BoxError),
}
