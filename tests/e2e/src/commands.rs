//! Commands as people type them: run to their end within a time, with what they printed and how they ended.

use crate::binary;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// No command of any scenario takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

impl Ran {
    /// `filemill ARGS` in this folder.
    pub fn filemill(folder: &Path, args: &[&str]) -> Ran {
        Ran::with(folder, args, |_| {})
    }

    /// The same, with a command that was changed before it ran.
    pub fn with(folder: &Path, args: &[&str], change: impl FnOnce(&mut Command)) -> Ran {
        let mut command = binary::command();
        command.args(args).current_dir(folder);
        change(&mut command);
        Ran::of(command)
    }

    /// Any command, to its end; ended when patience is.
    pub fn of(mut command: Command) -> Ran {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let (tell, ended) = mpsc::channel();
        std::thread::spawn(move || tell.send(child.wait_with_output()));
        let output = ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            // still ours: nobody has waited for it
            let _just_ended = kill_process(pid, Signal::KILL);
            panic!("{command:?} did not end in {PATIENCE:?}")
        });
        let output = output.expect("a child of ours can be waited for");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{command:?}: {stderr}");
        Ran { code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// Went well.
    #[track_caller]
    pub fn good(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}\n{}", self.text(), self.stderr);
        self
    }

    /// Ended with this code, said all these words on standard error, and printed nothing that a program would take for
    /// a result.
    #[track_caller]
    pub fn bad(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.text(), self.stderr);
        assert_eq!(self.text(), "", "printed by a command that failed");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not said: {}", self.stderr);
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}
