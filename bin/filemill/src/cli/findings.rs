//! `filemill findings`: what processors found in files, such as their sentiment; as rows or counted and averaged.

use super::listing::{Listing, given};
use crate::output::{self, Table};
use anyhow::Result;
use serde_json::Value;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Kind of the processor, such as text.sentiment
    #[arg(long)]
    processor: Option<String>,
    /// Such as NEGATIVE
    #[arg(long)]
    label: Option<String>,
    /// Bucket of the file
    #[arg(long)]
    bucket: Option<String>,
    /// Key of the file; a * at its end makes it a prefix
    #[arg(long)]
    key: Option<String>,
    /// Found at this time or later, such as 2026-11-20T12:00:00Z, 2026-11-20 or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment)]
    since: Option<String>,
    /// Found before this time
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment)]
    until: Option<String>,
    /// Counts by label and averages, of all that is found
    #[arg(long)]
    summary: bool,
    #[command(flatten)]
    listing: Listing,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let filters = [
            ("processor", &self.processor),
            ("label", &self.label),
            ("bucket", &self.bucket),
            ("key", &self.key),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let query = given(&filters);
        if self.summary {
            let answer = self.listing.access.client()?.get("/v1/findings/summary", &query)?;
            return if self.listing.json { output::json(&answer) } else { print_summary(&answer) };
        }
        let table = Table::new(&["PROCESSOR", "FILE", "LABEL", "VALUES", "FOUND"], &[]);
        self.listing.print("/v1/findings", &query, table, |finding: &Value| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            let file = format!("{}/{}", text("bucket"), text("key"));
            [text("processor"), file, text("label"), numbers(&finding["values"]), output::time(&text("at"))]
        })
    }
}

fn print_summary(answer: &Value) -> Result<()> {
    output::line(format_args!("files     {}", answer["count"]))?;
    output::line(format_args!("labels    {}", numbers(&answer["labels"])))?;
    output::line(format_args!("averages  {}", numbers(&answer["averages"])))
}

/// `name 0.25, other 3` of an object of numbers.
fn numbers(object: &Value) -> String {
    let all = object.as_object().into_iter().flatten();
    let number = |value: &Value| match value.as_f64() {
        Some(n) if n.fract() != 0.0 => format!("{n:.3}"),
        _ => value.to_string(),
    };
    all.map(|(name, value)| format!("{name} {}", number(value))).collect::<Vec<_>>().join(", ")
}
