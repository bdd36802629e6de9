//! Programs of others: real S3 clients, sed, curl. One that is not installed is said loudly and skips the scenario.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A program that is installed here.
pub struct Tool {
    path: PathBuf,
}

/// `None`, with a loud word, if it is not installed; with `FILEMILL_TEST_ALL=1` that fails the test.
pub fn tool(name: &str) -> Option<Tool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found.map(|path| Tool { path })
}

/// `None` unless this Python module is installed.
pub fn python_with(module: &str) -> Option<Tool> {
    let python = tool("python3")?;
    let there = python.command().args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    if there.expect("python3 runs").success() {
        return Some(python);
    }
    skip(&format!("python3 has no module {module}"));
    None
}

/// One that `.ci/run` installs beside those of the system; `None` as above.
pub fn installed_for_ci(program: &str) -> Option<Tool> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/ci-clients").join(program);
    if path.is_file() {
        return Some(Tool { path });
    }
    skip(&format!("{program} is not installed by .ci/run"));
    None
}

/// Says what is left out, past the test runner's capture.
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("FILEMILL_TEST_ALL").is_none_or(|v| v != "1"), "{test} cannot run: {why}");
    let _no_one_reads = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

impl Tool {
    /// Free of whatever the surrounding shell says about other stores and about proxies.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        let foreign = |name: &str| name.starts_with("AWS_") || name.to_ascii_lowercase().ends_with("_proxy");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(foreign)) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let mut command = self.command();
        command.args(args);
        succeed(command)
    }
}

/// Standard output of a command that must succeed.
pub fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    assert_success(&command, &output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_success(command: &Command, output: &Output) {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    assert!(
        output.status.success(),
        "{name} failed ({}):\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
