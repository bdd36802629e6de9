//! One function a sentence. Each waits for what it is about, never for time to pass.

use super::bench::{Bench, Calm, mark, processes_with, run_chunk, transform, until};
use super::fences::*;
use filemill_core::chunks::{ChunkLimits, ChunkPlan};
use filemill_core::ports::{Chunk, InputFacts, Load, Pulse};
use filemill_custom::Launcher;
use serde_json::json;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

type Case = (&'static str, fn());

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub const ALL: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases! {
    a_command_turns_its_stdin_into_the_result,
    two_hundred_megabytes_pass_in_both_directions_at_once,
    lines_cut_into_chunks_give_what_the_whole_gives,
    no_shell_reads_the_arguments,
    the_environment_holds_what_is_documented_and_nothing_else,
    options_that_are_declared_reach_the_command,
    a_key_with_control_characters_reaches_the_command_harmless,
    a_command_may_leave_its_input_unread,
    input_that_fails_is_no_end_of_input,
    an_exit_code_and_the_last_words_reach_the_uploader,
    code_75_is_tried_again,
    a_program_that_is_not_there_says_so,
    a_signal_is_told,
    the_scratch_folder_is_gone_afterwards_even_if_locked,
    an_endless_loop_ends_in_time,
    a_command_that_ignores_being_asked_is_killed,
    what_a_command_leaves_running_ends_with_it_and_is_told,
    what_a_child_writes_last_belongs_to_the_result,
    threads_are_counted,
    a_command_gives_way_to_the_service,
    a_folder_for_temporary_files_that_is_not_utf_8_is_an_error_in_words,
    a_grandchild_in_a_session_of_its_own_ends_in_time,
    a_fork_bomb_is_ended_and_leaves_nothing,
    a_memory_hog_fails,
    many_that_share_out_the_memory_are_ended,
    an_endless_output_is_cut_at_its_limit,
    a_scratch_folder_that_overflows_ends_the_command,
    folders_too_deep_to_measure_end_the_command_and_go,
    files_without_a_name_fill_the_scratch_folder_too,
    the_scratch_folder_is_its_owners_alone,
    a_command_that_waits_for_something_rests,
    a_command_that_computes_does_not_rest,
    a_cancelled_job_ends_its_command,
    what_a_crash_left_is_cleared_at_the_next_start,
    writes_outside_of_the_scratch_folder_are_refused,
    the_network_is_out_of_reach,
    only_what_a_program_needs_can_be_read,
    a_program_reads_the_folder_that_it_lies_in,
    a_kernel_without_fences_runs_nothing_unless_the_operator_accepts_it,
    sockets_of_the_file_system_are_out_of_reach,
    nothing_that_outlives_a_run_can_be_made,
    what_is_open_in_the_service_is_not_open_in_its_commands,
    nothing_else_can_be_signalled_or_looked_into,
    no_rights_are_left_to_gain,
    a_service_that_is_killed_takes_its_commands_along,
    a_guard_that_is_killed_takes_its_command_along,
}

fn a_command_turns_its_stdin_into_the_result() {
    let upper = Bench::of(&["/usr/bin/tr", "a-z", "A-Z"], "");
    assert_eq!(upper.text("hello\nworld"), "HELLO\nWORLD");
    assert_eq!(upper.text(""), "");
}

fn two_hundred_megabytes_pass_in_both_directions_at_once() {
    const BYTES: u64 = 200 << 20;
    struct Counting(u64);
    impl Write for Counting {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            assert!(buf.iter().all(|b| *b == 0x5a), "a foreign byte");
            self.0 += buf.len() as u64;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let cat = Bench::of(&["/bin/cat"], "");
    let facts = InputFacts { key: "k", size: BYTES, content_type: None, etag: None };
    let mut output = Counting(0);
    let ran = run_chunk(&*cat.transform, &Chunk::whole(facts), &mut io::repeat(0x5a).take(BYTES), &mut output, &Calm);
    assert_eq!((ran, output.0), (Ok(()), BYTES));
}

fn lines_cut_into_chunks_give_what_the_whole_gives() {
    let upper = Bench::of(&["/usr/bin/tr", "a-z", "A-Z"], "per = \"chunk\"\nlines_independent = true");
    let input = b"one\ntwo\r\n\na much longer line than a chunk is\nlast";
    let facts = InputFacts { key: "k", size: input.len() as u64, content_type: None, etag: None };
    let cut = upper.transform.cut(facts);
    let plan = ChunkPlan::of(facts.size, cut, ChunkLimits { chunk_bytes: 7, chunks_max: 100 });
    let survey = upper.transform.survey(&plan, &mut &input[..]).expect("a survey");
    assert!(survey.starts.len() >= 3, "{survey:?}");
    let mut output = Vec::new();
    for (index, start) in (0..).zip(&survey.starts) {
        let range = survey.range(index, facts.size);
        let mut bytes = &input[range.start as usize..range.end as usize];
        let chunk = Chunk { range, index, line: start.line, ..Chunk::whole(facts) };
        run_chunk(&*upper.transform, &chunk, &mut bytes, &mut output, &Calm).expect("a chunk");
    }
    assert_eq!(output, input.to_ascii_uppercase());
}

fn no_shell_reads_the_arguments() {
    let odd = ["a b", "\"'", ";touch x", "$(id)", "`id`", "*", "", "--", "-n\n", "é"];
    let echo = Bench::of(&[&["/usr/bin/printf", "[%s]"], &odd[..]].concat(), "");
    assert_eq!(echo.text(""), odd.map(|arg| format!("[{arg}]")).concat());
}

fn the_environment_holds_what_is_documented_and_nothing_else() {
    let env = Bench::of(&["/usr/bin/env"], "env = { LC_ALL = \"C\" }");
    let text = env.text("abc");
    let mut names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    let expected = [
        "FILEMILL_BYTES",
        "FILEMILL_CHUNK",
        "FILEMILL_CONTENT_TYPE",
        "FILEMILL_KEY",
        "FILEMILL_LINE",
        "HOME",
        "LC_ALL",
        "PATH",
        "TMPDIR",
    ];
    assert_eq!(names, expected);
    for line in ["FILEMILL_BYTES=3", "FILEMILL_KEY=input.txt", "LC_ALL=C", "PATH=/usr/local/bin:/usr/bin:/bin"] {
        assert!(text.lines().any(|l| l == line), "{text}");
    }
    let folders = Bench::sh("pwd; echo $HOME; echo $TMPDIR", "").text("");
    let folders: Vec<&str> = folders.lines().collect();
    assert!(folders[0].ends_with("/work") && folders[1..] == [folders[0]; 2], "{folders:?}");
    // its stdin, stdout, stderr, and the folder that is being listed
    assert_eq!(Bench::sh("ls /proc/self/fd | wc -l", "").text("").trim(), "4");
}

fn options_that_are_declared_reach_the_command() {
    let bench = Bench::with(
        &["/bin/sh", "-c", "echo \"$FILEMILL_OPTION_LANG\""],
        "options = [\"lang\"]",
        &json!({ "lang": "d e;x" }),
    );
    assert_eq!(bench.text(""), "d e;x\n");
}

fn a_key_with_control_characters_reaches_the_command_harmless() {
    let bench = Bench::sh("printf %s \"$FILEMILL_KEY\"", "");
    let output = bench.run_on("a\n\u{1b}[2J\0;é", b"", &Calm).expect("a result");
    assert_eq!(String::from_utf8_lossy(&output), "a\u{fffd}\u{fffd}[2J\u{fffd};é");
}

fn a_command_may_leave_its_input_unread() {
    let large = vec![b'x'; 3 << 20];
    assert_eq!(Bench::sh("echo done", "").run(&large).expect("a result"), b"done\n");
    assert_eq!(Bench::sh("exec <&-; sleep 0.1; echo done", "").run(&large).expect("a result"), b"done\n");
    assert_eq!(Bench::sh("head -c 5", "").run(&large).expect("a result"), b"xxxxx");
}

fn input_that_fails_is_no_end_of_input() {
    struct Breaks(u32);
    impl Read for Breaks {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 3 {
                return Err(io::Error::other("the store is gone"));
            }
            buf.fill(b'x');
            Ok(buf.len())
        }
    }
    let cat = Bench::of(&["/bin/cat"], "");
    let facts = InputFacts { key: "k", size: u64::MAX, content_type: None, etag: None };
    let failed = run_chunk(&*cat.transform, &Chunk::whole(facts), &mut Breaks(0), &mut io::sink(), &Calm);
    assert_eq!(failed.expect_err("the failure").message, "the store is gone");
    assert_eq!(cat.leftovers(), [""; 0].map(std::path::PathBuf::from));
}

fn an_exit_code_and_the_last_words_reach_the_uploader() {
    let bench = Bench::sh("yes chatter | head -c 100000 >&2; echo 'row 7: no such colour' >&2; echo >&2; exit 3", "");
    let error = bench.run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_failed", true));
    assert_eq!(error.message, "the command of own ended with code 3: row 7: no such colour");
    let detail = error.detail.expect("a detail");
    assert!(detail.len() < 2100 && detail.contains("chatter") && detail.ends_with("colour"), "{detail}");
}

fn code_75_is_tried_again() {
    let error = Bench::sh("exit 75", "").run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_failed", false));
}

fn a_program_that_is_not_there_says_so() {
    let error = Bench::of(&["/usr/bin/no-such-program"], "").run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_failed", true));
    assert!(error.message.contains("/usr/bin/no-such-program could not be run: No such file"), "{}", error.message);
}

fn a_signal_is_told() {
    let error = Bench::sh("kill -SEGV $$", "").run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_killed", true));
    assert!(error.message.contains("signal 11"), "{}", error.message);
    let error = Bench::sh("kill -KILL $$", "").run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_killed", false));
}

fn the_scratch_folder_is_gone_afterwards_even_if_locked() {
    let bench = Bench::sh("mkdir -p a/b c; echo x >a/b/f; ln -s / out; chmod 000 a/b; chmod 500 c a; cat", "");
    assert_eq!(bench.text("x"), "x");
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());
    let killed = Bench::sh("mkdir d; echo x >d/f; while :; do :; done", "timeout = \"300ms\"");
    assert!(killed.run(b"").is_err() && killed.leftovers().is_empty());
}

