//! A running `filemill serve` with its own data folder: started for a measure, stopped behind it.

use crate::process::Process;
use crate::workplace::Workplace;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Keys under `hello/` and `csv/` start a rule, others start nothing.
pub const CONFIG: &str = r#"
schema = 1
[buckets.uploads]
[buckets.results]
[[rules]]
id = "hello-lines"
from = "uploads"
match = { key = [{ prefix = "hello/" }] }
process = { kind = "lines.prefix", text = "Hello! " }
output = { bucket = "results", key = "{key}" }
[[rules]]
id = "csv-to-jsonl"
from = "uploads"
match = { key = [{ prefix = "csv/" }] }
process = { kind = "csv.transform", to = "jsonl" }
output = { bucket = "results", key = "{key}" }
"#;

pub struct Service {
    child: Child,
    pub api: SocketAddr,
    pub s3: SocketAddr,
    pub token: String,
    pub key: String,
    pub secret: String,
    /// From the start of the process to its ready line.
    pub ready_after: Duration,
}

impl Service {
    pub fn start(workplace: &Workplace, name: &str) -> Result<Self> {
        Self::start_with(workplace, name, CONFIG)
    }

    /// Its log goes to a file: a terminal would be part of the measure.
    pub fn start_with(workplace: &Workplace, name: &str, config_text: &str) -> Result<Self> {
        let folder = workplace.folder(name)?;
        let config = folder.join("filemill.toml");
        fs::write(&config, config_text)?;
        let data = folder.join("data");
        let begun = Instant::now();
        let mut child = Command::new(workplace.filemill())
            .args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?)
            .spawn()
            .context("cannot start the service")?;
        let output = child.stdout.take().context("the service has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let ready_after = begun.elapsed();
        let address = |name: &str| -> Result<SocketAddr> {
            let text = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            let text = text.with_context(|| format!("the service is not ready: {line:?}; see {}", folder.display()))?;
            Ok(text.parse()?)
        };
        let (api, s3) = (address("api=http://")?, address("s3=http://")?);
        let secrets: Value = serde_json::from_str(&fs::read_to_string(data.join("credentials.json"))?)?;
        let secret = |name: &str| secrets[name].as_str().unwrap_or_default().to_owned();
        Ok(Service {
            child,
            api,
            s3,
            token: secret("admin_token"),
            key: secret("s3_access_key_id"),
            secret: secret("s3_secret_access_key"),
            ready_after,
        })
    }

    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Asks it to drain and waits for its end.
    pub fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the service ended with {status}");
        Ok(())
    }
}

/// Where a measure broke off.
impl Drop for Service {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}
