//! Whole programs beside each other, each making one file out of another: compared on a small input, then timed in turns.

use crate::jobs::{Plan, note};
use crate::process;
use crate::report::{Row, Side, Target};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command that makes an output (second) of an input (first).
pub type Maker<'a> = Box<dyn Fn(&Path, &Path) -> Result<Command> + 'a>;

pub struct Peer<'a> {
    pub name: &'static str,
    pub make: Maker<'a>,
    pub target: Target,
    /// A slow one need not run in every round.
    pub rounds_max: u32,
}

pub struct Contest<'a> {
    pub job: String,
    /// What an output is called: tools go by it.
    pub extension: &'static str,
    pub ours: Maker<'a>,
    pub peers: Vec<Peer<'a>>,
}

/// Wall seconds, CPU and memory of each, and the bytes of what it made.
pub struct Outcome {
    pub ours: Side,
    pub ours_bytes: u64,
    pub peers: Vec<Side>,
    pub peers_bytes: Vec<u64>,
}

impl<'a> Peer<'a> {
    pub fn new(name: &'static str, target: Target, make: Maker<'a>) -> Self {
        Peer { name, make, target, rounds_max: u32::MAX }
    }
}

impl Contest<'_> {
    /// Every output of `input` beside ours: `same` gets ours, theirs and whose it is, and fails where they differ.
    pub fn compare(
        &self,
        plan: &Plan<'_>,
        input: &Path,
        same: impl Fn(&Path, &Path, &Peer<'_>) -> Result<()>,
    ) -> Result<()> {
        let (ours, theirs) = (self.output(plan, "ours"), self.output(plan, "theirs"));
        finish(&mut (self.ours)(input, &ours)?)?;
        for peer in &self.peers {
            finish(&mut (peer.make)(input, &theirs)?)?;
            same(&ours, &theirs, peer).with_context(|| format!("{}: ours and {} differ", self.job, peer.name))?;
            fs::remove_file(&theirs)?;
        }
        Ok(fs::remove_file(&ours)?)
    }

    /// Each round everyone runs once; who goes first alternates.
    pub fn run(&self, plan: &Plan<'_>, input: &Path) -> Result<Outcome> {
        let count = self.peers.len();
        let mut outcome = Outcome {
            ours: Side::default(),
            ours_bytes: 0,
            peers: vec![Side::default(); count],
            peers_bytes: vec![0; count],
        };
        for round in 0..plan.rounds {
            note(&format!("{}: round {}", self.job, round + 1));
            for turn in 0..=count {
                match (turn + round as usize) % (count + 1) {
                    0 => outcome.ours_bytes = self.time(plan, input, &self.ours, &mut outcome.ours)?,
                    n if round < self.peers[n - 1].rounds_max => {
                        let (peer, side) = (&self.peers[n - 1], &mut outcome.peers[n - 1]);
                        outcome.peers_bytes[n - 1] = self.time(plan, input, &peer.make, side)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(outcome)
    }

    /// A row for each peer, or one without.
    pub fn rows(&self, outcome: &Outcome) -> Vec<Row> {
        let row =
            |job: &str, peer, target| Row { job: job.into(), unit: "s", ours: outcome.ours.clone(), peer, target };
        if self.peers.is_empty() {
            return vec![row(&self.job, None, Target::None)];
        }
        let names = std::iter::once(self.job.as_str()).chain(std::iter::repeat("the same"));
        let peers = self.peers.iter().zip(&outcome.peers).zip(names);
        peers.map(|((peer, side), name)| row(name, Some((peer.name, side.clone())), peer.target)).collect()
    }

    fn output(&self, plan: &Plan<'_>, name: &str) -> PathBuf {
        plan.workplace.path().join(format!("output-{name}.{}", self.extension))
    }

    fn time(&self, plan: &Plan<'_>, input: &Path, make: &Maker<'_>, side: &mut Side) -> Result<u64> {
        plan.workplace.settle();
        warm(input)?;
        let output = self.output(plan, "timed");
        let run = process::time(|| {
            let mut command = make(input, &output)?;
            command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))
        })?;
        side.add(run.wall.as_secs_f64(), run.cpu, run.peak_memory);
        let bytes = fs::metadata(&output)?.len();
        ensure!(bytes > 0, "{}: an output is empty", self.job);
        fs::remove_file(&output)?;
        Ok(bytes)
    }
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}

/// A command whose output is what it prints.
pub fn printing_to(output: &Path, mut command: Command) -> Result<Command> {
    command.stdout(File::create(output)?);
    Ok(command)
}

/// The input is in the page cache for whoever comes next.
pub fn warm(input: &Path) -> Result<()> {
    io::copy(&mut File::open(input)?, &mut io::sink())?;
    Ok(())
}