fn an_endless_loop_ends_in_time() {
    let started = Instant::now();
    let error = Bench::sh("while :; do :; done", "timeout = \"300ms\"").run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_timed_out", true));
    assert!(error.message.contains("longer than 300ms"), "{}", error.message);
    assert!(started.elapsed() < Duration::from_secs(10));
}

fn a_command_that_ignores_being_asked_is_killed() {
    let bench = Bench::sh("trap '' TERM; while :; do :; done", "timeout = \"200ms\"");
    assert_eq!(bench.run(b"").expect_err("a failure").code, "command_timed_out");
}

fn what_a_command_leaves_running_ends_with_it_and_is_told() {
    let time = mark(1);
    let bench = Bench::sh(&format!("sleep {time} & setsid sleep {time} & echo done"), "");
    let error = bench.run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_left_processes", true));
    assert!(processes_with(&time).is_empty());
    // one that fails is not waited for
    let started = Instant::now();
    let failed = Bench::sh(&format!("sleep {time} & exit 3"), "").run(b"").expect_err("a failure");
    assert_eq!(failed.code, "command_failed");
    assert!(processes_with(&time).is_empty() && started.elapsed() < Duration::from_secs(2));
}

fn what_a_child_writes_last_belongs_to_the_result() {
    let bench = Bench::sh("(setsid sh -c 'sleep 0.3; echo last') & echo first", "");
    assert_eq!(bench.text(""), "first\nlast\n");
}

