//! JSON Lines to CSV, as whole programs on one thread. All values are text, so that nobody's types can differ.

use super::csv::{ours, polars, qsv, same_records};
use super::{Plan, note};
use crate::contest::{Contest, Peer, finish};
use crate::input::table;
use crate::report::{Row, Target};
use crate::toolbox::Tool;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

const SMALL_BYTES: u64 = 2 << 20;

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("json: writing the inputs");
    let (small, medium) = (lines(plan, "small", SMALL_BYTES)?, lines(plan, "medium", plan.medium_bytes)?);
    let mut peers = Vec::new();
    if let Some(program) = plan.toolbox.find(Tool::Qsv) {
        peers.push(Peer::new("qsv jsonl", Target::RatioAtMost(0.45), qsv(program, &["jsonl"])));
    }
    peers.extend(polars(plan, Target::None));
    let contest = Contest {
        job: format!("{} JSON Lines to CSV, one thread", super::size_name(fs::metadata(&medium)?.len())),
        extension: "csv",
        ours: ours(plan, "json.to_csv", &[]),
        peers,
    };
    contest.compare(plan, &small, same_records(plan))?;
    let rows = contest.rows(&contest.run(plan, &medium)?);
    fs::remove_file(small)?;
    fs::remove_file(medium)?;
    Ok(rows)
}

/// Made of a table by our own converter, whose output is compared in the job for CSV.
fn lines(plan: &Plan<'_>, name: &str, bytes: u64) -> Result<PathBuf> {
    let table = plan.workplace.path().join(format!("json-{name}.csv"));
    let lines = table.with_extension("jsonl");
    table::write(&table, bytes)?;
    finish(&mut ours(plan, "csv.transform", &["to=jsonl"])(&table, &lines)?)?;
    fs::remove_file(table)?;
    Ok(lines)
}
