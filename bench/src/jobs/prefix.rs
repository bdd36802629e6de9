//! The main job on a large log: object stored to result stored, with the service running, against sed.
//!
//! By the feed's word the result is synced (see `stored`). Sed reads the same bytes from the same disk, as warm, and
//! syncs nothing; a second figure adds a sync of its output.

use super::stored::{Stored, upload};
use super::{Plan, note, size_name};
use crate::contest::warm;
use crate::input;
use crate::process::{self, Run};
use crate::report::{Row, Side, Target};
use crate::service::Service;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const PEER: &str = "sed 's/^/Hello! /' in > out";

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("prefix: writing and uploading the input");
    let source = plan.workplace.path().join("prefix-input");
    let expected = plan.workplace.path().join("prefix-expected");
    input::write_log(&source, plan.large_bytes)?;
    sed(&source, &expected)?;
    let service = Service::start(plan.workplace, "prefix")?;
    upload(&service, &source)?;
    let (mut ours, mut theirs, mut synced) = (Side::default(), Side::default(), Side::default());
    let ours_run = |round| {
        note(&format!("prefix: round {}, Filemill", round + 1));
        warm(&source)?;
        let stored = Stored { service: &service, source: &source, expected: &expected };
        let run = stored.job(&format!("hello/log-{round}"))?;
        ours.add(run.wall.as_secs_f64(), run.cpu, run.peak_memory);
        Ok(())
    };
    let peer_run = |round| {
        note(&format!("prefix: round {}, sed", round + 1));
        warm(&source)?;
        let output = plan.workplace.path().join("prefix-sed");
        let begun = Instant::now();
        let run = sed(&source, &output)?;
        theirs.add(run.wall.as_secs_f64(), run.cpu, run.peak_memory);
        File::open(&output)?.sync_all()?;
        synced.values.push(begun.elapsed().as_secs_f64());
        Ok(fs::remove_file(output)?)
    };
    plan.round_robin(ours_run, peer_run)?;
    service.stop()?;
    fs::remove_file(source)?;
    fs::remove_file(expected)?;
    Ok(rows(plan.large_bytes, &ours, theirs, synced))
}

fn rows(bytes: u64, ours: &Side, theirs: Side, synced: Side) -> Vec<Row> {
    let name = size_name(bytes);
    let values = |values: &[f64]| Side { values: values.to_vec(), ..Side::default() };
    let memory = ours.peak_memory as f64 / f64::from(1 << 20);
    let row = |job: String, unit, ours, peer, target| Row { job, unit, ours, peer, target };
    vec![
        row(
            format!("{name} log, stored to result stored"),
            "s",
            ours.clone(),
            Some((PEER, theirs.clone())),
            Target::RatioAtMost(1.0),
        ),
        row(
            "the same, CPU".into(),
            "s",
            values(&ours.cpu_secs),
            Some((PEER, values(&theirs.cpu_secs))),
            Target::RatioAtMost(0.6),
        ),
        row("the same, peak memory".into(), "MiB", Side::of(memory), None, Target::AtMost(128.0)),
        row(
            "the same, result synced on both sides".into(),
            "s",
            ours.clone(),
            Some(("sed, then sync out", synced)),
            Target::None,
        ),
    ]
}

fn sed(source: &Path, output: &Path) -> Result<Run> {
    process::time(|| {
        let output = File::create(output)?;
        let child = Command::new("sed").arg("s/^/Hello! /").arg(source).stdout(Stdio::from(output)).spawn();
        child.context("cannot start sed")
    })
}
