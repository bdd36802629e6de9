//! A service's system calls, as strace sees them: that a sync is made, and when, shows nowhere else while the power holds.
//! And one call of them made to fail.

use crate::tools::{skip, tool};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Stdio};
use tempfile::NamedTempFile;

pub struct Trace {
    strace: Child,
    output: NamedTempFile,
    /// Open until the end: strace tells of every thread that comes.
    _stderr: BufReader<ChildStderr>,
}

/// One call of one thread. Lines are numbered in the order of events, so calls of several threads compare.
#[derive(Debug)]
pub struct Call {
    /// `fdatasync(14</path/of/the/file>) = 0`
    pub text: String,
    began: usize,
    ended: usize,
}

const CALLS: &str = "trace=openat,mkdir,mkdirat,write,writev,sendto,pwrite64,fsync,fdatasync,unlink,unlinkat";

impl Trace {
    /// From now on; `None`, with a loud word, where nobody may look.
    pub fn of(process: u32) -> Option<Trace> {
        Trace::with(process, CALLS, &[])
    }

    /// From now on this call is not made when a thread comes to it for its n-th time: the thread is told EIO. strace
    /// counts for each thread, so several may be told, each once. All other calls go on, and so do calls about other
    /// files, where some are named.
    pub fn with_io_error(process: u32, call: &str, nth: usize, files: &[PathBuf]) -> Option<Trace> {
        Trace::with(process, &format!("inject={call}:error=EIO:when={nth}"), files)
    }

    /// Whether there was such an error by now. What the service does because of it comes later.
    pub fn has_struck(&self) -> bool {
        std::fs::read_to_string(self.output.path()).expect("what strace wrote").contains("(INJECTED)")
    }

    fn with(process: u32, what: &str, files: &[PathBuf]) -> Option<Trace> {
        let mut strace = tool("strace")?.command();
        let output = NamedTempFile::new().expect("a temporary file");
        strace.args(["-f", "-y", "-e", what, "-p", &process.to_string(), "-o"]).arg(output.path());
        for file in files {
            strace.arg("-P").arg(file);
        }
        let mut strace = strace.stderr(Stdio::piped()).spawn().expect("strace starts");
        let mut line = String::new();
        let mut stderr = BufReader::new(strace.stderr.take().expect("stderr is piped"));
        stderr.read_line(&mut line).expect("a line");
        if line.contains("attached") {
            return Some(Trace { strace, output, _stderr: stderr });
        }
        strace.wait().expect("a child of ours can be waited for");
        skip(&format!("strace may not look: {line}"));
        None
    }

    /// All calls that have ended by now.
    pub fn end(mut self) -> Vec<Call> {
        let pid = i32::try_from(self.strace.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::INT).expect("a child of ours takes signals");
        self.strace.wait().expect("a child of ours can be waited for");
        parse(&String::from_utf8_lossy(&std::fs::read(self.output.path()).expect("what strace wrote")))
    }
}

/// Lines are `THREAD CALL`; a call that others come between is on two: `THREAD fsync(3 <unfinished ...>` and
/// `THREAD <... fsync resumed>) = 0`.
fn parse(text: &str) -> Vec<Call> {
    let mut unfinished = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some((thread, call)) = line.split_once(' ').map(|(thread, call)| (thread, call.trim_start())) else {
            continue;
        };
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (number, start.trim_end()));
        } else if let Some((_, rest)) = call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>")) {
            let Some((began, start)) = unfinished.remove(thread) else { continue };
            calls.push(Call { text: format!("{start}{rest}"), began, ended: number });
        } else {
            calls.push(Call { text: call.to_owned(), began: number, ended: number });
        }
    }
    calls
}

/// Finds calls that begin with the one text and hold the other, each begun after the one before had ended and all after
/// `first`. Answers the last.
#[track_caller]
pub fn expect_in_order<'a>(calls: &'a [Call], first: Option<&Call>, wanted: &[(&str, &str)]) -> &'a Call {
    let mut after = first.map(|call| call.ended);
    let mut last = None;
    for (name, what) in wanted {
        let mut later = calls.iter().filter(|call| after.is_none_or(|after| call.began > after));
        let found = later.find(|call| call.text.starts_with(name) && call.text.contains(what));
        let found = found.unwrap_or_else(|| panic!("no {name} of {what} where it should be: {calls:#?}"));
        after = Some(found.ended);
        last = Some(found);
    }
    last.expect("something is wanted")
}

impl Call {
    pub fn ended_before(&self, other: &Call) -> bool {
        self.ended < other.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_others_come_between_lasts_from_its_first_line_to_its_second() {
        let calls =
            parse("7 fsync(3</a> <unfinished ...>\n8   write(4</b>, \"x\", 1) = 1\n7 <... fsync resumed>) = 0\n");
        assert_eq!(calls[1].text, "fsync(3</a>) = 0");
        assert_eq!((calls[1].began, calls[1].ended), (0, 2));
        assert_eq!((calls[0].text.as_str(), calls[0].began), ("write(4</b>, \"x\", 1) = 1", 1));
    }
}
