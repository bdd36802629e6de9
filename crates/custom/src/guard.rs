//! The guard: a process of our own between the service and an operator's command.
//!
//! It runs in two shapes of the same program. `supervise` stays: it watches time, processes, memory and scratch, adopts
//! what the command leaves behind, and ends all of it when the command ends or the service is gone. `confine` takes
//! rights away from itself and becomes the command. The service hears how it ended from a file, [`Ended`].

mod calls;
mod confine;
mod descendants;
mod supervise;

pub use descendants::{are_awake, below, clock_ticks, end_strays};

pub use confine::KernelFences;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// How the guard ends when it was not called as it should be.
const MISUSED: i32 = 64;

/// The service itself goes first where both want a processor. The guard takes it, which says nothing where the kernel groups
/// processes by session, and what becomes the command once more, and its group with it.
const NICENESS: i32 = 5;

/// For each process that is allowed, and of all together.
pub const THREADS_PER_PROCESS: u64 = 8;

/// What the service asks of the guard, as one argument of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The folder of this run.
    pub run: PathBuf,
    pub timeout_ms: u64,
    /// Between SIGTERM and SIGKILL.
    pub grace_ms: u64,
    pub memory_bytes: u64,
    pub processes: u32,
    pub scratch_bytes: u64,
    pub network: bool,
    pub reads: Vec<PathBuf>,
    /// Run it also where a fence is missing.
    pub unfenced: bool,
}

/// A fence that the kernel does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Landlock for files.
    Files,
    /// A filter of system calls.
    Calls,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Exit(i32),
    Signal(i32),
    TimedOut,
    TooManyProcesses,
    TooManyThreads,
    TooMuchMemory,
    TooMuchScratch,
    /// It ended well, but what it started did not end in the time that it is given.
    LeftProcesses,
    /// It was not run at all.
    Unfenced(Missing),
    /// The service wanted it, or is gone.
    Cancelled,
}

/// To be called at the very start of `main`, before any thread, with the arguments behind [`crate::Launcher`]'s own:
/// `supervise ORDERS -- ARGV...`. Returns the exit code.
pub fn guard_main(args: impl Iterator<Item = OsString>) -> i32 {
    let args: Vec<OsString> = args.collect();
    let Some((mode, orders, argv)) = read(&args) else { return MISUSED };
    match mode {
        Mode::Supervise => supervise::supervise(&orders, args.len()),
        Mode::Confine { supervisor } => confine::confine(&orders, supervisor, argv),
    }
}

enum Mode {
    Supervise,
    Confine { supervisor: i32 },
}

const CONFINE: &str = "confine=";
const SUPERVISE: &str = "supervise";

fn read(args: &[OsString]) -> Option<(Mode, Orders, &[OsString])> {
    let [mode, orders, separator, argv @ ..] = args else { return None };
    let mode = match mode.to_str()? {
        SUPERVISE => Mode::Supervise,
        other => Mode::Confine { supervisor: other.strip_prefix(CONFINE)?.parse().ok()? },
    };
    let orders = serde_json::from_str(orders.to_str()?).ok()?;
    (separator == "--" && !argv.is_empty()).then_some((mode, orders, argv))
}

/// The arguments of a supervisor. Fails if a path is not UTF-8, as the temporary folder of a service may be.
pub fn arguments(orders: &Orders, argv: &[String]) -> io::Result<Vec<OsString>> {
    let not_told = |e| io::Error::new(io::ErrorKind::InvalidInput, format!("the scratch folder: {e}"));
    let orders = serde_json::to_string(orders).map_err(not_told)?;
    let own = [SUPERVISE.into(), orders.into(), "--".into()];
    Ok(own.into_iter().chain(argv.iter().map(OsString::from)).collect())
}
