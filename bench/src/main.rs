//! Benchmarks: Filemill beside the tools that a user would pick instead.
//!
//! Both sides of a row run in turns, in one run, on one disk, and their outputs are compared before anything counts.
//! What is printed are medians with CPU seconds, peak memory and the ratio; the targets are ratios wherever a peer
//! exists, since seconds of two runs say little on a busy machine. Nothing here is a test: no number fails a build.

mod connection;
mod input;
mod jobs;
mod machine;
mod peer;
mod process;
mod report;
mod service;
mod signing;
mod transfer;
mod workplace;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use jobs::Plan;
use std::path::PathBuf;
use workplace::Workplace;

/// Measure Filemill against the tools a user would pick instead
#[derive(Parser)]
#[command(name = "filemill-bench")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    job: Job,
    /// Rounds of each side; their median is printed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A folder on the disk to measure [default: beside this program]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The program to measure [default: `filemill` beside this program]
    #[arg(long)]
    filemill: Option<PathBuf>,
    /// MiB of the large file
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..))]
    large_mib: u64,
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The bare PUT-to-file server that large and durable uploads are compared with
    #[command(hide = true)]
    Peer(peer::Args),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Job {
    All,
    /// A line prefix for a large log: against sed
    Prefix,
    /// One large upload: against a bare PUT-to-file server
    PutLarge,
    /// Durable 1 KB uploads: against a bare server that syncs file and folder
    PutSmall,
    /// 1 KB, upload to readable result: against two syncs in series
    Latency,
    /// 1,000 files of 1 KB, upload to all results: against inotifywait and sed
    Burst,
    /// The service without work
    Idle,
}

type Measure = fn(&Plan<'_>) -> Result<Vec<report::Row>>;

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(Command::Peer(args)) = cli.command {
        return peer::run(&args);
    }
    let workplace = Workplace::new(cli.dir.as_deref(), cli.filemill.as_deref())?;
    let plan = Plan { workplace: &workplace, rounds: cli.rounds, large_bytes: cli.large_mib << 20 };
    let mut rows = Vec::new();
    let measures: [(Job, Measure); 6] = [
        (Job::Idle, jobs::idle::measure),
        (Job::Latency, jobs::latency::measure),
        (Job::PutSmall, jobs::put_small::measure),
        (Job::Burst, jobs::burst::measure),
        (Job::PutLarge, jobs::put_large::measure),
        (Job::Prefix, jobs::prefix::measure),
    ];
    for (job, measure) in measures {
        if cli.job == Job::All || cli.job == job {
            rows.extend(measure(&plan)?);
        }
    }
    let machine = machine::describe(workplace.path());
    if cli.json {
        println!("{}", report::json(&machine, cli.rounds, &rows));
    } else {
        print!("{}", report::markdown(&machine, cli.rounds, &rows));
    }
    Ok(())
}
