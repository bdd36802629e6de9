//! Zip archives: many small files, large ones stored, and a large one deflated. Each archive is read back by Python and
//! compared with its sources before anything is timed; the large ones once more at their full size by their length.

use super::csv::{memory_row, ours, python};
use super::{Plan, note, size_name};
use crate::contest::{Contest, Peer, finish, printing_to};
use crate::input;
use crate::report::{Row, Side, Target};
use crate::toolbox::{Tool, script};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_BYTES: usize = 10_000;
const SMALL_FILES: u64 = 50;
/// The same large file under so many names: it is read so often.
const LARGE_FILES: u64 = 4;
const SMALL_LOG: u64 = 5 << 20;
const ZIP_CHECK: &str = include_str!("../../python/zip_check.py");
const ZIP_DEFLATE: &str = include_str!("../../python/zip_deflate.py");

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("zip: writing the inputs");
    let (few, many) = (of_small_files(plan, "few", SMALL_FILES)?, of_small_files(plan, "many", plan.files)?);
    let mut rows = many_small(plan, &few, &many)?;
    let (short, long) = (of_logs(plan, "short", SMALL_LOG)?, of_logs(plan, "long", plan.large_bytes)?);
    rows.extend(stored(plan, &short.four, &long.four)?);
    rows.extend(deflated(plan, &short.one, &long.one)?);
    for manifest in [few, many, short.one, long.one] {
        fs::remove_dir_all(manifest.parent().context("a manifest is in a folder")?)?;
    }
    Ok(rows)
}

/// Files in a folder, and the manifest that names them.
fn of_small_files(plan: &Plan<'_>, name: &str, count: u64) -> Result<PathBuf> {
    let folder = plan.workplace.folder(&format!("zip-{name}"))?;
    fs::create_dir_all(folder.join("files"))?;
    let names: Vec<String> = (0..count).map(|n| format!("files/{n:05}.log")).collect();
    for (seed, name) in (0..).zip(&names) {
        fs::write(folder.join(name), input::log(seed, FILE_BYTES))?;
    }
    manifest(&folder.join("manifest.json"), names.iter().map(|name| (name.clone(), name.clone())))
}

struct Logs {
    one: PathBuf,
    four: PathBuf,
}

/// One log, and manifests that name it once and four times.
fn of_logs(plan: &Plan<'_>, name: &str, bytes: u64) -> Result<Logs> {
    let folder = plan.workplace.folder(&format!("zip-{name}"))?;
    input::write_log(&folder.join("log"), bytes)?;
    let names = |count| (0..count).map(|n| ("log".to_owned(), format!("{n}.log")));
    Ok(Logs {
        one: manifest(&folder.join("one.json"), names(1))?,
        four: manifest(&folder.join("four.json"), names(LARGE_FILES))?,
    })
}

fn manifest(path: &Path, files: impl Iterator<Item = (String, String)>) -> Result<PathBuf> {
    let files: Vec<_> = files.map(|(source, name)| json!({ "source": source, "destination": name })).collect();
    fs::write(path, serde_json::to_vec(&json!({ "files": files }))?)?;
    Ok(path.to_owned())
}

/// Each archive of the small input holds what the manifest names.
fn compare(plan: &Plan<'_>, contest: &Contest<'_>, manifest: &Path) -> Result<()> {
    let python = plan.toolbox.find(Tool::Python).context("python reads the archives back")?;
    let is_whole = |archive: &Path| finish(script(&python, ZIP_CHECK).arg(manifest).arg(archive));
    contest.compare(plan, manifest, |ours, theirs, peer| {
        is_whole(ours)?;
        if peer.name == "cat" { Ok(()) } else { is_whole(theirs) }
    })
}

fn many_small(plan: &Plan<'_>, few: &Path, many: &Path) -> Result<Vec<Row>> {
    let mut peers = Vec::new();
    if let Some(program) = plan.toolbox.find(Tool::InfoZip) {
        let make = move |manifest: &Path, output: &Path| {
            let mut command = Command::new(&program);
            command.args(["-q", "-6", "-r"]).arg(output).arg("files");
            command.current_dir(manifest.parent().context("a manifest is in a folder")?);
            Ok(command)
        };
        peers.push(Peer::new("info-zip -6", Target::None, Box::new(make)));
    }
    let contest = Contest {
        job: format!("zip of {} files of 10 KB, deflate 6", plan.files),
        extension: "zip",
        ours: ours(plan, "archive.zip", &[]),
        peers,
    };
    compare(plan, &contest, few)?;
    let outcome = contest.run(plan, many)?;
    let mut rows = contest.rows(&outcome);
    rows.extend(super::cpu_row(&outcome, &contest, Target::RatioAtMost(0.56)));
    let megabytes = |bytes: u64| Side::of(bytes as f64 / 1e6);
    let theirs = outcome.peers_bytes.first().map(|bytes| ("info-zip -6", megabytes(*bytes)));
    let (job, ours) = ("the same, size of the archive".into(), megabytes(outcome.ours_bytes));
    rows.push(Row { job, unit: "MB", ours, peer: theirs, target: Target::RatioAtMost(1.0) });
    rows.push(memory_row(&outcome.ours));
    Ok(rows)
}

fn stored(plan: &Plan<'_>, short: &Path, long: &Path) -> Result<Vec<Row>> {
    let cat = |manifest: &Path, output: &Path| {
        let mut command = Command::new("cat");
        command.args((0..LARGE_FILES).map(|_| manifest.with_file_name("log")));
        printing_to(output, command)
    };
    let contest = Contest {
        job: format!("zip of {LARGE_FILES} x {}, stored", size_name(plan.large_bytes)),
        extension: "zip",
        ours: ours(plan, "archive.zip", &["method=store"]),
        peers: vec![Peer::new("cat", Target::RatioAtMost(1.15), Box::new(cat))],
    };
    finished(plan, &contest, short, long)
}

fn deflated(plan: &Plan<'_>, short: &Path, long: &Path) -> Result<Vec<Row>> {
    let mut peers = Vec::new();
    if let Some(program) = plan.toolbox.find(Tool::Python) {
        let make = python(program, ZIP_DEFLATE);
        let peer = Peer::new("python zipfile -6, once", Target::RatioAtMost(0.35), make);
        peers.push(Peer { rounds_max: 1, ..peer });
    }
    let contest = Contest {
        job: format!("zip of a log of {}, deflate 6", size_name(plan.large_bytes)),
        extension: "zip",
        ours: ours(plan, "archive.zip", &["method=deflate"]),
        peers,
    };
    finished(plan, &contest, short, long)
}

fn finished(plan: &Plan<'_>, contest: &Contest<'_>, short: &Path, long: &Path) -> Result<Vec<Row>> {
    compare(plan, contest, short)?;
    let outcome = contest.run(plan, long)?;
    let mut rows = contest.rows(&outcome);
    rows.push(memory_row(&outcome.ours));
    Ok(rows)
}
