//! A thousand files of one kilobyte by 16 connections: from the first byte until every result is there.
//!
//! The peer is what one would write in a shell: inotifywait in front of a loop that runs sed. It syncs nothing, its
//! files are written straight to its folder by 16 threads, and it is done when the loop has named the last file.

use super::feed::Feed;
use super::{Plan, block_on, load, note};
use crate::input;
use crate::process::{Process, children_cpu};
use crate::report::{Row, Side, Target};
use crate::service::Service;
use crate::signing::Signer;
use anyhow::{Context, Result, ensure};
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FILES: u64 = 1000;
const CONNECTIONS: usize = 16;
const LOOP: &str = r#"while IFS= read -r f; do sed 's/^/Hello! /' "in/$f" > "out/$f"; printf '%s\n' "$f"; done"#;

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("burst: 1,000 files of 1 KB");
    let service = Service::start(plan.workplace, "burst")?;
    let (mut ours, mut theirs, mut uploaded) = (Side::default(), Side::default(), Side::default());
    let ours_run = |round| {
        let process = service.process();
        process.forget_peak()?;
        let cpu_before = process.cpu()?;
        let (wall, uploads) = block_on(upload_and_wait(&service, round))?;
        let cpu = process.cpu()? - cpu_before;
        ours.add(FILES as f64 / wall.as_secs_f64(), cpu, process.peak_memory()?);
        uploaded.values.push(FILES as f64 / uploads.as_secs_f64());
        check_results(&service, round)
    };
    let peer_run = |round| {
        let cpu_before = children_cpu()?;
        let (wall, peak) = shell_loop(&plan.workplace.folder(&format!("burst-peer-{round}"))?)?;
        theirs.add(FILES as f64 / wall.as_secs_f64(), children_cpu()? - cpu_before, peak);
        Ok(())
    };
    plan.round_robin(ours_run, peer_run)?;
    service.stop()?;
    let row =
        |job: &str, ours: &Side, peer, target| Row { job: job.into(), unit: "/s", ours: ours.clone(), peer, target };
    Ok(vec![
        row(
            "1,000 x 1 KB, upload to all results",
            &ours,
            Some(("inotifywait + sed", theirs)),
            Target::RatioAtLeast(7.0),
        ),
        row("the same, jobs a second", &ours, None, Target::AtLeast(1500.0)),
        row("of it, the uploads alone", &uploaded, None, Target::None),
    ])
}

fn key(round: u32, number: u64) -> String {
    format!("hello/burst-{round}-{number}")
}

/// Until the feed has told of every job, and until the last PUT's 200.
async fn upload_and_wait(service: &Service, round: u32) -> Result<(Duration, Duration)> {
    let signer = Signer::new(service, "uploads")?;
    let requests = (0..FILES).map(|n| {
        let mut request = signer.put(&key(round, n), input::SMALL_BYTES as u64);
        request.extend_from_slice(&input::small(n));
        request
    });
    let requests: Vec<_> = requests.collect();
    let mut waiting: HashSet<String> = (0..FILES).map(|n| key(round, n)).collect();
    let mut feed = Feed::open(service).await?;
    let begun = Instant::now();
    let results = async {
        while !waiting.is_empty() {
            waiting.remove(&feed.completed().await?);
        }
        Ok(begun.elapsed())
    };
    let (uploads, all) = futures::try_join!(load::drive(service.s3, CONNECTIONS, requests), results)?;
    Ok((all, uploads.wall))
}

fn check_results(service: &Service, round: u32) -> Result<()> {
    let signer = Signer::new(service, "results")?;
    let gets: Vec<_> = (0..FILES).map(|n| signer.get(&key(round, n))).collect();
    let bodies = block_on(load::fetch(service.s3, &gets))?;
    let equal = bodies.iter().enumerate().all(|(n, body)| *body == input::prefixed(&input::small(n as u64)));
    ensure!(equal, "a result is wrong");
    Ok(())
}

/// Answers the time and the shell's peak memory.
fn shell_loop(folder: &Path) -> Result<(Duration, u64)> {
    let (inbox, out) = (folder.join("in"), folder.join("out"));
    fs::create_dir(&inbox)?;
    fs::create_dir(&out)?;
    let mut watcher = Command::new("inotifywait")
        .args(["-m", "-e", "close_write", "--format", "%f", "in"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start inotifywait (package inotify-tools)")?;
    let names = watcher.stdout.take().context("inotifywait has no output")?;
    let mut shell = Command::new("sh")
        .args(["-c", LOOP])
        .current_dir(folder)
        .stdin(names)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start sh")?;
    wait_until_it_watches(watcher.stderr.take().context("inotifywait has no errors")?)?;
    let done = BufReader::new(shell.stdout.take().context("sh has no output")?);
    let bodies: Vec<Vec<u8>> = (0..FILES).map(input::small).collect();
    let begun = Instant::now();
    write_all(&inbox, &bodies)?;
    let names: HashSet<String> = done.lines().take(bodies.len()).collect::<std::io::Result<_>>()?;
    let wall = begun.elapsed();
    let peak = Process(shell.id()).peak_memory()?;
    watcher.kill()?;
    watcher.wait()?;
    shell.wait()?;
    ensure!(names.len() == bodies.len(), "the loop named {} files", names.len());
    for (n, body) in bodies.iter().enumerate() {
        ensure!(fs::read(out.join(n.to_string()))? == input::prefixed(body), "sed and our reference differ");
    }
    Ok((wall, peak))
}

fn wait_until_it_watches(errors: std::process::ChildStderr) -> Result<()> {
    for line in BufReader::new(errors).lines() {
        if line?.contains("established") {
            return Ok(());
        }
    }
    anyhow::bail!("inotifywait does not watch")
}

fn write_all(inbox: &Path, bodies: &[Vec<u8>]) -> Result<()> {
    std::thread::scope(|threads| {
        let writers = (0..CONNECTIONS).map(|first| {
            threads.spawn(move || {
                for (n, body) in bodies.iter().enumerate().skip(first).step_by(CONNECTIONS) {
                    fs::write(inbox.join(n.to_string()), body)?;
                }
                std::io::Result::Ok(())
            })
        });
        let writers: Vec<_> = writers.collect();
        for writer in writers {
            writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        Ok(())
    })
}
