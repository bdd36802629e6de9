//! Benchmarks: Filemill beside the tools that a user would pick instead.
//!
//! Both sides of a row run in turns, in one run, on one disk, and their outputs are compared before anything counts.
//! What is printed are medians with CPU seconds, peak memory and the ratio; the targets are ratios wherever a peer
//! exists, since seconds of two runs say little on a busy machine. Nothing here is a test: no number fails a build.

mod connection;
mod contest;
mod input;
mod inside;
mod jobs;
mod machine;
mod peer;
mod process;
mod queues;
mod report;
mod service;
mod signing;
mod soak;
mod toolbox;
mod transfer;
mod workplace;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use jobs::Plan;
use std::net::SocketAddr;
use std::path::PathBuf;
use toolbox::Toolbox;
use workplace::Workplace;

/// As in the program that is measured, for what is measured inside of this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// The folder of peers that bench/peers.sh filled [default: `peers` beside the folder of this program]
    #[arg(long)]
    peers: Option<PathBuf>,
    /// MiB of the large file
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..))]
    large_mib: u64,
    /// MiB of the tables that whole programs convert
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    medium_mib: u64,
    /// How many small files, for archives and Markdown
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    files: u64,
    /// A PostgreSQL on the same disk, for queues: "host=127.0.0.1 port=5432 user=postgres"
    #[arg(long)]
    postgres: Option<String>,
    /// A Redis on the same disk, for queues: 127.0.0.1:6379
    #[arg(long)]
    redis: Option<SocketAddr>,
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Seven tenths of the capacity for minutes or hours, and whether the service stays as it was
    Soak(soak::Args),
    /// The bare PUT-to-file server that large and durable uploads are compared with
    #[command(hide = true)]
    Peer(peer::Args),
    /// Documents that are worked on in one process, against the clock
    #[command(hide = true)]
    Inside(inside::Args),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Job {
    All,
    /// Those that follow down to sentiment
    Transforms,
    /// CSV to JSON: against Python, qsv and polars
    Csv,
    /// JSON Lines to CSV: against qsv and polars
    Json,
    /// Markdown: against python-markdown and cmark-gfm
    Markdown,
    /// Archives: against info-zip, cat and Python's zipfile
    Zip,
    /// Sentiment: against vaderSentiment
    Sentiment,
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
    /// Cycles of messages: against PostgreSQL and Redis, where their addresses are given
    Queue,
    /// The live feed with 1,000 listeners
    Listeners,
    /// Good jobs beside one in ten that fails, hangs, dies or eats memory: against the same without
    Poison,
    /// The service without work
    Idle,
}

impl Job {
    fn covers(self, job: Job) -> bool {
        let is_transform = matches!(job, Job::Csv | Job::Json | Job::Markdown | Job::Zip | Job::Sentiment);
        self == Job::All || self == job || (self == Job::Transforms && is_transform)
    }
}

type Measure = fn(&Plan<'_>) -> Result<Vec<report::Row>>;

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Soak(args)) => return soak::run(&args),
        Some(Command::Peer(args)) => return peer::run(&args),
        Some(Command::Inside(args)) => return inside::run(&args),
        None => {}
    }
    let workplace = Workplace::new(cli.dir.as_deref(), cli.filemill.as_deref())?;
    let plan = Plan {
        workplace: &workplace,
        toolbox: &Toolbox::new(cli.peers.as_deref())?,
        rounds: cli.rounds,
        large_bytes: cli.large_mib << 20,
        medium_bytes: cli.medium_mib << 20,
        files: cli.files,
        postgres: cli.postgres.as_deref(),
        redis: cli.redis,
    };
    let mut rows = Vec::new();
    let measures: [(Job, Measure); 14] = [
        (Job::Idle, jobs::idle::measure),
        (Job::Latency, jobs::latency::measure),
        (Job::PutSmall, jobs::put_small::measure),
        (Job::Burst, jobs::burst::measure),
        (Job::Queue, jobs::queue::measure),
        (Job::Listeners, jobs::listeners::measure),
        (Job::Poison, jobs::poison::measure),
        (Job::PutLarge, jobs::put_large::measure),
        (Job::Prefix, jobs::prefix::measure),
        (Job::Csv, jobs::csv::measure),
        (Job::Json, jobs::json::measure),
        (Job::Markdown, jobs::markdown::measure),
        (Job::Zip, jobs::zip::measure),
        (Job::Sentiment, jobs::sentiment::measure),
    ];
    for (job, measure) in measures {
        if cli.job.covers(job) {
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
