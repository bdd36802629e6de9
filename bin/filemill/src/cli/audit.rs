//! `filemill audit`: who ordered what, newest first. As JSON with the details of each order.

use super::listing::{Listing, given};
use crate::output::{self, Table};
use anyhow::Result;
use serde_json::Value;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// The name of the key that was used
    #[arg(long)]
    actor: Option<String>,
    /// Such as job.cancel; with a trailing * a prefix
    #[arg(long)]
    action: Option<String>,
    /// The id or name of what it was done to
    #[arg(long)]
    target: Option<String>,
    /// At this time or later, such as 2026-11-20T12:00:00Z, 2026-11-20 or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = super::moment)]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = super::moment)]
    until: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let filters = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("target", &self.target),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let table = Table::new(&["AT", "ACTOR", "ACTION", "TARGET", "FROM", "FAILED"], &[]);
        self.listing.print("/v1/audit", &given(&filters), table, |entry: &Value| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let failed = entry["detail"]["failed"].as_str().unwrap_or_default().to_owned();
            [output::time(&text("at")), text("actor"), text("action"), target(entry), text("address"), failed]
        })
    }
}

/// Objects with their bucket, which stands beside the key.
fn target(entry: &Value) -> String {
    let target = entry["target"].as_str().unwrap_or_default();
    match (entry["action"].as_str(), entry["detail"]["bucket"].as_str()) {
        (Some("object.delete"), Some(bucket)) => format!("{bucket}/{target}"),
        _ => target.to_owned(),
    }
}
