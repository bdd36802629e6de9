//! Work inside of one process: a child that reads documents, works on them against the clock, and says how long it took.
//!
//! Ours is this program itself with the processor built in; a Python peer is a script with the same manners: it gets a
//! JSON array of texts and a path for the results, and prints `{"wall": seconds, "cpu": seconds}` of the work alone.

use crate::process;
use crate::report::Side;
use anyhow::{Context, Result, ensure};
use filemill_core::ports::{
    Chunk, InputFacts, ProcessError, Processor, Pulse, RejectSink, SourceInfo, SourceName, Sources, Transform, Work,
};
use filemill_core::reject::Reject;
use filemill_processors::{markdown, sentiment};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    work: Kind,
    documents: PathBuf,
    results: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    Markdown,
    Sentiment,
}

/// The child's part. What is set up once in a process is set up before the clock starts, on both sides.
pub fn run(args: &Args) -> Result<()> {
    let texts: Vec<String> = serde_json::from_str(&fs::read_to_string(&args.documents)?)?;
    let (took, results) = match args.work {
        Kind::Markdown => {
            let transform = prepared(&markdown::MarkdownToHtml)?;
            process(&*transform, "first")?;
            clocked(|| texts.iter().map(|text| process(&*transform, text)).collect::<Result<Vec<_>>>())?
        }
        Kind::Sentiment => {
            let (transform, text) = (prepared(&sentiment::TextSentiment)?, texts.join("\n"));
            process(&*transform, "first")?;
            clocked(|| Ok(vec![process(&*transform, &text)?]))?
        }
    };
    let results: Vec<String> = results.into_iter().map(String::from_utf8).collect::<Result<_, _>>()?;
    fs::write(&args.results, serde_json::to_vec(&results)?)?;
    println!("{took}");
    Ok(())
}

fn clocked<T>(work: impl FnOnce() -> Result<T>) -> Result<(Value, T)> {
    let (begun, cpu_before) = (Instant::now(), cpu());
    let done = work()?;
    let took = json!({ "wall": begun.elapsed().as_secs_f64(), "cpu": (cpu() - cpu_before).as_secs_f64() });
    Ok((took, done))
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().unwrap_or(0))
}

fn prepared(processor: &dyn Processor) -> Result<Box<dyn Transform>> {
    processor.prepare(&Map::new()).map_err(anyhow::Error::msg)
}

fn process(transform: &dyn Transform, text: &str) -> Result<Vec<u8>> {
    let facts = InputFacts { key: "document", size: text.len() as u64, content_type: None, etag: None };
    let mut output = Vec::new();
    let mut work = Work {
        input: &mut text.as_bytes(),
        output: &mut output,
        rejects: &mut Nothing,
        sources: &Nothing,
        pulse: &Nothing,
    };
    transform.process(&Chunk::whole(facts), &mut work)?;
    Ok(output)
}

/// No other objects, nobody who waits; a reject would be a fault of the benchmark.
struct Nothing;

impl RejectSink for Nothing {
    fn reject(&mut self, _reject: &Reject<'_>) -> io::Result<()> {
        Err(io::Error::other("nothing is rejected here"))
    }
}

impl Pulse for Nothing {
    fn beat(&self) {}

    fn is_stopped(&self) -> bool {
        false
    }
}

impl Sources for Nothing {
    fn find(&self, _source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        Ok(None)
    }

    fn open(&self, _source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        Err(ProcessError::input("source_missing", "there are no sources here"))
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        Err(ProcessError::input("no_link", "there are no links here"))
    }
}

/// This program as such a child.
pub fn ours(kind: Kind) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot tell where this program is")?);
    command.arg("inside").arg(match kind {
        Kind::Markdown => "markdown",
        Kind::Sentiment => "sentiment",
    });
    Ok(command)
}

/// Seconds of the work alone, and the process's peak memory.
pub struct Worked {
    pub wall: f64,
    pub cpu: f64,
    peak_memory: u64,
}

impl Worked {
    pub fn add_to(&self, per_second: &mut Side, per_cpu_second: &mut Side, amount: f64) {
        per_second.add(amount / self.wall, Duration::from_secs_f64(self.cpu), self.peak_memory);
        per_cpu_second.values.push(amount / self.cpu);
    }
}

/// Runs such a child and reads what it says.
pub fn time(command: impl Fn() -> Result<Command>, documents: &Path, results: &Path) -> Result<Worked> {
    let said = results.with_extension("said");
    let run = process::time(|| {
        let mut command = command()?;
        command.arg(documents).arg(results).stdout(Stdio::from(File::create(&said)?));
        command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))
    })?;
    let took: Value = serde_json::from_str(&fs::read_to_string(&said)?).context("a child said no times")?;
    let seconds = |name: &str| took[name].as_f64().filter(|s| *s > 0.0);
    let times = seconds("wall").zip(seconds("cpu"));
    ensure!(times.is_some(), "a child said {took}");
    let (wall, cpu) = times.unwrap_or_default();
    Ok(Worked { wall, cpu, peak_memory: run.peak_memory })
}
