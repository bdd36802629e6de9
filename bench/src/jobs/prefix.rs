//! The main job on a large log: object stored to result stored, with the service running, against sed.
//!
//! The log is uploaded once under a key that starts no rule. Each round copies it, server-side, to a key that does (a
//! copy shares the bytes, so it is instant) and waits for the live feed to tell that the job completed; by then the
//! result is synced. Sed reads the same bytes from the same disk, as warm, and syncs nothing; a second figure adds a
//! sync of its output. The service's CPU is all of it: reading with checksums, transform, writing, syncing, records.

use super::feed::Feed;
use super::put_large::size_name;
use super::{Plan, block_on, note};
use crate::connection::Connection;
use crate::input;
use crate::process::{self, Run};
use crate::report::{Row, Side, Target};
use crate::service::Service;
use crate::signing::Signer;
use crate::transfer::{compare_with_file, send_file};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PARKED: &str = "park/log";
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
        let run = job(&service, &format!("hello/log-{round}"), &expected)?;
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

fn upload(service: &Service, source: &Path) -> Result<()> {
    let mut file = File::open(source)?;
    let head = Signer::new(service, "uploads")?.put(PARKED, file.metadata()?.len());
    let status = send_file(service.s3, &head, &mut file)?;
    ensure!(status == 200, "the upload was answered {status}");
    Ok(())
}

fn sed(source: &Path, output: &Path) -> Result<Run> {
    process::time(|| {
        let output = File::create(output)?;
        let child = Command::new("sed").arg("s/^/Hello! /").arg(source).stdout(Stdio::from(output)).spawn();
        child.context("cannot start sed")
    })
}

/// The input is in the page cache for whoever comes next.
fn warm(source: &Path) -> Result<()> {
    io::copy(&mut File::open(source)?, &mut io::sink())?;
    Ok(())
}

fn job(service: &Service, key: &str, expected: &Path) -> Result<Run> {
    let (uploads, results) = (Signer::new(service, "uploads")?, Signer::new(service, "results")?);
    // reading it once warms our copy of the bytes
    compare_with_file(service.s3, &uploads.get(PARKED), &mut File::open(expected.with_file_name("prefix-input"))?)?;
    let process = service.process();
    process.forget_peak()?;
    let cpu_before = process.cpu()?;
    let wall = block_on(copy_and_wait(service, &uploads.copy(PARKED, key), key))?;
    let run = Run { wall, cpu: process.cpu()? - cpu_before, peak_memory: process.peak_memory()? };
    compare_with_file(service.s3, &results.get(key), &mut File::open(expected)?).context("the result is not sed's")?;
    for delete in [results.delete(key), uploads.delete(key)] {
        block_on(async { Connection::open(service.s3).await?.ask(&delete).await?.expect(204) })?;
    }
    Ok(run)
}

async fn copy_and_wait(service: &Service, copy: &[u8], key: &str) -> Result<Duration> {
    let mut feed = Feed::open(service).await?;
    let mut connection = Connection::open(service.s3).await?;
    let begun = Instant::now();
    connection.ask(copy).await?.expect(200)?;
    while feed.completed().await? != key {}
    Ok(begun.elapsed())
}
