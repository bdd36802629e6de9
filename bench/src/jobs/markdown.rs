//! Markdown to HTML: many small notes inside of one process, and one large document as whole programs.
//!
//! Ours sanitises, as it does by default. Engines differ in attributes and white space; elements and words are compared.

use super::csv::ours;
use super::{Plan, note};
use crate::contest::{Contest, Peer, finish, printing_to};
use crate::input::notes;
use crate::inside::{self, Kind};
use crate::report::{Row, Side, Target};
use crate::toolbox::{Tool, script};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::Command;

const NOTE_BYTES: usize = 1000;
const LARGE_BYTES: usize = 10_000_000;
const SMALL_BYTES: usize = 100_000;
const SAME_HTML: &str = include_str!("../../python/same_html.py");
const PYTHON_MARKDOWN: &str = include_str!("../../python/markdown_all.py");

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    let mut rows = of_many(plan)?;
    rows.extend(of_one(plan)?);
    Ok(rows)
}

fn of_many(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("markdown: many notes in one process");
    let folder = plan.workplace.folder("markdown")?;
    let [documents, our_results, their_results] =
        ["documents", "ours", "theirs"].map(|n| folder.join(format!("{n}.json")));
    let texts: Vec<String> = (0..plan.files).map(|seed| notes::note(seed, NOTE_BYTES)).collect();
    fs::write(&documents, serde_json::to_vec(&texts)?)?;
    let python = plan.toolbox.find(Tool::PythonMarkdown);
    let amount = texts.len() as f64;
    let (mut ours, mut theirs) = ((Side::default(), Side::default()), (Side::default(), Side::default()));
    let ours_run = |_| {
        let worked = inside::time(|| inside::ours(Kind::Markdown), &documents, &our_results)?;
        worked.add_to(&mut ours.0, &mut ours.1, amount);
        Ok(())
    };
    let is_compared = RefCell::new(false);
    let peer_run = |round| {
        let Some(python) = &python else { return Ok(()) };
        note(&format!("markdown: round {}, python-markdown", round + 1));
        let worked = inside::time(|| Ok(script(python, PYTHON_MARKDOWN)), &documents, &their_results)?;
        worked.add_to(&mut theirs.0, &mut theirs.1, amount);
        if !is_compared.replace(true) {
            same_html(python, &our_results, &their_results)?;
        }
        Ok(())
    };
    plan.round_robin(ours_run, peer_run)?;
    let peer = |side| python.is_some().then_some(("python-markdown", side));
    let job = format!("{} notes of 1 KB to HTML, in one process", plan.files);
    let row = |job, ours, theirs, target| Row { job, unit: "/s", ours, peer: peer(theirs), target };
    Ok(vec![
        row(job, ours.0, theirs.0, Target::None),
        row("the same, for each second of CPU".into(), ours.1, theirs.1, Target::RatioAtLeast(80.0)),
    ])
}

fn of_one(plan: &Plan<'_>) -> Result<Vec<Row>> {
    let folder = plan.workplace.folder("markdown")?;
    let (small, large) = (folder.join("small.md"), folder.join("large.md"));
    fs::write(&small, notes::note(1, SMALL_BYTES))?;
    fs::write(&large, notes::note(2, LARGE_BYTES))?;
    let mut peers = Vec::new();
    if let Some(program) = plan.toolbox.find(Tool::CmarkGfm) {
        let make = move |input: &Path, output: &Path| {
            let mut command = Command::new(&program);
            command.args(["-e", "table", "-e", "strikethrough", "-e", "tasklist", "-e", "autolink"]).arg(input);
            printing_to(output, command)
        };
        peers.push(Peer::new("cmark-gfm", Target::None, Box::new(make)));
    }
    let contest = Contest {
        job: "10 MB of Markdown to HTML, one document".into(),
        extension: "html",
        ours: ours(plan, "markdown.to_html", &[]),
        peers,
    };
    let python = plan.toolbox.find(Tool::Python).context("python compares the outputs")?;
    contest.compare(plan, &small, |ours, theirs, _| same_html(&python, ours, theirs))?;
    let outcome = contest.run(plan, &large)?;
    let mut rows = contest.rows(&outcome);
    rows.extend(super::cpu_row(&outcome, &contest, Target::RatioAtMost(0.40)));
    Ok(rows)
}

fn same_html(python: &Path, ours: &Path, theirs: &Path) -> Result<()> {
    finish(script(python, SAME_HTML).arg(ours).arg(theirs)).context("not the same HTML")
}
