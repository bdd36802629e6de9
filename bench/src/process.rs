//! What the kernel counts of a process: CPU time and peak memory, from `/proc`, without a line of unsafe code.

use anyhow::{Context, Result};
use std::fs;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// A process to look at while it lives.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// User and system time of all threads so far.
    pub fn cpu(self) -> Result<Duration> {
        cpu_fields(&format!("/proc/{}/stat", self.0), 11)
    }

    /// Resident memory now, in bytes.
    pub fn memory(self) -> Result<u64> {
        self.status("VmRSS:")
    }

    pub fn peak_memory(self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// The peak starts anew at what is resident now.
    pub fn forget_peak(self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.0);
        fs::write(&path, "5").with_context(|| format!("cannot write {path}"))
    }

    /// How often threads of the process went to sleep by themselves: an idle process does it rarely.
    pub fn wakeups(self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let status = fs::read_to_string(task?.path().join("status"))?;
            sum += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        }
        Ok(sum)
    }

    fn status(self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.0);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        field(&text, name).map(|kib| kib * 1024).with_context(|| format!("{path} has no {name}"))
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// The sum of two neighbouring fields of a `stat` file, counted behind the process's name, in clock ticks.
fn cpu_fields(path: &str, first: usize) -> Result<Duration> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(first).take(2).filter_map(|n| n.parse::<u64>().ok());
    let sum: u64 = ticks.sum();
    Ok(Duration::from_millis(sum * 1000 / rustix::param::clock_ticks_per_second()))
}

/// One timed command.
pub struct Run {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_memory: u64,
}

/// Runs a command to its end. Its CPU time is what this process's waited-for children gained; so nothing else may end
/// meanwhile.
pub fn time(mut spawn: impl FnMut() -> Result<Child>) -> Result<Run> {
    let before = children_cpu()?;
    let start = Instant::now();
    let mut child = spawn()?;
    let pid = Process(child.id());
    let looker = std::thread::spawn(move || highest_peak(pid));
    let status = child.wait()?;
    let wall = start.elapsed();
    let peak_memory = looker.join().unwrap_or(0);
    check(status)?;
    Ok(Run { wall, cpu: children_cpu()?.saturating_sub(before), peak_memory })
}

fn check(status: ExitStatus) -> Result<()> {
    anyhow::ensure!(status.success(), "a measured command ended with {status}");
    Ok(())
}

/// Of children that were waited for, and theirs.
pub fn children_cpu() -> Result<Duration> {
    cpu_fields("/proc/self/stat", 13)
}

/// The peak only ever rises, so a look now and then is enough.
fn highest_peak(process: Process) -> u64 {
    let mut highest = 0;
    while let Ok(peak) = process.peak_memory() {
        highest = peak.max(highest);
        std::thread::sleep(Duration::from_millis(20));
    }
    highest
}
