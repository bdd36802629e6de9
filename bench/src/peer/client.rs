//! The bare server as a child process, so that its CPU time and memory are its own.

use super::Sync;
use crate::process::Process;
use crate::workplace::Workplace;
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Peer {
    child: Child,
    pub address: SocketAddr,
    pub folder: PathBuf,
}

impl Peer {
    pub fn start(workplace: &Workplace, name: &str, sync: Sync) -> Result<Self> {
        let folder = workplace.folder(name)?;
        let sync = sync.to_possible_value().context("a mode without a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["peer", "--sync", sync.get_name(), "--folder"])
            .arg(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the peer")?;
        let output = child.stdout.take().context("the peer has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse().context("the peer is not ready")?;
        Ok(Peer { child, address, folder })
    }

    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// The head of a PUT; `body` bytes follow it.
    pub fn put(&self, name: &str, body: u64) -> Vec<u8> {
        format!("PUT /{name} HTTP/1.1\r\nhost: {}\r\ncontent-length: {body}\r\n\r\n", self.address).into_bytes()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}
