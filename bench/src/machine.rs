//! What a table was measured on, in one line.

use std::fs;
use std::path::Path;

pub fn describe(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = rustix::system::uname();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!(
        "{cores} cores ({}), {} GiB memory, {} on {}, {} {}; load average at the end {load}",
        processor().unwrap_or_else(|| "unknown processor".into()),
        memory_gib().unwrap_or(0),
        file_system(dir).unwrap_or_else(|| "unknown file system".into()),
        "the measured disk",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
    )
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_gib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = text.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib >> 20)
}

/// The type of the mount with the longest path above `dir`.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|f| f.len() > 2 && dir.starts_with(f[1]));
    above.max_by_key(|f| f[1].len()).map(|f| f[2].to_owned())
}
