//! A command that runs: bytes in and out of it on the calling thread, and its end.
//!
//! One loop serves stdin, stdout and stderr as they are ready, so nothing waits for anything else, whatever the command
//! reads and writes first. Whatever happens to this side, the command ends: closing stderr is the guard's signal.

use crate::guard::{Ended, Orders, are_awake, arguments, below, clock_ticks};
use crate::{Launcher, scratch};
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::{Load, Pulse, Work};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long nothing is ready before somebody is asked whether the work is still wanted, and the command's processes are
/// looked at.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// While they rest.
const PAUSE_AT_REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// How often it is asked whether the guard lives.
const LOOK: Duration = Duration::from_millis(100);
/// Of stderr, what is kept.
const TAIL_BYTES: usize = 2048;
/// A guard that has not ended this long after it should have is ended itself, and the command with it.
const GUARD_PATIENCE: Duration = Duration::from_secs(15);

/// The folder of a run; it goes with this value.
pub struct RunFolder(PathBuf);

impl RunFolder {
    pub fn make(parent: Option<&Path>) -> io::Result<Self> {
        Ok(RunFolder(scratch::make(parent)?))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // the guard has removed the scratch folder already, unless it was ended itself
        let _ = scratch::remove(self.path());
    }
}

/// Why the pump stopped before the command did.
#[derive(Debug)]
pub enum Halt {
    /// Input or output failed.
    Io(io::Error),
    /// Nobody wants the result any more.
    Stopped,
    OutputTooLarge,
    /// The guard itself does not answer.
    GuardLost,
}

impl From<io::Error> for Halt {
    fn from(e: io::Error) -> Self {
        Halt::Io(e)
    }
}

pub struct Running {
    guard: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    tail: Vec<u8>,
    run: PathBuf,
    next_look: Instant,
    load: Load,
    /// Of the command's processes, when nothing was ready the last time.
    clock_ticks: Option<u64>,
    /// When even the guard should be over.
    deadline: Instant,
    grace: Duration,
}

