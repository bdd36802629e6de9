//! `filemill rules backfill`: a rule run over objects that are there already, counted first, at a rate.

use crate::cli::order;
use crate::client::access::Access;
use crate::client::segment;
use crate::exit::Ending;
use crate::output;
use anyhow::Result;
use filemill_core::size::ByteSize;
use serde_json::{Value, json};

const NOUN: &str = "backfills";

#[derive(clap::Args)]
pub struct Args {
    /// The rule; or an order's id with --show or --cancel
    #[arg(value_name = "RULE")]
    name: String,
    /// Files created at this time or later, such as 2026-11-20T12:00:00Z, 2026-11-20 or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment)]
    since: Option<String>,
    /// Files created before this time
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment)]
    until: Option<String>,
    /// Files whose key begins so
    #[arg(long)]
    prefix: Option<String>,
    /// Count the files and start nothing
    #[arg(long)]
    dry_run: bool,
    /// Jobs a second
    #[arg(long, value_name = "N/s", value_parser = order::rate)]
    rate: Option<u32>,
    /// Wait until all jobs are started
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Show how far an order came
    #[arg(long, conflicts_with_all = ["since", "until", "prefix", "dry_run", "rate", "cancel"])]
    show: bool,
    /// Stop an order; jobs that it has started go on
    #[arg(long, conflicts_with_all = ["since", "until", "prefix", "dry_run", "rate", "wait"])]
    cancel: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let client = self.access.client()?;
        let answer = match (self.show, self.cancel) {
            (true, _) => client.get(&order::path(NOUN, &self.name), &[])?,
            (_, true) => client.post(&format!("{}/cancel", order::path(NOUN, &self.name)), &json!({}))?,
            _ => client.post(&format!("/v1/rules/{}/backfill", segment(&self.name)), &self.wish())?,
        };
        let answer = if self.wait { order::finished(&client, NOUN, answer)? } else { answer };
        match (self.json, self.dry_run) {
            (true, _) => output::json(&answer)?,
            (false, true) => print_count(&answer)?,
            (false, false) => output::line(summary(&answer))?,
        }
        match answer["status"] == "failed" {
            true => Err(Ending::failed("the rule is not in the service's configuration any more")),
            false => Ok(()),
        }
    }

    fn wish(&self) -> Value {
        let mut wish = json!({ "dry_run": self.dry_run });
        for (name, value) in [("since", &self.since), ("until", &self.until), ("prefix", &self.prefix)] {
            if let Some(value) = value {
                wish[name] = value.clone().into();
            }
        }
        if let Some(rate) = self.rate {
            wish["rate"] = rate.into();
        }
        wish
    }
}

fn summary(order: &Value) -> String {
    let word = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
    let (started, seen) = (&order["jobs_started"], &order["files_seen"]);
    format!("{}  {}  {}  {started} jobs started, {seen} files seen", word("id"), word("rule"), word("status"))
}

fn print_count(count: &Value) -> Result<()> {
    for key in count["keys"].as_array().into_iter().flatten() {
        output::line(output::printable(key.as_str().unwrap_or_default()))?;
    }
    let bytes = ByteSize(count["bytes"].as_u64().unwrap_or(0));
    let at_least = if count["is_complete"] == json!(false) { "at least " } else { "" };
    let files = output::counted(count["files"].as_u64().unwrap_or(0), "file");
    output::line(format_args!("{at_least}{files} with {bytes} would be processed"))
}
