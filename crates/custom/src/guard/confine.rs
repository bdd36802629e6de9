//! Takes rights away from this process, one layer at a time, and becomes the command.
//!
//! Limits, the group, the death signal and `no_new_privs` must hold, or nothing is run; so must Landlock for files and the
//! filter of system calls, unless the operator does without. Name spaces are taken where the kernel gives them.

use super::{Missing, NICENESS, Orders, calls};
use crate::scratch;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};
use rustix::process::{
    Resource, Rlimit, Signal, getgid, getppid, getuid, nice, set_parent_process_death_signal, setrlimit, setsid,
};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, UnshareFlags, remove_capability_from_bounding_set,
    set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// As shells have it: it could not be run.
const NOT_RUN: i32 = 127;
const OPEN_FILES_MAX: u64 = 1024;
/// Beyond what the owner of the service runs already: its own threads count too, and other commands start meanwhile.
const PROCESS_SLACK: u64 = 128;

/// Only returns if the command could not be run; stderr says why.
pub fn confine(orders: &Orders, supervisor: i32, argv: &[OsString]) -> i32 {
    let why = match hold(orders).map(|()| lessen(orders)) {
        Ok(Err(missing)) => {
            let told =
                serde_json::to_vec(&missing).is_ok_and(|text| fs::write(scratch::unfenced(&orders.run), text).is_ok());
            format!("a fence is missing{}", if told { "" } else { ", and that could not be reported" })
        }
        Ok(Ok(())) if die_with(supervisor).is_err() => "the guard is gone".to_owned(),
        Ok(Ok(())) => {
            let mut command = Command::new(&argv[0]);
            command.args(&argv[1..]).current_dir(scratch::work(&orders.run));
            command.exec().to_string()
        }
        Err(e) => format!("its limits could not be set: {e}"),
    };
    let shown = argv[0].to_string_lossy();
    let _ = writeln!(std::io::stderr(), "{shown} could not be run: {why}");
    NOT_RUN
}

/// Last of all: the kernel forgets it when rights change.
fn die_with(supervisor: i32) -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(supervisor) {
        return Err(rustix::io::Errno::SRCH); // it died before the signal was set
    }
    Ok(())
}

/// What must hold.
fn hold(orders: &Orders) -> rustix::io::Result<()> {
    setsid()?;
    let limit = |resource, most: u64| {
        // a limit that is lower already stays
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |there| there.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Data, orders.memory_bytes)?;
    limit(Resource::Fsize, orders.scratch_bytes)?;
    limit(Resource::Nofile, OPEN_FILES_MAX)?;
    limit(Resource::Nproc, tasks_of_this_user() + u64::from(orders.processes) + PROCESS_SLACK)?;
    set_no_new_privs(true)
}

/// Processes and threads; the kernel counts them together, and root's not at all.
fn tasks_of_this_user() -> u64 {
    let own = getuid();
    if own.is_root() {
        return 0;
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter(|e| e.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let own = processes.filter(|e| e.metadata().is_ok_and(|m| m.uid() == own.as_raw()));
    // a folder a thread, and the links of the folder itself
    own.map(|e| fs::metadata(e.path().join("task")).map_or(0, |task| task.nlink().saturating_sub(2))).sum()
}

/// What the kernel may or may not give, and what it must unless the operator does without.
fn lessen(orders: &Orders) -> Result<(), Missing> {
    // the first to go when the machine is out of memory
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    if let Ok(niceness) = nice(NICENESS) {
        // `setsid` may have made a group of processes that the kernel compares with one another only; then the group's own
        // counts. Without root it takes one such order in 100 ms, so that some commands stay as they are
        let _ = fs::write("/proc/self/autogroup", niceness.to_string());
    }
    if !orders.network {
        leave_network();
    }
    drop_capabilities();
    let allowed = calls::Calls { network: orders.network, truncate: KernelFences::holds(AccessFs::Truncate) };
    let filtered = calls::filter(allowed).map_err(|_| Missing::Calls);
    if !orders.unfenced {
        filtered?;
    }
    match fence(orders) {
        Err(_) if !orders.unfenced => Err(Missing::Files),
        _ => Ok(()),
    }
}

/// Into a network without a device. Without root that takes a user name space, in which we stay who we are.
#[allow(deprecated)] // the other function is unsafe for the sake of flags that are not used here
fn leave_network() {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    if rustix::thread::unshare(UnshareFlags::NEWNET).is_ok() {
        return;
    }
    if rustix::thread::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).is_ok() {
        let _ = fs::write("/proc/self/setgroups", "deny");
        let _ = fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"));
        let _ = fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"));
    }
}

/// For a service that runs as root: the command is root by name only. Others have none to lose.
fn drop_capabilities() {
    let _ = set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED,
    );
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    let _ = set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none });
}

/// What Landlock of this kernel can hold, for whoever starts a service to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelFences {
    /// Reads and writes outside of the scratch folder (Linux 5.13).
    pub files: bool,
    /// TCP (Linux 6.7). All of the network is out of reach where name spaces can be made.
    pub tcp: bool,
    /// Signals to other processes (Linux 6.12).
    pub signals: bool,
}

impl KernelFences {
    /// Asks the kernel; restricts nothing.
    pub fn probe() -> Self {
        let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        KernelFences {
            files: Self::holds(AccessFs::from_all(ABI::V1)),
            tcp: strict().handle_access(AccessNet::from_all(ABI::V4)).is_ok(),
            signals: strict().scope(Scope::from_all(ABI::V6)).is_ok(),
        }
    }
}

impl KernelFences {
    fn holds(access: impl Into<BitFlags<AccessFs>>) -> bool {
        let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        strict.handle_access(access).is_ok()
    }
}

/// Landlock: writes stay in the scratch folder, reads in the places given, signals and abstract sockets inside, TCP only
/// where it is allowed. Of these, files are held or it fails, unless the operator does without.
fn fence(orders: &Orders) -> Result<(), RulesetError> {
    let abi = ABI::V6;
    let (write, read) = (AccessFs::from_write(abi), AccessFs::from_read(abi));
    let must = if orders.unfenced { CompatLevel::BestEffort } else { CompatLevel::HardRequirement };
    let mut rules = Ruleset::default()
        .set_compatibility(must)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(write | read)?
        .scope(Scope::from_all(abi))?;
    if !orders.network {
        rules = rules.handle_access(AccessNet::from_all(abi))?;
    }
    let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
    let of_devices = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::ReadFile;
    let rules = rules
        .create()?
        .add_rules(path_beneath_rules([scratch::work(&orders.run)], write | read))?
        .add_rules(path_beneath_rules(devices, of_devices))?
        .add_rules(path_beneath_rules(&orders.reads, read))?;
    rules.restrict_self().map(drop)
}
