//! `gzip`, `gunzip`, `zstd`, `unzstd`: a stream packed or unpacked, whatever its length, in bounded memory.
//!
//! The same input gives the same bytes, on any number of threads and however reads fall: all that reads a stream here
//! fills its blocks. Unpacking is held to a ratio and a size, so that a bomb ends early (`bombs.rs`).

pub mod blocks;
mod bombs;
mod gunzip;
mod gzip;
pub mod in_order;
#[cfg(test)]
pub mod tests;
mod unpacking;
mod unzstd;
mod zstd;

pub use gunzip::Gunzip;
pub use gzip::{Gzip, check_level, level_default};
pub use unzstd::Unzstd;
pub use zstd::Zstd;

use filemill_core::ports::{ProcessError, Pulse};
use std::io::{ErrorKind, Read};

/// Reads until `block` is full or the input ends.
pub fn fill(input: &mut (impl Read + ?Sized), block: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match input.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Ends work that nobody waits for.
pub fn go_on(pulse: &dyn Pulse) -> Result<(), ProcessError> {
    match pulse.is_stopped() {
        true => Err(ProcessError::Io(std::io::Error::other("the work was stopped before its end"))),
        false => Ok(()),
    }
}
