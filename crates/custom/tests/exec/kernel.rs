//! Launchers that see an older kernel: calls that it would not know fail as it would have them fail.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use std::collections::BTreeMap;
use std::ffi::OsStr;

pub const WITHOUT_LANDLOCK: &str = "guard-without-landlock";
pub const WITHOUT_FILTERS: &str = "guard-without-filters";

/// Whether `launcher` is one of these; if so, this process lacks from now on what its name says.
pub fn lacks(launcher: &OsStr) -> bool {
    let call = match launcher.to_str() {
        Some(WITHOUT_LANDLOCK) => libc::SYS_landlock_create_ruleset,
        Some(WITHOUT_FILTERS) => libc::SYS_seccomp,
        _ => return false,
    };
    let rules = BTreeMap::from([(call, Vec::new())]);
    let arch = TargetArch::try_from(std::env::consts::ARCH).expect("a known machine");
    let fails = SeccompAction::Errno(libc::ENOSYS as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, fails, arch).expect("a filter");
    // the guard's second process has inherited it, and may not be able to set it again
    let _ = apply_filter(&BpfProgram::try_from(filter).expect("a program"));
    true
}
