//! CSV to JSON: as whole programs on one thread, and as a job of the running service on all cores.
//!
//! Every value stays text on our side, on Python's and on polars'. qsv guesses types and writes numbers anew; what it
//! makes is compared with that in mind. The service's result is compared with what the program makes in one pass, which
//! itself was compared with the peers'.

use super::stored::{Stored, upload};
use super::{Plan, note};
use crate::contest::{Contest, Maker, Peer, finish, printing_to};
use crate::input::table;
use crate::report::{Row, Side, Target};
use crate::service::Service;
use crate::toolbox::{Tool, script};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SMALL_BYTES: u64 = 2 << 20;
const SAME_RECORDS: &str = include_str!("../../python/same_records.py");
pub const POLARS: &str = include_str!("../../python/polars_convert.py");

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("csv: writing the inputs");
    let [small, medium, large] = [("small", SMALL_BYTES), ("medium", plan.medium_bytes), ("large", plan.large_bytes)]
        .map(|(name, bytes)| {
            let path = plan.workplace.path().join(format!("csv-{name}.csv"));
            table::write(&path, bytes).map(|()| path)
        });
    let (small, medium, large) = (small?, medium?, large?);
    let size = super::size_name(plan.medium_bytes);
    let mut rows = Vec::new();
    let to_lines = Contest {
        job: format!("{size} CSV to JSON Lines, one thread"),
        extension: "jsonl",
        ours: ours(plan, "csv.transform", &["to=jsonl"]),
        peers: line_peers(plan),
    };
    to_lines.compare(plan, &small, same_records(plan))?;
    rows.extend(to_lines.rows(&to_lines.run(plan, &medium)?));
    let to_array = Contest {
        job: format!("{size} CSV to a JSON array"),
        extension: "json",
        ours: ours(plan, "csv.transform", &["to=json"]),
        peers: array_peers(plan),
    };
    to_array.compare(plan, &small, same_records(plan))?;
    rows.extend(to_array.rows(&to_array.run(plan, &medium)?));
    rows.extend(of_a_large_file(plan, &large)?);
    for path in [small, medium, large] {
        fs::remove_file(path)?;
    }
    Ok(rows)
}

/// `filemill run` with options.
pub fn ours<'a>(plan: &Plan<'a>, kind: &'static str, options: &'static [&'static str]) -> Maker<'a> {
    let program = plan.workplace.filemill();
    Box::new(move |input, output| {
        let mut command = Command::new(program);
        command.arg("run").arg(kind).arg(input).arg("-o").arg(output);
        command.args(options.iter().flat_map(|option| ["--set", option]));
        Ok(command)
    })
}

/// A script with input and output.
pub fn python<'a>(python: PathBuf, text: &'static str) -> Maker<'a> {
    Box::new(move |input, output| {
        let mut command = script(&python, text);
        command.arg(input).arg(output);
        Ok(command)
    })
}

/// qsv with these words, the input, and what it prints.
pub fn qsv<'a>(program: PathBuf, words: &'static [&'static str]) -> Maker<'a> {
    Box::new(move |input, output| {
        let mut command = Command::new(&program);
        command.args(words).arg(input);
        printing_to(output, command)
    })
}

fn line_peers<'a>(plan: &Plan<'_>) -> Vec<Peer<'a>> {
    let tools = plan.toolbox;
    let mut peers = Vec::new();
    if let Some(program) = tools.find(Tool::Python) {
        let make = python(program, include_str!("../../python/csv_to_jsonl.py"));
        peers.push(Peer::new("python csv + json", Target::RatioAtMost(0.10), make));
    }
    if let Some(program) = tools.find(Tool::Qsv) {
        peers.push(Peer::new("qsv tojsonl", Target::RatioAtMost(0.25), qsv(program, &["tojsonl", "--quiet"])));
    }
    peers.extend(polars(plan, Target::RatioAtMost(0.65)));
    peers
}

fn array_peers<'a>(plan: &Plan<'_>) -> Vec<Peer<'a>> {
    let mut peers = Vec::new();
    if let Some(program) = plan.toolbox.find(Tool::Qsv) {
        peers.push(Peer::new("qsv slice --json", Target::RatioAtMost(0.40), qsv(program, &["slice", "--json"])));
    }
    peers.extend(polars(plan, Target::None));
    peers
}

pub fn polars<'a>(plan: &Plan<'_>, target: Target) -> Option<Peer<'a>> {
    let program = plan.toolbox.find(Tool::Polars)?;
    Some(Peer::new("polars, all cores", target, python(program, POLARS)))
}

/// Record by record, by a script that knows nothing of either side.
pub fn same_records<'a>(plan: &Plan<'a>) -> impl Fn(&Path, &Path, &Peer<'_>) -> Result<()> + use<'a> {
    let python = plan.toolbox.find(Tool::Python);
    move |ours, theirs, peer| {
        let python = python.as_ref().context("python compares the outputs")?;
        let rigour = if peer.name.starts_with("qsv") { "retyped" } else { "exact" };
        finish(script(python, SAME_RECORDS).arg(rigour).arg(ours).arg(theirs))
    }
}

fn of_a_large_file(plan: &Plan<'_>, large: &Path) -> Result<Vec<Row>> {
    let size = super::size_name(plan.large_bytes);
    let one_thread = Contest {
        job: format!("{size} CSV to JSON Lines, one thread"),
        extension: "jsonl",
        ours: ours(plan, "csv.transform", &["to=jsonl"]),
        peers: polars(plan, Target::None).into_iter().collect(),
    };
    let outcome = one_thread.run(plan, large)?;
    let mut rows = one_thread.rows(&outcome);
    rows.push(memory_row(&outcome.ours));
    let name = format!("{size} CSV, stored to result of JSON Lines stored, all cores");
    let served = of_the_service(plan, large)?;
    let polars = outcome.peers.into_iter().next().map(|side| ("polars, all cores", side));
    rows.push(Row { job: name, unit: "s", ours: served, peer: polars, target: Target::RatioAtMost(0.40) });
    Ok(rows)
}

pub fn memory_row(ours: &Side) -> Row {
    let memory = Side::of(ours.peak_memory as f64 / f64::from(1 << 20));
    let job = "the same, peak memory".into();
    Row { job, unit: "MiB", ours: memory, peer: None, target: Target::AtMost(64.0) }
}

fn of_the_service(plan: &Plan<'_>, large: &Path) -> Result<Side> {
    let expected = plan.workplace.path().join("csv-expected.jsonl");
    finish(&mut ours(plan, "csv.transform", &["to=jsonl"])(large, &expected)?)?;
    let service = Service::start(plan.workplace, "csv")?;
    upload(&service, large)?;
    let mut side = Side::default();
    for round in 0..plan.rounds {
        note(&format!("csv: the service, round {}", round + 1));
        plan.workplace.settle();
        let key = format!("csv/table-{round}");
        let run = Stored { service: &service, source: large, expected: &expected }.job(&key)?;
        side.add(run.wall.as_secs_f64(), run.cpu, run.peak_memory);
    }
    service.stop()?;
    fs::remove_file(expected)?;
    Ok(side)
}
