//! Another implementation's word in tests: Python's own gzip and zipfile.
//!
//! Where there is no Python the test says so and is skipped; with `FILEMILL_TEST_ALL=1` that is a failure.

use std::io::Write;
use std::process::{Command, Stdio};

/// What the script writes when it is given `input`; `None` without a Python. A script that fails fails the test.
pub fn python(script: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child =
        Command::new("python3").arg("-c").arg(script).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => {
            assert!(std::env::var_os("FILEMILL_TEST_ALL").is_none(), "python3 is not here: {e}");
            eprintln!("skipped: python3 is not here: {e}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).expect("the script reads its input"));
        child.wait_with_output().expect("a child")
    });
    assert!(output.status.success(), "python3 failed");
    Some(output.stdout)
}
