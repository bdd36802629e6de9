//! The one binary: the service, the demo, one-shot runs and the client commands.
//!
//! Here everything is put together and nothing is decided: commands live in `cli`, one file each; what they share
//! beside them. The only file that names adapters is `backends.rs`.

mod backends;
mod cli;
mod client;
mod clock;
mod config;
mod credentials;
mod demo;
mod exit;
mod logs;
mod output;
mod progress;
mod service;
#[cfg(feature = "otel")]
mod traces;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // an operator's command runs under this same program, which is then no more than its guard
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == backends::GUARD) {
        let code = filemill_custom::guard_main(args);
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    exit::report(cli::Cli::parse().run())
}