fn threads_are_counted() {
    let own = std::env::current_exe().expect("this program");
    let own = own.to_str().expect("a path");
    let error = Bench::of(&[own, "threads", "20", "for-ever"], "processes = 2").run(b"").expect_err("a failure");
    assert!(error.message.contains("more than 16 threads") && error.permanent, "{error:?}");
    assert_eq!(Bench::of(&[own, "threads", "20", "for-a-while"], "processes = 3").text("x"), "");
}

fn a_command_gives_way_to_the_service() {
    let own = Command::new("/usr/bin/nice").output().expect("a niceness").stdout;
    let own: i32 = String::from_utf8_lossy(&own).trim().parse().expect("a number");
    let niceness = (own + 10).min(19);
    assert_eq!(Bench::sh("nice", "").text("").trim(), niceness.to_string());
    let group = Bench::sh("cat /proc/self/autogroup || true", "reads = [\"/\"]").text("");
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if is_root && !group.is_empty() {
        assert!(group.trim().ends_with(&format!("nice {niceness}")), "{group}");
    }
}

fn a_folder_for_temporary_files_that_is_not_utf_8_is_an_error_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = folder.path().join(OsStr::from_bytes(b"odd-\xff"));
    std::fs::create_dir(&odd).expect("a folder");
    let cat = transform(&odd, &["/bin/cat"], "", &serde_json::Map::new());
    let facts = InputFacts { key: "k", size: 0, content_type: None, etag: None };
    let error =
        run_chunk(&*cat, &Chunk::whole(facts), &mut io::empty(), &mut io::sink(), &Calm).expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_not_started", true));
    assert_eq!(odd.read_dir().expect("the folder").count(), 0);
}

