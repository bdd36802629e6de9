//! The only place of this crate that makes, syncs and removes files.
//!
//! The order that makes a file last: its bytes, its data sync, the sync of its folder, and before that of every folder
//! that was newly made. Only then may a row name it. Nothing is renamed: ids are never given twice, so a file is
//! written under its final name and becomes visible by its row.

use crate::failpoints::failpoint;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder, and those above it that are missing, and makes each last. A folder that is there may have been made
/// just before a crash, or is being made by somebody else right now: its name is synced all the same.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    match add_folder(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).ok_or(e)?;
            make_folder(parent)?;
            return make_folder(path);
        }
        other => other?,
    }
    sync_folder(&open_folder_of(path)?)
}

/// A folder in one that is there, for its owner alone; not synced. One of that name is as good.
pub(crate) fn add_folder(path: &Path) -> io::Result<()> {
    failpoint!("local.folder.make");
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

/// Where the path has its name, to be synced. Opening comes before and apart: it may fail for want of a descriptor, and
/// only a sync that failed leaves anything unknown.
pub(crate) fn open_folder_of(path: &Path) -> io::Result<File> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent),
        Some(_) => File::open("."),
        // a root has no name that could be lost
        None => File::open(path),
    }
}

/// The folder's names are on disk when this returns.
pub(crate) fn sync_folder(folder: &File) -> io::Result<()> {
    failpoint!("local.folder.sync");
    folder.sync_all()
}

/// A new file, for writing and reading. One of that name there is an error.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    failpoint!("local.stage.create");
    owners_alone().create_new(true).open(path)
}

/// The file of that name, made empty if there is none.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    owners_alone().create(true).truncate(false).open(path)
}

/// A file that is made is for its owner alone, whatever folder it is in; one that is there keeps its mode.
fn owners_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// The file's bytes and its name in this folder are on disk when this returns.
pub(crate) fn sync_new_file(file: &File, folder: &File) -> io::Result<()> {
    sync_data(file)?;
    failpoint!("local.stage.dirsync");
    folder.sync_all()
}

fn sync_data(file: &File) -> io::Result<()> {
    failpoint!("local.stage.datasync");
    file.sync_data()
}

/// A file whose name lasts otherwise: all of it is on disk when this returns.
pub(crate) fn sync_whole(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// A data sync while the file is still written.
pub(crate) fn sync_early(file: &File) -> io::Result<()> {
    failpoint!("local.stage.flush");
    file.sync_data()
}

/// A file that was written and synced under another name becomes visible. Only for what no row names: a restored state file.
pub(crate) fn name_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(&open_folder_of(to)?)
}

/// The file has at least this many bytes of the disk; its length stays.
pub(crate) fn set_aside(file: &File, bytes: u64) -> io::Result<()> {
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes).map_err(io::Error::from)
}

/// Files of a folder whose names begin so; of no use to anybody any more.
pub(crate) fn remove_scratch(dir: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Not synced: a file that comes back after a crash has no row and is removed when the store opens.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    failpoint!("local.blob.unlink");
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
