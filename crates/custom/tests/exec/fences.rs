//! What a command cannot reach. One function a sentence; `cases` lists them.

use super::bench::Bench;
use super::kernel;
use filemill_custom::KernelFences;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Landlock came with Linux 5.13, its last part here with 6.12, and can be switched off.
fn has_landlock() -> bool {
    let has = KernelFences::probe() == KernelFences { files: true, tcp: true, signals: true };
    assert!(has || std::env::var_os("FILEMILL_TEST_ALL").is_none(), "this kernel has no Landlock");
    if !has {
        println!("skipped: this kernel has no Landlock");
    }
    has
}

pub fn writes_outside_of_the_scratch_folder_are_refused() {
    if !has_landlock() {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "mine").expect("a file");
    let (folder, file) = (outside.path().display(), victim.display());
    let script = format!(
        "echo ok >inside && cat inside; echo x 2>/dev/null >{folder}/new; echo x 2>/dev/null >>{file}; rm -f {file} 2>/dev/null; \
         mv inside {folder}/moved 2>/dev/null; ln -s {file} link; echo x 2>/dev/null >link; echo x >../ended.json; echo x >/dev/null; echo end"
    );
    assert_eq!(Bench::sh(&script, "").text(""), "ok\nend\n");
    assert_eq!(std::fs::read_to_string(&victim).expect("the file"), "mine");
    assert_eq!(outside.path().read_dir().expect("the folder").count(), 1);
}

pub fn the_network_is_out_of_reach() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let script = format!(
        "use IO::Socket::INET; print IO::Socket::INET->new(PeerAddr => '127.0.0.1:{port}') ? 'reached' : 'out of reach';"
    );
    let argv = ["/usr/bin/perl", "-e", &script];
    assert_eq!(Bench::of(&argv, "network = true").text(""), "reached");
    if has_landlock() {
        assert_eq!(Bench::of(&argv, "").text(""), "out of reach");
    }
    let own_network = Command::new("/usr/bin/unshare").args(["--map-root-user", "--net", "true"]).status();
    if own_network.is_ok_and(|status| status.success()) {
        let devices = Bench::sh("tail -n +3 /proc/self/net/dev | cut -d: -f1", "").text("");
        assert_eq!(devices.trim(), "lo", "a network with a device in it");
    }
}

pub fn only_what_a_program_needs_can_be_read() {
    if !has_landlock() {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("credentials.json");
    std::fs::write(&file, "secret").expect("a file");
    let script = format!(
        "echo x >f; cat f; id -un >/dev/null && ls ../.. 2>/dev/null; cat {} /etc/shadow 2>/dev/null; echo end",
        file.display()
    );
    assert_eq!(Bench::sh(&script, "").text(""), "x\nend\n");
    let narrow = "reads = [\"/usr\", \"/bin\", \"/lib\", \"/lib64\", \"/etc/ld.so.cache\"]";
    assert_eq!(Bench::sh("cat /etc/passwd 2>/dev/null; echo end", narrow).text(""), "end\n");
    let all = Bench::sh(&format!("cat {}", file.display()), "reads = [\"/\"]");
    assert_eq!(all.text(""), "secret");
}

pub fn a_program_reads_the_folder_that_it_lies_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("program");
    std::fs::write(folder.path().join("beside"), "beside").expect("a file");
    std::fs::write(&program, format!("#!/bin/sh\ncat {}/beside", folder.path().display())).expect("a file");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    assert_eq!(Bench::of(&[program.to_str().expect("a path")], "").text(""), "beside");
}

pub fn a_kernel_without_fences_runs_nothing_unless_the_operator_accepts_it() {
    for (launcher, says) in [(kernel::WITHOUT_LANDLOCK, "Landlock"), (kernel::WITHOUT_FILTERS, "system calls")] {
        let refused = Bench::below(launcher, "echo ran", "").run(b"").expect_err("a refusal");
        assert_eq!((refused.code.as_str(), refused.permanent), ("command_not_started", true), "{refused:?}");
        assert!(refused.message.contains(says) && refused.message.contains("unfenced = true"), "{refused:?}");
        assert_eq!(Bench::below(launcher, "echo ran", "unfenced = true").text(""), "ran\n");
    }
}

pub fn sockets_of_the_file_system_are_out_of_reach() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let script = format!(
        "use IO::Socket::UNIX; print IO::Socket::UNIX->new(Peer => '{}') ? 'reached' : 'out of reach';",
        path.display()
    );
    let argv = ["/usr/bin/perl", "-e", &script];
    assert_eq!(Bench::of(&argv, "network = true").text(""), "reached");
    assert_eq!(Bench::of(&argv, "").text(""), "out of reach");
    let pair = "use Socket; print socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) ? 'a pair' : 'none';";
    assert_eq!(Bench::of(&["/usr/bin/perl", "-e", pair], "").text(""), "a pair");
}

pub fn nothing_that_outlives_a_run_can_be_made() {
    let script = "print defined(shmget(0, 4096, 01600)) || defined(msgget(0, 01600)) || defined(semget(0, 1, 01600)) ? 'made' : $!;";
    assert_eq!(Bench::of(&["/usr/bin/perl", "-e", script], "network = true").text(""), "Permission denied");
}

pub fn what_is_open_in_the_service_is_not_open_in_its_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::fs::File::create(folder.path().join("of-the-service")).expect("a file");
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).expect("a flag");
    let listed = Bench::sh("ls -l /proc/$$/fd", "").text("");
    assert!(listed.contains("pipe:") && !listed.contains("of-the-service"), "{listed}");
}

pub fn nothing_else_can_be_signalled_or_looked_into() {
    if !has_landlock() {
        return;
    }
    let service = std::process::id();
    let script = format!(
        "kill -0 {service} 2>/dev/null && echo service; kill -0 $(cut -d' ' -f4 /proc/$$/stat) 2>/dev/null && echo guard; \
         cat /proc/{service}/environ >/dev/null 2>&1 && echo environment; echo end"
    );
    assert_eq!(Bench::sh(&script, "").text(""), "end\n");
}

pub fn no_rights_are_left_to_gain() {
    let text = Bench::sh("grep -E '^(NoNewPrivs|CapEff|CapPrm|CapBnd):' /proc/self/status; ulimit -c", "").text("");
    assert!(text.contains("NoNewPrivs:\t1") && text.ends_with("\n0\n"), "{text}");
    for name in ["CapEff", "CapPrm"] {
        assert!(text.contains(&format!("{name}:\t0000000000000000")), "{text}");
    }
}
