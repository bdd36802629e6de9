//! Commands under the guard, for real: this test's own binary is the launcher when its first argument is `guard`, as the
//! service's binary is. It prints what libtest prints, and takes a part of a name to run only those tests.

#[path = "exec/bench.rs"]
mod bench;
#[path = "exec/cases.rs"]
mod cases;
#[path = "exec/fences.rs"]
mod fences;
#[path = "exec/kernel.rs"]
mod kernel;
#[path = "exec/service.rs"]
mod service;

use std::panic;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(first) if first == "guard" => return code(filemill_custom::guard_main(args)),
        Some(first) if kernel::lacks(&first) => return code(filemill_custom::guard_main(args)),
        Some(first) if first == service::NAME => return code(service::main(args)),
        Some(first) if first == "threads" => return many_threads(args.next(), args.next()),
        _ => {}
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if std::env::args().any(|arg| arg == "--list") {
        cases::ALL.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run(&filters)
}

/// A command of so many threads: for ever, so that only the guard ends it, or for many of the guard's looks.
fn many_threads(count: Option<std::ffi::OsString>, how_long: Option<std::ffi::OsString>) -> ExitCode {
    let ends = how_long.is_some_and(|how_long| how_long == "for-a-while");
    let count: usize = count.and_then(|n| n.to_str()?.parse().ok()).expect("how many");
    let over = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let wait = || drop(std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, || over.wait()));
        (1..count).for_each(|_| wait());
        if !ends {
            loop {
                std::thread::park();
            }
        }
        // nothing tells how often the guard has looked
        std::thread::sleep(std::time::Duration::from_millis(300));
        over.wait();
    });
    ExitCode::SUCCESS
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn run(filters: &[String]) -> ExitCode {
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let (started, mut passed, mut failed, mut left_out) = (Instant::now(), 0, Vec::new(), 0);
    println!("\nrunning {} tests", cases::ALL.iter().filter(|(name, _)| chosen(name)).count());
    for (name, test) in cases::ALL {
        if !chosen(name) {
            left_out += 1;
            continue;
        }
        let ok = panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        if ok { passed += 1 } else { failed.push(*name) }
    }
    if !failed.is_empty() {
        println!("\nfailures:\n    {}", failed.join("\n    "));
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    let (failures, seconds) = (failed.len(), started.elapsed().as_secs_f64());
    println!(
        "\ntest result: {word}. {passed} passed; {failures} failed; 0 ignored; 0 measured; {left_out} filtered out; finished in {seconds:.2}s\n"
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
