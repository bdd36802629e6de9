//! Every process below the guard, whatever group or session it made for itself: found by parenthood, and parenthood
//! cannot be escaped, since the guard adopts orphans.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// What the kernel cannot end in this time (a disk that does not answer) is left to it.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Processes below `root`, without it; ended ones that nobody has fetched included.
pub fn below(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let children = children(pid);
        found.extend(&children);
        open.extend(children);
    }
    found
}

/// From the kernel's own lists, one a thread; where it keeps none, from everybody's parent.
fn children(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists: Vec<_> = threads.map(|thread| fs::read_to_string(thread.path().join("children"))).collect();
    if lists.iter().any(|list| matches!(list, Err(e) if e.kind() == std::io::ErrorKind::NotFound))
        && !kernel_keeps_lists()
    {
        return everybody()
            .into_iter()
            .filter(|(_, parent)| *parent == pid.as_raw_nonzero().get())
            .filter_map(|(child, _)| Pid::from_raw(child))
            .collect();
    }
    let texts: Vec<String> = lists.into_iter().flatten().collect();
    texts.iter().flat_map(|t| t.split_whitespace()).filter_map(|n| Pid::from_raw(n.parse().ok()?)).collect()
}

fn kernel_keeps_lists() -> bool {
    fs::exists("/proc/thread-self/children").unwrap_or(false)
}

/// The state and what follows it. The name in `stat` may hold anything, so fields are counted from its last parenthesis.
fn fields_behind_the_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, behind)| behind).split_whitespace()
}

/// Process and parent.
fn everybody() -> BTreeMap<i32, i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let parent = |pid: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        fields_behind_the_name(&stat).nth(1)?.parse().ok()
    };
    pids.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

/// Memory in use. What several share counts for each of them.
pub fn memory(pids: &[Pid]) -> u64 {
    pids.iter().map(|pid| memory_of(*pid)).sum()
}

fn memory_of(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    // pages of files are not counted: they are the programs themselves, and can be dropped
    1024 * (kib("RssAnon:") + kib("RssShmem:") + kib("VmSwap:"))
}

/// Of all of them together; each has at least one.
pub fn threads(pids: &[Pid]) -> u64 {
    // a folder a thread, and the links of the folder itself
    let of = |pid: &Pid| fs::metadata(format!("/proc/{pid}/task")).map_or(0, |task| task.nlink().saturating_sub(2));
    pids.iter().map(of).sum()
}

/// Processor time of all of them, and of what they started and fetched, in clock ticks. `None`: nothing can be seen of them.
pub fn clock_ticks(pids: &[Pid]) -> Option<u64> {
    let lines = pids.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    // for the user and in the kernel, itself and its children
    let of = |line: String| {
        fields_behind_the_name(&line).skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>()
    };
    lines.map(of).reduce(|one, other| one + other)
}

/// Does one of their threads run, want to, or wait for a disk?
pub fn are_awake(pids: &[Pid]) -> bool {
    let folders = pids.iter().map(|pid| format!("/proc/{pid}/task"));
    let threads = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut lines = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    lines.any(|line| matches!(fields_behind_the_name(&line).next(), Some("R" | "D")))
}

/// Files that are open but have no name any more, or never had one: bytes that no folder shows.
pub fn nameless(pids: &[Pid]) -> u64 {
    let folders = pids.iter().map(|pid| format!("/proc/{pid}/fd"));
    let open = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let files = open.filter_map(|entry| fs::metadata(entry.path()).ok()).filter(|m| m.is_file() && m.nlink() == 0);
    let each: BTreeMap<_, u64> = files.map(|m| ((m.dev(), m.ino()), m.blocks() * 512)).collect();
    each.values().sum()
}

/// To each. A process that is gone needs no signal.
pub fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill_process(*pid, signal);
    }
}

/// Ends everything below `root`, with SIGKILL, and fetches what ended. Stopping all of them first keeps a program that
/// forks in a loop from running ahead.
pub fn kill_all(root: Pid, mut ended: impl FnMut(Pid, WaitStatus)) {
    let started = Instant::now();
    while started.elapsed() < KILL_PATIENCE {
        let pids = below(root);
        if pids.is_empty() {
            return;
        }
        signal(&pids, Signal::STOP);
        signal(&pids, Signal::KILL);
        reap(&mut ended);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends what a guard that was itself killed could not: processes that still have the run's folder in their environment.
/// One that changed its environment is missed.
pub fn end_strays(run: &Path) {
    let mark = run.as_os_str().as_encoded_bytes();
    let started = Instant::now();
    while started.elapsed() < KILL_PATIENCE {
        let marked = everybody().into_keys().filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.windows(mark.len()).any(|part| part == mark)
        });
        let strays: Vec<Pid> = marked.filter_map(Pid::from_raw).collect();
        if strays.is_empty() {
            return;
        }
        signal(&strays, Signal::STOP);
        signal(&strays, Signal::KILL);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Fetches what has ended, without waiting.
pub fn reap(ended: &mut impl FnMut(Pid, WaitStatus)) {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        ended(pid, status);
    }
}
