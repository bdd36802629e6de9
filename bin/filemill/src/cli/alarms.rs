//! `filemill alarms`: alarms with their state and value now, or when they were raised and resolved.

use crate::client::access::Access;
use crate::client::views::Listed;
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::alarm::{Metric, Unit};
use serde_json::Value;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// When alarms were raised and resolved, newest first
    #[arg(long)]
    history: bool,
    /// Of this alarm only
    #[arg(long, requires = "history")]
    alarm: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let client = self.access.client()?;
        if !self.history {
            let alarms = client.get("/v1/alarms", &[])?;
            return if self.json { output::json(&alarms) } else { print_now(&alarms) };
        }
        let query: Vec<(&str, &str)> = self.alarm.iter().map(|alarm| ("alarm", alarm.as_str())).collect();
        let changes: Listed<Value> = client.list("/v1/alarms/history", &query, self.limit)?;
        if self.json { output::json(&changes.to_json()) } else { print_history(&changes) }
    }
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_default().to_owned()
}

/// In its metric's unit; as a bare number where an older service left it out.
fn figure(row: &Value, name: &str) -> String {
    let metric = row["metric"].as_str().and_then(|metric| Metric::parse(metric).ok());
    let unit = metric.map_or(Unit::Count, Metric::unit);
    row[name].as_f64().map(|value| unit.shown(value)).unwrap_or_default()
}

/// Of where it is bad.
fn sign(bound: &str) -> &'static str {
    match bound {
        "above" => "> ",
        "at_least" => ">= ",
        "below" => "< ",
        "at_most" => "<= ",
        _ => "",
    }
}

fn print_now(alarms: &Value) -> Result<()> {
    let mut table = Table::new(&["ALARM", "OF", "STATUS", "SINCE", "METRIC", "VALUE", "LIMIT", "FOR"], &[5, 6]);
    for row in alarms["items"].as_array().into_iter().flatten() {
        table.row([
            text(row, "alarm"),
            text(row, "of"),
            text(row, "status"),
            output::time(&text(row, "since")),
            text(row, "metric"),
            figure(row, "value"),
            format!("{}{}", sign(&text(row, "bound")), figure(row, "limit")),
            text(row, "for"),
        ]);
    }
    table.print()
}

fn print_history(changes: &Listed<Value>) -> Result<()> {
    let mut table = Table::new(&["AT", "ALARM", "OF", "BECAME", "VALUE", "LIMIT"], &[4, 5]);
    for row in &changes.views {
        let at = output::time(&text(row, "at"));
        let (value, limit) = (figure(row, "value"), figure(row, "limit"));
        let became = if row["unwatched"] == true { "unwatched".to_owned() } else { text(row, "to") };
        table.row([at, text(row, "alarm"), text(row, "of"), became, value, limit]);
    }
    table.print()?;
    if changes.next_cursor.is_some() {
        eprintln!("there are more; --limit shows them");
    }
    Ok(())
}
