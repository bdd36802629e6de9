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
    /// Show how far an order is
    #[arg(long, value_name = "ORDER", conflicts_with_all = ["ids", "all", "rate", "options", "from_start", "dry_run", "cancel"])]
    show: Option<String>,
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
        if (self.show.is_some() || self.cancel.is_some()) && !self.filter.is_empty() {
            return Err(Ending::usage("--show and --cancel take an order, and no filter"));
        }
        let client = self.access.client()?;
        let answer = match (&self.show, &self.cancel) {
            (Some(id), _) => client.get(&order::path(NOUN, id), &[])?,
            (None, Some(id)) => client.post(&format!("{}/cancel", order::path(NOUN, id)), &json!({}))?,
            (None, None) => client.post("/v1/redrives", &self.wish()?)?,
        };
        if self.dry_run {
            let letters = output::counted(answer["count"].as_u64().unwrap_or(0), "letter");
            let told = format!("{letters} would be redriven");
            return if self.json { output::json(&answer) } else { output::line(told) };
        }
        let answer = if self.wait { order::finished(&client, NOUN, answer)? } else { answer };
        if self.json {
            output::json(&answer)?;
        } else {
            output::line(summary(&answer))?;
        }
        match answer["skipped"].as_u64() {
            Some(1..) if self.wait => Err(Ending::failed("not all letters were redriven")),
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
    let word = |name: &str| order[name].as_str().unwrap_or_default();
    let count = |name: &str| order[name].as_u64().unwrap_or(0);
    let (id, status, matched) = (word("id"), word("status"), count("matched"));
    let (redriven, skipped) = (count("redriven"), count("skipped"));
    let mut told = format!("{id}  {status}  {redriven} of {matched} redriven, {skipped} skipped");
    if skipped > 0 {
        told += &format!(" (the last because: {})", word("skipped_because"));
    }
    let others = matched.saturating_sub(redriven + skipped);
    if status == "done" && others > 0 {
        told += &format!(", {others} not dead any more when it came to them");
    }
    if matched == 0 {
        told += "; no dead letter is as the filter says";
    } else if status == "running" {
        told += &format!("; filemill redrive --show {id} tells how far it is");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_leaves_no_letter_unexplained() {
        let order = |status: &str, redriven: u32, skipped: u32| {
            let because = (skipped > 0).then_some("unknown option");
            let counts = json!({ "id": "rdr_1", "status": status, "matched": 6, "redriven": redriven, "skipped": skipped,
                "skipped_because": because });
            summary(&counts)
        };
        assert_eq!(order("done", 6, 0), "rdr_1  done  6 of 6 redriven, 0 skipped");
        let told = "rdr_1  done  4 of 6 redriven, 1 skipped (the last because: unknown option), 1 not dead any more when it \
                    came to them";
        assert_eq!(order("done", 4, 1), told);
        let told = "rdr_1  running  1 of 6 redriven, 0 skipped; filemill redrive --show rdr_1 tells how far it is";
        assert_eq!(order("running", 1, 0), told);
        let none = json!({ "id": "rdr_1", "status": "running", "matched": 0 });
        assert_eq!(summary(&none), "rdr_1  running  0 of 0 redriven, 0 skipped; no dead letter is as the filter says");
    }
}
