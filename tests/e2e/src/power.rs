//! A file system of our own, whose power can be cut: an ext4 image on a loop device, shut down without writing anything back.
//!
//! Needs root and a loop device. Cutting is ext4's own "going down" request with "no log flush": what was not synced is
//! gone, as after a power loss.

use crate::tools::{Tool, skip, succeed, tool};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub struct Disk {
    folder: TempDir,
    python: Tool,
    mounted: bool,
}

const IMAGE_BYTES: u64 = 2 << 30;
/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, once standard input ends.
const SWITCH: &str = "import fcntl, os, struct, sys
disk = os.open(sys.argv[1], os.O_RDONLY)
print('armed', flush=True)
sys.stdin.read()
fcntl.ioctl(disk, 0x8004587d, struct.pack('I', 2))";

/// A program that stands by to cut the power, so that nothing has to start first.
pub struct Switch(Child);

impl Disk {
    /// A fresh disk, mounted; `None`, with a loud word, where that cannot be.
    pub fn new() -> Option<Disk> {
        Disk::of(IMAGE_BYTES)
    }

    /// Of this size: small ones are soon full.
    pub fn of(bytes: u64) -> Option<Disk> {
        let (python, _) = (tool("python3")?, tool("mkfs.ext4")?);
        if !rustix::process::geteuid().is_root() {
            skip("mounting a disk of our own needs root");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut disk = Disk { folder, python, mounted: false };
        let image = std::fs::File::create(disk.image()).expect("an image");
        image.set_len(bytes).expect("a sparse image");
        std::fs::create_dir(disk.place()).expect("a mount point");
        succeed(command("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &disk.image()]));
        match disk.try_mount() {
            Ok(()) => Some(disk),
            Err(why) => {
                skip(&format!("no loop mount here: {why}"));
                None
            }
        }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Where it is mounted.
    pub fn place(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn try_mount(&mut self) -> Result<(), String> {
        let output = command("mount", &["-o".as_ref(), "loop".as_ref(), &self.image(), &self.place()]).output();
        let output = output.map_err(|e| e.to_string())?;
        self.mounted = output.status.success();
        if self.mounted { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    pub fn switch(&self) -> Switch {
        let mut python = self.python.command();
        python.args(["-c", SWITCH]).arg(self.place()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "armed\n", "the switch does not work");
        Switch(child)
    }

    /// The power is back: unmounted, and mounted again with the journal's recovery.
    pub fn restore(&mut self) {
        self.unmount();
        self.try_mount().expect("a disk that was mounted before");
    }

    fn unmount(&mut self) {
        succeed(command("umount", &[&self.place()]));
        self.mounted = false;
    }
}

impl Switch {
    /// Nothing that is written after this returned reaches the disk.
    pub fn cut(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("a child of ours can be waited for").success(), "the power was not cut");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // also while something still has it open, so that no test leaves a mount behind
            let _best_effort = command("umount", &["-l".as_ref(), &self.place()]).status();
        }
    }
}

fn command(name: &str, args: &[&Path]) -> Command {
    let mut command = Command::new(name);
    command.args(args);
    command
}
