//! What the cases work with: a command from a definition, what a run of it left, and looking at processes.

use filemill_core::ports::{
    Chunk, InputFacts, ProcessError, Pulse, RejectSink, SourceInfo, SourceName, Sources, Transform, Work,
};
use filemill_core::reject::Reject;
use filemill_core::task::TaskError;
use filemill_custom::{Definition, Launcher, processors};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A folder for scratch folders, this binary as the launcher, and one command.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub transform: Box<dyn Transform>,
}

impl Bench {
    /// `argv` in TOML; `more` are further keys.
    pub fn of(argv: &[&str], more: &str) -> Self {
        Self::with(argv, more, &serde_json::json!({}))
    }

    /// A script for `/bin/sh`.
    pub fn sh(script: &str, more: &str) -> Self {
        Self::of(&["/bin/sh", "-c", script], more)
    }

    pub fn with(argv: &[&str], more: &str, options: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let transform = transform(folder.path(), argv, more, options.as_object().expect("options"));
        Bench { folder, transform }
    }

    /// A script below another launcher than the usual one.
    pub fn below(launcher: &str, script: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let transform = launched(launcher, folder.path(), &["/bin/sh", "-c", script], more, &Map::new());
        Bench { folder, transform }
    }

    pub fn run(&self, input: &[u8]) -> Result<Vec<u8>, TaskError> {
        self.run_on("input.txt", input, &Calm)
    }

    pub fn run_on(&self, key: &str, input: &[u8], pulse: &dyn Pulse) -> Result<Vec<u8>, TaskError> {
        let facts = InputFacts { key, size: input.len() as u64, content_type: Some("text/plain"), etag: None };
        let mut output = Vec::new();
        run_chunk(&*self.transform, &Chunk::whole(facts), &mut &*input, &mut output, pulse)?;
        Ok(output)
    }

    /// Text, from a run that must succeed.
    pub fn text(&self, input: &str) -> String {
        let output = self.run(input.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
        String::from_utf8(output).expect("text")
    }

    /// What is left where scratch folders are made.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        fs::read_dir(self.folder.path()).expect("the folder").map(|e| e.expect("an entry").path()).collect()
    }
}

pub fn transform(scratch: &Path, argv: &[&str], more: &str, options: &Map<String, Value>) -> Box<dyn Transform> {
    launched("guard", scratch, argv, more, options)
}

fn launched(
    launcher: &str,
    scratch: &Path,
    argv: &[&str],
    more: &str,
    options: &Map<String, Value>,
) -> Box<dyn Transform> {
    let argv = serde_json::to_string(argv).expect("strings");
    let definition: Definition = toml::from_str(&format!("[exec]\nargv = {argv}\n{more}")).expect("a definition");
    let launcher =
        Launcher { program: "/proc/self/exe".into(), args: vec![launcher.into()], scratch: Some(scratch.to_owned()) };
    let made = processors(&BTreeMap::from([("own".to_owned(), definition)]), launcher).expect("a processor");
    made[0].prepare(options).expect("options")
}

pub fn run_chunk(
    transform: &dyn Transform,
    chunk: &Chunk<'_>,
    input: &mut dyn Read,
    output: &mut dyn Write,
    pulse: &dyn Pulse,
) -> Result<(), TaskError> {
    let mut work = Work { input, output, rejects: &mut Nowhere, sources: &Nowhere, pulse };
    match transform.process(chunk, &mut work) {
        Ok(_) => Ok(()),
        Err(ProcessError::Failed(error)) => Err(error),
        Err(ProcessError::Io(e)) => Err(TaskError::transient("io", e.to_string())),
    }
}

pub struct Calm;

impl Pulse for Calm {
    fn beat(&self) {}
    fn is_stopped(&self) -> bool {
        false
    }
}

struct Nowhere;

impl RejectSink for Nowhere {
    fn reject(&mut self, _: &Reject<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl Sources for Nowhere {
    fn find(&self, _: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        Ok(None)
    }

    fn open(&self, _: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        Err(ProcessError::input("source_missing", "there are none"))
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        Err(ProcessError::input("source_missing", "there is none"))
    }
}

/// Processes whose command line holds `mark`, this one aside.
pub fn processes_with(mark: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    let holds = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    };
    pids.filter(|pid| *pid != std::process::id()).filter(holds).collect()
}

/// Asks again until it holds; the only waiting that is done here, and bounded.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A number that no other process has in its command line: a time for `sleep`.
pub fn mark(nth: u32) -> String {
    format!("{}.{nth:03}", 100_000 + std::process::id())
}