fn a_grandchild_in_a_session_of_its_own_ends_in_time() {
    let time = mark(2);
    let script = format!("(setsid sh -c 'trap \"\" TERM HUP; sleep {time} & sleep {time}' &) ; sleep {time}");
    let bench = Bench::sh(&script, "timeout = \"500ms\"");
    assert_eq!(bench.run(b"").expect_err("a failure").code, "command_timed_out");
    assert!(processes_with(&time).is_empty());
}

/// At most 300, whatever the guard does.
fn a_fork_bomb_is_ended_and_leaves_nothing() {
    let time = mark(3);
    let script = format!("i=0; while [ $i -lt 300 ]; do setsid sleep {time} & i=$((i+1)); done; wait");
    let error = Bench::sh(&script, "processes = 16").run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_killed", true));
    assert!(error.message.contains("more than 16 processes"), "{}", error.message);
    assert!(processes_with(&time).is_empty());
}

fn a_memory_hog_fails() {
    let bench = Bench::of(&["/usr/bin/perl", "-e", "my $x = 'x' x (1 << 30); print length $x;"], "memory = \"128MiB\"");
    let error = bench.run(b"").expect_err("a failure");
    assert!(["command_failed", "command_killed"].contains(&error.code.as_str()), "{error:?}");
}

/// Each stays below the limit of one process; together they are above.
fn many_that_share_out_the_memory_are_ended() {
    let one = "perl -e '$x = \"x\" x (60 << 20); sleep 100' &";
    let error = Bench::sh(&format!("{one} {one} {one} wait"), "memory = \"150MiB\"").run(b"").expect_err("a failure");
    assert!(error.message.contains("of memory") && error.permanent, "{}", error.message);
}

fn an_endless_output_is_cut_at_its_limit() {
    let bench = Bench::of(&["/usr/bin/yes"], "output_max = \"1MiB\"");
    let error = bench.run(b"").expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_output_too_large", true));
    assert!(bench.leftovers().is_empty());
}

fn a_scratch_folder_that_overflows_ends_the_command() {
    let one = Bench::sh("head -c 3000000 /dev/zero >f", "scratch_max = \"1MiB\"").run(b"").expect_err("a failure");
    assert!(["command_failed", "command_killed"].contains(&one.code.as_str()), "{one:?}");
    let script = "i=0; while [ $i -lt 50 ]; do head -c 100000 /dev/zero >f$i; i=$((i+1)); done; sleep 100";
    let many = Bench::sh(script, "scratch_max = \"1MiB\"").run(b"").expect_err("a failure");
    assert!(many.message.contains("scratch folder"), "{many:?}");
}

fn folders_too_deep_to_measure_end_the_command_and_go() {
    let script = "for (1..1200) { mkdir 'd'; chdir 'd' } sleep 100";
    let bench = Bench::of(&["/usr/bin/perl", "-e", script], "");
    let error = bench.run(b"").expect_err("a failure");
    assert!(error.message.contains("too deep") && error.permanent, "{error:?}");
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());
}

fn files_without_a_name_fill_the_scratch_folder_too() {
    let script = "open my $f, '+>', 'f' or die; unlink 'f'; $| = 1; print $f 'x' x 300_000; \
                  open my $g, '+>', 'f' or die; unlink 'f'; print $g 'x' x 800_000; $g->flush; $f->flush; sleep 100";
    let bench =
        Bench::of(&["/usr/bin/perl", "-MIO::Handle", "-e", script], "scratch_max = \"1MiB\"\ntimeout = \"20s\"");
    let error = bench.run(b"").expect_err("a failure");
    assert!(error.message.contains("scratch folder"), "{error:?}");
}

fn the_scratch_folder_is_its_owners_alone() {
    assert_eq!(Bench::sh("stat -c %a . ..", "reads = [\"/\"]").text(""), "700\n700\n");
}

/// What it takes, until it rests or ends.
struct Rests(Mutex<Vec<Load>>);

impl Pulse for Rests {
    fn beat(&self) {}
    fn is_stopped(&self) -> bool {
        self.0.lock().expect("what it took").contains(&Load::Rest)
    }
    fn takes(&self, load: Load) {
        self.0.lock().expect("what it took").push(load);
    }
}

