//! The guard that stays: starts the command, watches it, ends it and all below it, tells how it ended.
//!
//! Its stderr is the life line: the service holds the other end, and when that end closes, because the service wants it
//! or is dead, everything ends. Nothing polls faster than a tick; the end of the command wakes it at once.

use super::descendants::{below, kill_all, memory, nameless, reap, signal, threads};
use super::{CONFINE, Ended, NICENESS, Orders, THREADS_PER_PROCESS};
use crate::scratch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitStatus, getpid, getppid, kill_process_group, nice, pidfd_open,
    set_child_subreaper, setrlimit, setsid,
};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(20);
/// The scratch folder is walked, so less often.
const TICKS_PER_WALK: u32 = 25;
/// The guard's own exit code; the report says the rest.
const DONE: i32 = 0;
const FAILED: i32 = 70;

/// `own_args` is how many arguments at the end of the command line are the guard's.
pub fn supervise(orders: &Orders, own_args: usize) -> i32 {
    let service = getppid();
    // whatever is open in the service, of a shell that started it for example, is not the command's
    close_fds::set_fds_cloexec(3, &[]);
    // a terminal's Ctrl-C is for the service, which then closes the life line
    let _ = setsid();
    let _ = nice(NICENESS);
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    if set_child_subreaper(Some(getpid())).is_err() || setrlimit(Resource::Core, no_core).is_err() {
        return FAILED;
    }
    let Ok(child) = start(own_args) else { return FAILED };
    let ended = Watch::of(orders, service, &child).run();
    let told = serde_json::to_vec(&ended).is_ok_and(|text| std::fs::write(scratch::report(&orders.run), text).is_ok());
    let _ = scratch::remove(&scratch::work(&orders.run));
    if ended == Ended::Cancelled {
        // nobody may be there any more to do it
        let _ = scratch::remove(&orders.run);
    }
    if told || ended == Ended::Cancelled { DONE } else { FAILED }
}

/// This program again, as what becomes the command. stdin, stdout, stderr and the environment are passed on.
fn start(own_args: usize) -> std::io::Result<Child> {
    let args: Vec<_> = std::env::args_os().collect();
    let mode = args.len() - own_args;
    Command::new("/proc/self/exe")
        .args(&args[1..mode])
        .arg(format!("{CONFINE}{}", getpid()))
        .args(&args[mode + 1..])
        .spawn()
}

struct Watch<'a> {
    orders: &'a Orders,
    own: Pid,
    /// Our parent.
    service: Option<Pid>,
    command: Pid,
    /// Becomes readable when the command ends. `None` on a kernel without.
    wake: Option<OwnedFd>,
    started: Instant,
    status: Option<WaitStatus>,
}

impl<'a> Watch<'a> {
    fn of(orders: &'a Orders, service: Option<Pid>, child: &Child) -> Self {
        let command = Pid::from_child(child);
        let wake = pidfd_open(command, PidfdFlags::empty()).ok();
        Watch { orders, own: getpid(), service, command, wake, started: Instant::now(), status: None }
    }

    fn run(mut self) -> Ended {
        let stopped = self.watch();
        if matches!(stopped, Some(Ended::TimedOut | Ended::Cancelled)) {
            self.ask_to_end();
        }
        let (own, command) = (self.own, self.command);
        if self.status.is_none() {
            // also where /proc shows nothing
            let _ = kill_process_group(command, Signal::KILL);
        }
        kill_all(own, |pid, status| {
            if pid == command {
                self.status = Some(status);
            }
        });
        stopped.unwrap_or_else(|| self.not_fenced().unwrap_or_else(|| ended(self.status)))
    }

    /// Whether it was never run, for want of a fence.
    fn not_fenced(&self) -> Option<Ended> {
        let text = std::fs::read(scratch::unfenced(&self.orders.run)).ok()?;
        serde_json::from_slice(&text).ok().map(Ended::Unfenced)
    }

    /// Until the command and what it started have ended by themselves (`None`), or must.
    fn watch(&mut self) -> Option<Ended> {
        let mut over = None;
        for tick in 0u32.. {
            let life_line_cut = self.wait(TICK);
            self.reap();
            if let Some(status) = self.status {
                if status.exit_status() != Some(0) || below(self.own).is_empty() {
                    return None;
                }
                // it may still write what belongs to the result; without it, the result would be cut short
                let since = *over.get_or_insert_with(Instant::now);
                if since.elapsed() >= Duration::from_millis(self.orders.grace_ms) {
                    return Some(Ended::LeftProcesses);
                }
                // ready from now on
                self.wake = None;
            }
            if life_line_cut || self.is_left_alone() {
                return Some(Ended::Cancelled);
            }
            if self.started.elapsed() >= Duration::from_millis(self.orders.timeout_ms) {
                return Some(Ended::TimedOut);
            }
            if let Some(over) = self.over_its_limits(tick.is_multiple_of(TICKS_PER_WALK)) {
                return Some(over);
            }
        }
        None
    }

    /// The life line's other end can be kept open by the command, the service's own process cannot.
    fn is_left_alone(&self) -> bool {
        getppid() != self.service || scratch::cancelled(&self.orders.run).exists()
    }

    fn over_its_limits(&self, walk: bool) -> Option<Ended> {
        let pids = below(self.own);
        if pids.len() > self.orders.processes as usize {
            return Some(Ended::TooManyProcesses);
        }
        if threads(&pids) > THREADS_PER_PROCESS * u64::from(self.orders.processes) {
            return Some(Ended::TooManyThreads);
        }
        if memory(&pids) > self.orders.memory_bytes {
            return Some(Ended::TooMuchMemory);
        }
        (walk && self.scratch_is_full(&pids)).then_some(Ended::TooMuchScratch)
    }

    fn scratch_is_full(&self, pids: &[Pid]) -> bool {
        let named = scratch::bytes_used(&scratch::work(&self.orders.run));
        named.saturating_add(nameless(pids)) > self.orders.scratch_bytes
    }

    /// SIGTERM to all, then as long as they are given.
    fn ask_to_end(&mut self) {
        signal(&below(self.own), Signal::TERM);
        let asked = Instant::now();
        let grace = Duration::from_millis(self.orders.grace_ms);
        while asked.elapsed() < grace && !below(self.own).is_empty() {
            std::thread::sleep(Duration::from_millis(5));
            self.reap();
        }
    }

    fn reap(&mut self) {
        let command = self.command;
        reap(&mut |pid, status| {
            if pid == command {
                self.status = Some(status);
            }
        });
    }

    /// Waits for the command's end, the life line's end or the time. Says whether the life line is cut.
    fn wait(&self, time: Duration) -> bool {
        let stderr = std::io::stderr();
        let mut fds = vec![PollFd::new(&stderr, PollFlags::empty())];
        if let Some(wake) = &self.wake {
            fds.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        let polled = poll(&mut fds, Some(&timeout));
        polled.is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
    }
}

fn ended(status: Option<WaitStatus>) -> Ended {
    let code = status.and_then(WaitStatus::exit_status).map(Ended::Exit);
    let signal = status.and_then(WaitStatus::terminating_signal).map(Ended::Signal);
    code.or(signal).unwrap_or(Ended::Signal(9))
}
