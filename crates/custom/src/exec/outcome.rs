//! How a command ended, in words, and whether another attempt can help.

use super::running::Halt;
use crate::definition::Exec;
use crate::guard::{Ended, Missing, THREADS_PER_PROCESS};
use filemill_core::duration::format_duration;
use filemill_core::limits::FAILURE_DETAIL_CHARS_MAX;
use filemill_core::ports::ProcessError;
use filemill_core::task::TaskError;
use std::io;

/// `sysexits.h`: "temporary failure; the user is invited to retry".
const EX_TEMPFAIL: i32 = 75;
const SIGKILL: i32 = 9;
/// Of the last line of stderr, what stands in the message.
const LINE_CHARS_MAX: usize = 300;
const DETAIL_TITLE: &str = "end of stderr:\n";
const DETAIL_CHARS: usize = FAILURE_DETAIL_CHARS_MAX - DETAIL_TITLE.len();

pub fn not_started(name: &str) -> impl Fn(io::Error) -> ProcessError {
    move |e| {
        let message = format!("the command of {name} could not be started: {e}");
        failed(match e.kind() {
            // of its own definition or of the service's folders: the same each time
            io::ErrorKind::InvalidInput => TaskError::permanent("command_not_started", message),
            _ => TaskError::transient("command_not_started", message),
        })
    }
}

pub fn judge(
    name: &str,
    exec: &Exec,
    pumped: Result<(), Halt>,
    ended: Option<Ended>,
    stderr: &[u8],
) -> Result<(), ProcessError> {
    let stderr = printable(stderr);
    let permanent = |code, message: String| Err(failed(detailed(TaskError::permanent(code, message), &stderr)));
    let transient = |code, message: String| Err(failed(detailed(TaskError::transient(code, message), &stderr)));
    match pumped {
        Ok(()) => {}
        Err(Halt::Io(e)) => return Err(ProcessError::Io(e)),
        Err(Halt::Stopped) => return Err(ProcessError::Io(io::Error::other("the work was stopped"))),
        Err(Halt::OutputTooLarge) => {
            let message = format!("the command of {name} wrote more than {} bytes", exec.output_max.0);
            return permanent("command_output_too_large", message);
        }
        Err(Halt::GuardLost) => {
            return transient("command_killed", format!("the command of {name} was ended: its guard did not answer"));
        }
    }
    let killed = |limit: String| permanent("command_killed", format!("the command of {name} was ended: it {limit}"));
    match ended {
        Some(Ended::Exit(0)) => Ok(()),
        Some(Ended::Exit(code)) => {
            let message = with_last_line(format!("the command of {name} ended with code {code}"), &stderr);
            if code == EX_TEMPFAIL {
                transient("command_failed", message)
            } else {
                permanent("command_failed", message)
            }
        }
        Some(Ended::TimedOut) => {
            let message = format!("the command of {name} took longer than {}", format_duration(exec.timeout));
            permanent("command_timed_out", message)
        }
        Some(Ended::TooManyProcesses) => killed(format!("ran more than {} processes", exec.processes)),
        Some(Ended::TooManyThreads) => {
            killed(format!("ran more than {} threads", THREADS_PER_PROCESS * u64::from(exec.processes)))
        }
        Some(Ended::LeftProcesses) => {
            let message =
                format!("the command of {name} ended, but processes that it started went on; it must wait for them");
            permanent("command_left_processes", message)
        }
        Some(Ended::TooMuchMemory) => killed(format!("took more than {} of memory", exec.memory)),
        Some(Ended::TooMuchScratch) => {
            killed(format!("filled its scratch folder: more than {}, or folders too deep or closed", exec.scratch_max))
        }
        Some(Ended::Unfenced(missing)) => {
            let fence = match missing {
                Missing::Files => "Landlock (Linux 5.13), which holds it to its folders",
                Missing::Calls => "a filter of system calls (seccomp), which holds it off the network",
            };
            let accept = "exec.unfenced = true in its definition accepts that";
            let message = format!("the command of {name} was not started: this machine has not {fence}; {accept}");
            permanent("command_not_started", message)
        }
        // nobody here sent it: the machine is short of memory, or somebody ended it by hand
        Some(Ended::Signal(SIGKILL)) => transient(
            "command_killed",
            format!("the command of {name} was killed from outside, perhaps for want of memory"),
        ),
        Some(Ended::Signal(signal)) => {
            let message = with_last_line(format!("the command of {name} was ended by signal {signal}"), &stderr);
            permanent("command_killed", message)
        }
        Some(Ended::Cancelled) | None => {
            transient("command_killed", format!("the command of {name} was ended: its guard was killed"))
        }
    }
}

