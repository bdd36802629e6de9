//! Measuring and removing what a command made, which may be a tree against us: deep, unreadable, full of links.
//!
//! Everything goes by descriptors of folders, never through a symbolic link, and few are open at a time. It does not stop
//! anybody from making more meanwhile: the command is over when its tree is removed.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmod, openat, renameat, statat, unlinkat};
use rustix::io::{Errno, Result};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Entries looked at when a tree is measured; one with more is over its quota.
const ENTRIES_MAX: usize = 100_000;
/// So many descriptors are open while it is measured.
const DEPTH_MAX: usize = 100;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Blocks on disk below `folder`, in bytes. `None`: too many entries, too deep, or a part that cannot be looked into.
pub fn bytes_used(folder: &Path) -> Option<u64> {
    let (mut bytes, mut entries) = (0u64, 0usize);
    let mut open = vec![Dir::new(openat(CWD, folder, FOLDER, Mode::empty()).ok()?).ok()?];
    while let Some(here) = open.last_mut() {
        let Some(entry) = here.next() else {
            open.pop();
            continue;
        };
        let entry = entry.ok()?;
        if is_itself(entry.file_name()) {
            continue;
        }
        entries += 1;
        let Some(stat) = there(statat(here.fd().ok()?, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW))? else {
            continue;
        };
        bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            let Some(below) = there(openat(here.fd().ok()?, entry.file_name(), FOLDER, Mode::empty()))? else {
                continue;
            };
            open.push(Dir::new(below).ok()?);
        }
        if entries > ENTRIES_MAX || open.len() > DEPTH_MAX {
            return None;
        }
    }
    Some(bytes)
}

/// What vanishes, or becomes another thing, while we look takes no part. `None`: it hides.
fn there<T>(looked: Result<T>) -> Option<Option<T>> {
    match looked {
        Ok(found) => Some(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Some(None),
        Err(_) => None,
    }
}

/// Removes everything below and including `folder`, also where the command took its own rights away. Folders inside of
/// folders are first moved up to the top, so that depth costs neither descriptors nor stack.
pub fn remove(folder: &Path) -> Result<()> {
    let top = match opened_up(CWD, folder) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let mut moved = 0u64;
    // each round empties at least one folder, or the removal fails
    while round(top.as_fd(), &mut moved)? {}
    unlinkat(CWD, folder, AtFlags::REMOVEDIR)
}

/// Whether there was anything.
fn round(top: BorrowedFd<'_>, moved: &mut u64) -> Result<bool> {
    let mut any = false;
    for entry in Dir::read_from(top)? {
        let entry = entry?;
        if is_itself(entry.file_name()) {
            continue;
        }
        any = true;
        if !unlinked(top, entry.file_name())? {
            let below = opened_up(top, entry.file_name())?;
            flatten(below.as_fd(), top, moved)?;
            unlinkat(top, entry.file_name(), AtFlags::REMOVEDIR)?;
        }
    }
    Ok(any)
}

/// Removes the files of a folder and moves its folders to the top.
fn flatten(folder: BorrowedFd<'_>, top: BorrowedFd<'_>, moved: &mut u64) -> Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if is_itself(entry.file_name()) || unlinked(folder, entry.file_name())? {
            continue;
        }
        // a folder that moves is itself written to
        drop(opened_up(folder, entry.file_name())?);
        loop {
            *moved += 1;
            // only an empty folder can be in its place afterwards, and that was to go as well
            match renameat(folder, entry.file_name(), top, format!(".moved-{moved}")) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                other => break other?,
            }
        }
    }
    Ok(())
}

/// Removes a file or an empty folder; `false`: a folder with something in it.
fn unlinked(folder: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // what Linux and what POSIX says of folders
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e),
    }
    match unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(e) => Err(e),
    }
}

/// A folder, opened and with all rights for its owner.
fn opened_up<P: rustix::path::Arg>(parent: impl AsFd, name: P) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let seen = openat(parent, name, flags, Mode::empty())?;
    // the folder that was opened, whatever stands under its name by now; opening tells what this could not do
    let _ = chmod(format!("/proc/self/fd/{}", seen.as_raw_fd()), Mode::RWXU);
    openat(&seen, ".", FOLDER, Mode::empty())
}

fn is_itself(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, symlinkat};
    use std::fs;

    /// By descriptors: such a path is too long for any call.
    fn nested(top: &Path, depth: usize) {
        let mut here = openat(CWD, top, FOLDER, Mode::empty()).expect("the folder");
        for _ in 0..depth {
            mkdirat(&here, "d", Mode::RWXU).expect("a folder");
            here = openat(&here, "d", FOLDER, Mode::empty()).expect("the folder");
        }
    }

    #[test]
    fn a_deep_tree_is_over_every_quota_and_goes_with_few_descriptors() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("run");
        fs::create_dir(&folder).expect("a folder");
        nested(&folder, DEPTH_MAX - 1);
        assert!(bytes_used(&folder).is_some());
        fs::write(folder.join(".moved-1"), "in the way").expect("a file");
        remove(&folder).expect("removed");
        fs::create_dir(&folder).expect("a folder");
        nested(&folder, 1200);
        assert_eq!(bytes_used(&folder), None);
        remove(&folder).expect("removed");
        assert!(!folder.exists());
        remove(&folder).expect("nothing to do");
    }

    #[test]
    fn neither_way_follows_a_link() {
        let outer = tempfile::tempdir().expect("a folder");
        let (folder, other) = (outer.path().join("run"), outer.path().join("other"));
        fs::create_dir_all(folder.join("a")).expect("a folder");
        fs::create_dir(&other).expect("a folder");
        fs::write(other.join("large"), vec![1; 1 << 20]).expect("a file");
        symlinkat(&other, CWD, folder.join("a/link")).expect("a link");
        assert!(bytes_used(&folder).is_some_and(|bytes| bytes < 1 << 20));
        remove(&folder).expect("removed");
        assert!(other.join("large").exists());
        symlinkat(&other, CWD, &folder).expect("a link");
        assert!(remove(&folder).is_err() && other.join("large").exists());
    }
}
