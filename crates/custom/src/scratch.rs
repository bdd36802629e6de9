//! The folder of one run: the command's own place inside, and beside it the guard's report, which the command cannot
//! reach where the kernel has Landlock.

mod tree;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How the name of a run's folder starts.
pub const PREFIX: &str = "filemill-exec-";

/// Where the command works.
pub fn work(run: &Path) -> PathBuf {
    run.join("work")
}

/// Where the guard says how it ended.
pub fn report(run: &Path) -> PathBuf {
    run.join("ended.json")
}

/// Where it is said, before a fence stands, that the command was not run for want of one.
pub fn unfenced(run: &Path) -> PathBuf {
    run.join("unfenced.json")
}

/// There, once the service wants the command to end. The closed life line says so sooner, but a command can keep that
/// open; this it cannot reach.
pub fn cancelled(run: &Path) -> PathBuf {
    run.join("cancelled")
}

/// Makes the folder of a run and the command's own inside, for their owner alone. They stay until [`remove`].
pub fn make(parent: Option<&Path>) -> io::Result<PathBuf> {
    let private = fs::Permissions::from_mode(0o700);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).permissions(private);
    let folder = parent.map_or_else(|| builder.tempdir(), |parent| builder.tempdir_in(parent))?;
    fs::DirBuilder::new().mode(0o700).create(work(folder.path()))?;
    Ok(folder.keep())
}

/// Blocks on disk below `folder`, in bytes; of a tree that cannot be measured, more than any quota.
pub fn bytes_used(folder: &Path) -> u64 {
    tree::bytes_used(folder).unwrap_or(u64::MAX)
}

/// Removes everything below and including `folder`.
pub fn remove(folder: &Path) -> io::Result<()> {
    Ok(tree::remove(folder)?)
}
