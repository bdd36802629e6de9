//! Inputs that are the same in every run: a log of about 110 bytes a line, small files of one kilobyte, and a file each
//! for tables, notes and opinions.

pub mod notes;
pub mod opinions;
pub mod table;

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A few steps of splitmix64: chance that is the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = self.next() % from.len() as u64;
        from[usize::try_from(at).unwrap_or(0)]
    }
}

const LEVELS: [&str; 4] = ["INFO", "WARN", "DEBUG", "ERROR"];
const PATHS: [&str; 4] = ["/v1/jobs", "/v1/files/f-2061/download", "/healthz", "/v1/uploads/u-77"];
const NOTES: [&str; 4] = ["ok", "slow client, kept waiting", "retried after a lost lease", "not modified"];

fn line(chance: &mut Chance, number: u64) -> String {
    let (level, path, note) = (chance.one_of(&LEVELS), chance.one_of(&PATHS), chance.one_of(&NOTES));
    let (host, bytes) = (chance.next() % 250, chance.next() % 1_000_000);
    format!(
        "2026-03-{:02}T{:02}:{:02}:{:02}.{:03}Z {level} host-{host} request={number:010} GET {path} {bytes} bytes {note}\n",
        number % 28 + 1,
        number % 24,
        number % 60,
        number % 59,
        number % 1000,
    )
}

/// Text of exactly `bytes` bytes, another one for each `seed`.
pub fn log(seed: u64, bytes: usize) -> Vec<u8> {
    let mut chance = Chance(seed);
    let mut text = Vec::with_capacity(bytes + 256);
    let mut number = seed;
    while text.len() < bytes {
        text.extend_from_slice(line(&mut chance, number).as_bytes());
        number += 1;
    }
    text.truncate(bytes);
    text
}

/// Writes a log of exactly `bytes` bytes.
pub fn write_log(path: &Path, bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let (mut chance, mut left, mut number) = (Chance(7), bytes, 0);
    while left > 0 {
        let line = line(&mut chance, number);
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(line.len());
        out.write_all(&line.as_bytes()[..take])?;
        left -= take as u64;
        number += 1;
    }
    out.flush()?;
    Ok(())
}

pub const SMALL_BYTES: usize = 1024;

/// One kilobyte of log, another one for each `seed`.
pub fn small(seed: u64) -> Vec<u8> {
    log(seed, SMALL_BYTES)
}

/// What `sed 's/^/Hello! /'` makes of it.
pub fn prefixed(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len() * 2);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(b"Hello! ");
        out.extend_from_slice(line);
    }
    out
}
