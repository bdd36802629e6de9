//! A filter of system calls: what crosses every other fence, or outlives the run, is answered with "not permitted".
//!
//! Sockets of the file system (D-Bus, a container engine's) belong to no network name space and are not Landlock's yet.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use std::collections::BTreeMap;

/// Never needed to turn bytes into bytes. Memory, queues and semaphores of System V and POSIX outlive their makers.
const NEVER: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // does what it is asked past this filter, sockets included
    libc::SYS_io_uring_setup,
];

/// Any family. A pair of sockets that is connected already (`socketpair`) stays allowed.
const NETWORK: &[i64] = &[libc::SYS_socket];

/// Of x86-64 the kernel may know a second table of calls, with this bit set and a number of its own for `ptrace`.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const X32_OWN: &[i64] = &[X32 | 521, X32 | 539, X32 | 540];

/// Cuts a file by its name; before Linux 6.2 no other fence holds that.
const TRUNCATE: &[i64] = &[libc::SYS_truncate];

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    pub network: bool,
    pub truncate: bool,
}

/// For this thread and what it starts, for good.
pub fn filter(allowed: Calls) -> Result<(), String> {
    let network = NETWORK.iter().filter(|_| !allowed.network);
    let truncate = TRUNCATE.iter().filter(|_| !allowed.truncate);
    let calls = NEVER.iter().chain(network).chain(truncate).copied();
    #[cfg(target_arch = "x86_64")]
    let calls = calls.flat_map(|call| [call, call | X32]).chain(X32_OWN.iter().copied());
    let rules: BTreeMap<i64, _> = calls.map(|call| (call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EACCES as u32);
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).map_err(|e| e.to_string())?;
    let program = BpfProgram::try_from(filter).map_err(|e| e.to_string())?;
    apply_filter(&program).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_file_is_cut_by_its_name_only_where_another_fence_holds_that() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let script = format!("print truncate('{}', 0) ? 'cut' : 'kept'", file.path().display());
        let cut = |truncate| {
            filter(Calls { network: true, truncate }).expect("a filter");
            Command::new("/usr/bin/perl").args(["-e", &script]).output().expect("an output").stdout
        };
        for (truncate, says) in [(true, "cut"), (false, "kept")] {
            // a filter is its thread's
            let said = std::thread::scope(|scope| scope.spawn(|| cut(truncate)).join()).expect("an output");
            assert_eq!(String::from_utf8_lossy(&said), says);
        }
    }
}
