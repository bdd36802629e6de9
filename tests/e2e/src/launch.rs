//! How a service is started: `filemill serve` on free ports, ready when it says so.

use crate::binary;
use crate::logs::Logs;
use crate::service::{Credentials, Service};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

pub struct Launch {
    command: std::process::Command,
    data: std::path::PathBuf,
}

/// A service that ended before it was ready.
#[derive(Debug)]
pub struct Refused {
    pub status: ExitStatus,
    pub stderr: String,
}

/// Far more than a start may take; shorter limits are asserted by the scenarios that care.
const READY: Duration = Duration::from_secs(60);

impl Launch {
    pub fn on(data: &Path) -> Launch {
        let mut command = binary::command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"]).arg(data);
        // what is never logged at this level is never logged
        command.env("FILEMILL_LOG", "debug").env("RUST_BACKTRACE", "1");
        Launch { command, data: data.to_owned() }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn start(self) -> Service {
        self.try_start().unwrap_or_else(|e| panic!("the service did not start ({}):\n{}", e.status, e.stderr))
    }

    pub fn try_start(mut self) -> Result<Service, Refused> {
        let began = Instant::now();
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let logs = Logs::default();
        let stderr = logs.gather(child.stderr.take().expect("stderr is piped"));
        let (ready, ended) = watch(child.stdout.take().expect("stdout is piped"));
        let line = match ready.recv_timeout(READY) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return Err(refused(child, logs, stderr)),
            Err(RecvTimeoutError::Timeout) => {
                child.kill().expect("a child of ours can be killed");
                panic!("not ready after {READY:?}: {}", refused(child, logs, stderr).stderr);
            }
        };
        let ready_in = began.elapsed();
        let address = |name: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {line:?}")).to_owned()
        };
        let (api, s3) = (address("api="), address("s3="));
        let credentials = Credentials::read(&self.data);
        Ok(Service::new(child, api, s3, credentials, logs, ended, ready_in))
    }
}

fn refused(mut child: Child, logs: Logs, stderr: std::thread::JoinHandle<()>) -> Refused {
    let status = child.wait().expect("a child of ours can be waited for");
    stderr.join().expect("the log is read to its end");
    let stderr = logs.all().join("\n");
    Refused { status, stderr }
}

/// The ready line when it comes; the second channel closes when the process is gone.
pub(crate) fn watch(stdout: ChildStdout) -> (Receiver<String>, Receiver<()>) {
    let (tell_ready, ready) = mpsc::channel();
    let (alive, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let _alive: mpsc::Sender<()> = alive;
        let tell_ready = tell_ready;
        let mut tell_ready = Some(tell_ready);
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.starts_with("filemill ready ")
                && let Some(tell) = tell_ready.take()
            {
                let _gone = tell.send(line);
            }
        }
    });
    (ready, ended)
}