impl Running {
    pub fn start(
        launcher: &Launcher,
        orders: &Orders,
        argv: &[String],
        env: BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let mut guard = Command::new(&launcher.program)
            .args(&launcher.args)
            .args(arguments(orders, argv)?)
            .env_clear()
            .envs(env)
            .current_dir(&orders.run)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdin, stdout, stderr) = (guard.stdin.take(), guard.stdout.take(), guard.stderr.take());
        let grace = Duration::from_millis(orders.grace_ms) + GUARD_PATIENCE;
        let deadline = Instant::now() + Duration::from_millis(orders.timeout_ms) + grace;
        let running = Running {
            guard,
            stdin,
            stdout,
            stderr,
            tail: Vec::new(),
            run: orders.run.clone(),
            next_look: Instant::now() + LOOK,
            load: Load::Half,
            clock_ticks: None,
            deadline,
            grace,
        };
        running.unblock()?;
        Ok(running)
    }

    fn unblock(&self) -> io::Result<()> {
        let ends = [
            self.stdin.as_ref().map(AsFd::as_fd),
            self.stdout.as_ref().map(AsFd::as_fd),
            self.stderr.as_ref().map(AsFd::as_fd),
        ];
        for end in ends.into_iter().flatten() {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(())
    }

    /// Until the guard has closed its ends, which is when all is over.
    pub fn pump(&mut self, work: &mut Work<'_>, output_max: u64) -> Result<(), Halt> {
        let mut input = Pending { block: vec![0; IO_BLOCK_BYTES], from: 0, to: 0 };
        let mut block = vec![0; IO_BLOCK_BYTES];
        let mut written = 0u64;
        while self.stdout.is_some() || self.stderr.is_some() {
            if self.stdin.is_some() && input.is_empty() && !input.fill(work.input)? {
                self.stdin = None;
            }
            self.load = if self.wait()? || !self.is_at_rest() { Load::Half } else { Load::Rest };
            work.pulse.takes(self.load);
            work.pulse.beat();
            if work.pulse.is_stopped() {
                return Err(Halt::Stopped);
            }
            if self.guard_is_lost() {
                return Err(Halt::GuardLost);
            }
            self.feed(&mut input)?;
            self.take_stderr(&mut block)?;
            if let Some(read) = self.take_stdout(&mut block)? {
                written += read as u64;
                if written > output_max {
                    return Err(Halt::OutputTooLarge);
                }
                work.output.write_all(&block[..read])?;
            }
        }
        Ok(())
    }

    /// What a killed guard leaves behind may keep the pipes open for ever.
    fn guard_is_lost(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK;
        now > self.deadline || (matches!(self.guard.try_wait(), Ok(Some(_))) && ended(&self.run).is_none())
    }

    /// No process of the command wants a core, and none had one since nothing was ready the last time.
    fn is_at_rest(&mut self) -> bool {
        // without any, the guard has not started it yet
        let pids = below(Pid::from_child(&self.guard));
        let before = std::mem::replace(&mut self.clock_ticks, clock_ticks(&pids));
        before.is_some() && self.clock_ticks == before && !are_awake(&pids)
    }

    /// Until something is ready, or for a pause. Says whether something is.
    fn wait(&self) -> io::Result<bool> {
        let mut fds = Vec::with_capacity(3);
        fds.extend(self.stdin.as_ref().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        fds.extend(self.stdout.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.stderr.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let pause = if self.load == Load::Rest { PAUSE_AT_REST } else { PAUSE };
        match poll(&mut fds, Some(&pause)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// A command that wants no more of its input has closed it; that is its affair.
    fn feed(&mut self, input: &mut Pending) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        match stdin.write(&input.block[input.from..input.to]) {
            Ok(taken) => input.from += taken,
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => self.stdin = None,
            Err(e) if is_later(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    fn take_stdout(&mut self, block: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(stdout) = &mut self.stdout else { return Ok(None) };
        match stdout.read(block) {
            Ok(0) => self.stdout = None,
            Ok(read) => return Ok(Some(read)),
            Err(e) if is_later(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(None)
    }

    fn take_stderr(&mut self, block: &mut [u8]) -> io::Result<()> {
        let Some(stderr) = &mut self.stderr else { return Ok(()) };
        match stderr.read(block) {
            Ok(0) => self.stderr = None,
            Ok(read) => {
                self.tail.extend_from_slice(&block[..read]);
                self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
            }
            Err(e) if is_later(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Waits for the guard, having told it to end everything if `now`. Gives the end of stderr.
    pub fn end(mut self, now: bool, pulse: &dyn Pulse) -> Vec<u8> {
        if now {
            self.hang_up();
        }
        self.wait_for_guard(|| pulse.beat());
        std::mem::take(&mut self.tail)
    }

    fn hang_up(&mut self) {
        // best effort, since closing stderr says the same
        let _ = std::fs::File::create(scratch::cancelled(&self.run));
        (self.stdin, self.stdout, self.stderr) = (None, None, None);
    }

    fn wait_for_guard(&mut self, beat: impl Fn()) {
        let since = Instant::now();
        while let Ok(None) = self.guard.try_wait() {
            if since.elapsed() > self.grace {
                let _ = self.guard.kill();
                let _ = self.guard.wait();
                return;
            }
            beat();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Also when a panic passes through.
impl Drop for Running {
    fn drop(&mut self) {
        self.hang_up();
        self.wait_for_guard(|| ());
    }
}

/// What the guard reported. `None`: it could not, so it was ended itself.
pub fn ended(run: &Path) -> Option<Ended> {
    serde_json::from_slice(&std::fs::read(scratch::report(run)).ok()?).ok()
}

fn is_later(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A block of the input that is on its way in.
struct Pending {
    block: Vec<u8>,
    from: usize,
    to: usize,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// `false` at the end of the input.
    fn fill(&mut self, input: &mut dyn Read) -> io::Result<bool> {
        loop {
            match input.read(&mut self.block) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => {
                    (self.from, self.to) = (0, other?);
                    return Ok(self.to > 0);
                }
            }
        }
    }
}