fn failed(error: TaskError) -> ProcessError {
    ProcessError::Failed(error)
}

fn detailed(error: TaskError, stderr: &str) -> TaskError {
    if stderr.is_empty() {
        return error;
    }
    let beyond = stderr.chars().count().saturating_sub(DETAIL_CHARS);
    error.with_detail(format!("{DETAIL_TITLE}{}", stderr.chars().skip(beyond).collect::<String>()))
}

fn with_last_line(message: String, stderr: &str) -> String {
    match stderr.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("{message}: {}", line.trim().chars().take(LINE_CHARS_MAX).collect::<String>()),
        None => message,
    }
}

/// Lines of text, without anything that a terminal would obey.
fn printable(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let shown = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    shown.collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pumped: Result<(), Halt>, ended: Option<Ended>, stderr: &str) -> Result<(), TaskError> {
        let definition = "argv = [\"/bin/x\"]\ntimeout = \"90s\"\nmemory = \"64MiB\"\nprocesses = 3\noutput_max = 10";
        let exec: Exec = toml::from_str(definition).expect("a definition");
        judge("x", &exec, pumped, ended, stderr.as_bytes()).map_err(|e| match e {
            ProcessError::Failed(error) => error,
            ProcessError::Io(e) => TaskError::transient("io", e.to_string()),
        })
    }

    #[test]
    fn each_end_has_its_code_its_words_and_its_hope() {
        for (ended, code, permanent, says) in [
            (Some(Ended::Exit(3)), "command_failed", true, "ended with code 3: it broke"),
            (Some(Ended::Exit(75)), "command_failed", false, "ended with code 75: it broke"),
            (Some(Ended::TimedOut), "command_timed_out", true, "longer than 90s"),
            (Some(Ended::TooManyProcesses), "command_killed", true, "more than 3 processes"),
            (Some(Ended::TooManyThreads), "command_killed", true, "more than 24 threads"),
            (Some(Ended::LeftProcesses), "command_left_processes", true, "must wait for them"),
            (Some(Ended::TooMuchMemory), "command_killed", true, "64.0 MiB of memory"),
            (Some(Ended::TooMuchScratch), "command_killed", true, "scratch folder"),
            (Some(Ended::Unfenced(Missing::Files)), "command_not_started", true, "Landlock"),
            (Some(Ended::Unfenced(Missing::Calls)), "command_not_started", true, "exec.unfenced = true"),
            (Some(Ended::Signal(11)), "command_killed", true, "by signal 11"),
            (Some(Ended::Signal(9)), "command_killed", false, "from outside"),
            (Some(Ended::Cancelled), "command_killed", false, "guard was killed"),
            (None, "command_killed", false, "guard was killed"),
        ] {
            let error = judged(Ok(()), ended, "one\nit \u{1b}broke\n\n").expect_err(says);
            assert_eq!((error.code.as_str(), error.permanent), (code, permanent), "{ended:?}");
            assert!(error.message.contains(says), "{}", error.message);
            assert_eq!(error.detail.as_deref(), Some("end of stderr:\none\nit broke"));
        }
        assert_eq!(judged(Ok(()), Some(Ended::Exit(0)), "a warning"), Ok(()));
    }

    #[test]
    fn what_stopped_the_pump_wins_over_how_the_guard_ended() {
        let too_large = judged(Err(Halt::OutputTooLarge), Some(Ended::Exit(0)), "").expect_err("too large");
        assert_eq!(too_large.code, "command_output_too_large");
        let input = judged(Err(Halt::Io(io::Error::other("lost"))), Some(Ended::Exit(0)), "").expect_err("input");
        assert_eq!(input.message, "lost");
        assert!(judged(Err(Halt::Stopped), Some(Ended::Exit(0)), "").is_err());
    }
}
