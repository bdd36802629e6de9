//! How a command ends: its exit code and the words that go with it.
//!
//! Errors travel as `anyhow::Error`; one that carries an [`Ending`] decides the exit code, any other is a failure (1).

use crate::output::printable_lines;
use std::fmt;
use std::process::ExitCode;

/// Shown at the end of `--help`.
pub const EXIT_CODES: &str = "Exit codes:
  0  all went well
  1  a job or an operation failed
  2  the command line or a config file is wrong
  3  the service cannot be reached
  4  there is no such job, file, object or rule";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    NotFound = 4,
}

/// An error whose exit code is known, with what to do about it.
#[derive(Debug)]
pub struct Ending {
    exit: Exit,
    message: String,
}

impl Ending {
    pub fn failed(message: impl Into<String>) -> anyhow::Error {
        Ending::with(Exit::Failed, message)
    }

    pub fn usage(message: impl Into<String>) -> anyhow::Error {
        Ending::with(Exit::Usage, message)
    }

    pub fn unreachable(message: impl Into<String>) -> anyhow::Error {
        Ending::with(Exit::Unreachable, message)
    }

    pub fn not_found(message: impl Into<String>) -> anyhow::Error {
        Ending::with(Exit::NotFound, message)
    }

    fn with(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Ending { exit, message: message.into() })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Ending {}

/// The exit code that an error asks for.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Ending>().map_or(Exit::Failed, |ending| ending.exit)
}

/// Prints an error, unless it only says that the reader of our output went away (`| head`), and gives its code.
pub fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("filemill: {}", shown(&error));
    ExitCode::from(exit_of(&error) as u8)
}

/// Errors quote keys and answers, which may hold anything; an error of several lines keeps them.
fn shown(error: &anyhow::Error) -> String {
    printable_lines(&format!("{error:#}"))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.downcast_ref::<BrokenOutput>().is_some_and(|b| is_pipe(&b.0))
}

/// Standard output could not be written. Its own type, so that a broken connection is never taken for a closed pipe.
#[derive(Debug)]
pub struct BrokenOutput(pub std::io::Error);

impl fmt::Display for BrokenOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for BrokenOutput {}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_exit_code_survives_added_context() {
        let error = Err::<(), _>(Ending::not_found("no such job")).context("while looking").expect_err("an error");
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert_eq!(exit_of(&anyhow::anyhow!("anything")), Exit::Failed);
    }

    #[test]
    fn an_error_cannot_command_the_terminal() {
        let error = anyhow::anyhow!("no object a\x1b[2J\r\nb\u{9b}31m").context("looking");
        assert_eq!(shown(&error), "looking: no object a\\u{1b}[2J\\r\nb\\u{9b}31m");
    }
}
