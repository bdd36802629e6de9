//! `filemill redrive`: dead letters back to work: by name, or all that a filter finds, counted first.

use super::dead::Filter;
use super::order;
use crate::client::access::Access;
use crate::exit::Ending;
use crate::output;
use anyhow::Result;
use serde_json::{Map, Value, json};

const NOUN: &str = "redrives";

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Letters by name
    #[arg(value_name = "LETTER")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All that are dead
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Letters a second
    #[arg(long, value_name = "N", value_parser = order::rate)]
    rate: Option<u32>,
    /// Laid over the jobs' own options, which then run from their start; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = super::key_value)]
    options: Vec<(String, Value)>,
    /// Do again also the chunks that were done and are still there
    #[arg(long)]
    from_start: bool,
    /// Only count the letters
    #[arg(long)]
    dry_run: bool,
    /// Wait until all letters were put back to work
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Stop an order; what it has not reached stays dead
    #[arg(long, value_name = "ORDER", conflicts_with_all = ["ids", "all", "rate", "options", "from_start", "dry_run", "wait"])]
    cancel: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let client = self.access.client()?;
        let answer = match &self.cancel {
            Some(id) => client.post(&format!("{}/cancel", order::path(NOUN, id)), &json!({}))?,
            None => client.post("/v1/redrives", &self.wish()?)?,
        };
        if self.dry_run {
            let counted = format!("{} letters would be redriven", answer["count"]);
            return if self.json { output::json(&answer) } else { output::line(counted) };
        }
        let answer = if self.wait { order::finished(&client, NOUN, answer)? } else { answer };
        if self.json {
            output::json(&answer)?;
        } else {
            output::line(summary(&answer))?;
        }
        match answer["skipped"].as_u64() {
            Some(skipped @ 1..) if self.wait => Err(Ending::failed(format!(
                "{skipped} letters were not redriven: {}",
                answer["skipped_because"].as_str().unwrap_or_default()
            ))),
            _ => Ok(()),
        }
    }

    fn wish(&self) -> Result<Value> {
        if self.ids.is_empty() && self.filter.is_empty() && !self.all {
            return Err(Ending::usage("name letters, give a filter such as --rule, or say --all"));
        }
        if !self.ids.is_empty() && !self.filter.is_empty() {
            return Err(Ending::usage("name letters or filter them, not both"));
        }
        let options: Map<String, Value> = self.options.iter().cloned().collect();
        let mut wish = json!({ "options": options, "from_start": self.from_start, "dry_run": self.dry_run });
        if self.ids.is_empty() {
            wish["filter"] = self.filter.to_json();
        } else {
            wish["ids"] = self.ids.clone().into();
        }
        if let Some(rate) = self.rate {
            wish["rate"] = rate.into();
        }
        Ok(wish)
    }
}

fn summary(order: &Value) -> String {
    let word = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
    let (matched, redriven, skipped) = (&order["matched"], &order["redriven"], &order["skipped"]);
    format!("{}  {}  {redriven} of {matched} redriven, {skipped} skipped", word("id"), word("status"))
}
