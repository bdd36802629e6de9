//! What a command may read where its definition does not say: programs, libraries and what they need to start.
//!
//! Nothing of the service's own is among it, and no secrets of the machine. The input comes by stdin.

use std::path::{Path, PathBuf};

/// What is not there is left out. `/proc` is whole: the kernel ties such a rule to one process, so that `/proc/self`
/// would not hold for the command's children; into processes outside of the fence nobody looks all the same.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/sys/devices/system/cpu",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/mime.types",
    "/etc/magic",
    "/etc/fonts",
    "/etc/perl",
];

/// The system's folders, and the one that `program` lies in.
pub fn usual(program: &Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let own = program.parent().filter(|folder| folder.parent().is_some());
    // a program in the root folder itself does not open all of it
    places.push(own.unwrap_or(program).to_owned());
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_the_program_is_among_them_and_the_root_never() {
        assert!(usual(Path::new("/srv/tools/x")).contains(&PathBuf::from("/srv/tools")));
        let of_the_root = usual(Path::new("/x"));
        assert!(of_the_root.contains(&PathBuf::from("/x")) && !of_the_root.contains(&PathBuf::from("/")));
    }
}
