//! The binary under test: built once per test run, found beside the test executable.
//!
//! Works on a fresh checkout with nothing but `cargo test`. `FILEMILL_BIN` names another binary to test instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where it is.
pub fn filemill() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("FILEMILL_BIN").map_or_else(build, PathBuf::from))
}

/// Builds into the directory that this test was built into, with its profile. Cargo's own lock keeps builds apart.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    let profile_dir = test.parent().and_then(Path::parent).expect("tests are built into TARGET/PROFILE/deps");
    let target_dir = profile_dir.parent().expect("TARGET/PROFILE");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "filemill", "--target-dir"]).arg(target_dir);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    // build scripts look at these and would run again because a test asked
    let of_this_test = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|start| name.starts_with(start))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_this_test)) {
        cargo.env_remove(name);
    }
    let built = cargo.stdin(Stdio::null()).status().expect("cargo runs");
    assert!(built.success(), "the binary does not build");
    profile_dir.join("filemill")
}

/// Free of whatever the surrounding shell says about Filemill.
pub fn command() -> Command {
    let mut command = Command::new(filemill());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|n| n.starts_with("FILEMILL_"))) {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}