fn a_command_that_waits_for_something_rests() {
    let time = mark(7);
    for script in [format!("exec sleep {time}"), format!("cat; (echo x; sleep {time}) | cat")] {
        let pulse = Rests(Mutex::default());
        let error = Bench::sh(&script, "").run_on("k", b"y", &pulse).expect_err("stopped when it rests");
        assert_eq!(error.message, "the work was stopped", "{script}");
        assert_eq!(pulse.0.lock().expect("what it took").first(), Some(&Load::Half), "{script}");
    }
}

fn a_command_that_computes_does_not_rest() {
    let script = "n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done; echo done";
    for script in [script.to_owned(), format!("sh -c '{script}'; true")] {
        let pulse = Rests(Mutex::default());
        assert_eq!(Bench::sh(&script, "").run_on("k", b"", &pulse).expect("a result"), b"done\n");
        assert!(pulse.0.lock().expect("what it took").len() > 2, "that was too short to show anything");
    }
}

fn a_cancelled_job_ends_its_command() {
    /// Stops once the command runs.
    struct StopsAt(String, AtomicBool, AtomicU32);
    impl Pulse for StopsAt {
        fn beat(&self) {
            self.2.fetch_add(1, Ordering::Relaxed);
            if !processes_with(&self.0).is_empty() {
                self.1.store(true, Ordering::Relaxed);
            }
        }
        fn is_stopped(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }
    }
    let time = mark(4);
    let pulse = StopsAt(time.clone(), AtomicBool::new(false), AtomicU32::new(0));
    // it even keeps the guard's life line open
    let bench = Bench::sh(&format!("exec 9<>/dev/stderr; sleep {time} & sleep {time}"), "");
    assert!(bench.run_on("k", b"", &pulse).is_err());
    assert!(pulse.2.load(Ordering::Relaxed) > 0, "no sign of life");
    assert!(processes_with(&time).is_empty() && bench.leftovers().is_empty());
}

fn what_a_crash_left_is_cleared_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let launcher = |scratch| Launcher { program: "/proc/self/exe".into(), args: Vec::new(), scratch };
    std::fs::create_dir_all(folder.path().join("filemill-exec-1/work/a")).expect("a folder");
    std::fs::write(folder.path().join("other"), "").expect("a file");
    launcher(Some(folder.path().to_owned())).clear_scratch().expect("cleared");
    let left: Vec<_> = folder.path().read_dir().expect("the folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["other"]);
    launcher(None).clear_scratch().expect("nothing to do");
    launcher(Some(folder.path().join("not-there"))).clear_scratch().expect("nothing to do");
}

fn a_service_that_is_killed_takes_its_commands_along() {
    let (time, scratch) = (mark(5), tempfile::tempdir().expect("a folder"));
    let script = format!("exec 9<>/dev/stderr; trap '' TERM HUP; setsid sleep {time} & sleep {time}; wait");
    let mut service = Command::new("/proc/self/exe")
        .args([super::service::NAME.as_ref(), scratch.path().as_os_str(), script.as_ref()])
        .spawn()
        .expect("a service");
    until("both sleep", || processes_with(&format!("sleep\0{time}")).len() == 2);
    service.kill().expect("a signal");
    assert_eq!(service.wait().expect("its end").signal(), Some(9));
    until("nothing runs", || processes_with(&time).is_empty());
    until("the scratch folder is gone", || scratch.path().read_dir().is_ok_and(|mut d| d.next().is_none()));
}

fn a_guard_that_is_killed_takes_its_command_along() {
    struct KillsTheGuard(String, AtomicBool);
    impl Pulse for KillsTheGuard {
        fn beat(&self) {
            if self.1.load(Ordering::Relaxed) || processes_with(&format!("sleep\0{}", self.0)).len() < 2 {
                return;
            }
            for guard in processes_with("supervise") {
                if processes_with(&self.0).contains(&guard) {
                    let _ = Command::new("/bin/kill").args(["-KILL", &guard.to_string()]).status();
                    self.1.store(true, Ordering::Relaxed);
                }
            }
        }
        fn is_stopped(&self) -> bool {
            false
        }
    }
    let time = mark(6);
    let bench = Bench::sh(&format!("setsid sleep {time} & exec sleep {time}"), "");
    let error = bench.run_on("k", b"", &KillsTheGuard(time.clone(), AtomicBool::new(false))).expect_err("a failure");
    assert_eq!((error.code.as_str(), error.permanent), ("command_killed", false));
    assert!(processes_with(&time).is_empty());
    assert!(bench.leftovers().is_empty());
}
