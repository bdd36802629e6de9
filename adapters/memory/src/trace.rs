//! The trace of a run: one line per call, folded into a hash.
//!
//! Two runs of a seed that differ in one call differ in their hash. Lines are kept only if asked for.

use filemill_core::time::Timestamp;
use std::fmt::{self, Write};

/// FNV-1a: small, stable between releases, and nobody attacks it here.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
    pub calls: u64,
}

impl Trace {
    pub fn new(keeps_lines: bool) -> Self {
        Trace { hash: FNV_OFFSET, lines: keeps_lines.then(Vec::new), calls: 0 }
    }

    pub fn note(&mut self, now: Timestamp, what: fmt::Arguments<'_>) {
        self.calls += 1;
        let mut fold = Fold(self.hash);
        writeln!(fold, "{} {what}", now.as_millis()).expect("folding text does not fail");
        self.hash = fold.0;
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{now} {what}"));
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or(&[])
    }
}

struct Fold(u64);

impl Write for Fold {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = text.bytes().fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        Ok(())
    }
}
