//! `filemill findings`: what processors found in files, such as their sentiment; as rows or counted and averaged.

use crate::client::access::Access;
use crate::client::views::Listed;
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
        let filters = [
            ("processor", &self.processor),
            ("label", &self.label),
            ("bucket", &self.bucket),
            ("key", &self.key),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let query: Vec<(&str, &str)> = filters.iter().filter_map(|(n, v)| Some((*n, v.as_deref()?))).collect();
        let client = self.access.client()?;
        if self.summary {
            let answer = client.get("/v1/findings/summary", &query)?;
            return if self.json { output::json(&answer) } else { print_summary(&answer) };
        }
        let found: Listed<Value> = client.list("/v1/findings", &query, self.limit)?;
        if self.json {
            return output::json(&found.to_json());
        }
        let mut table = Table::new(&["PROCESSOR", "FILE", "LABEL", "VALUES", "FOUND"], &[]);
        for finding in &found.views {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            let file = format!("{}/{}", text("bucket"), text("key"));
            table.row([text("processor"), file, text("label"), numbers(&finding["values"]), output::time(&text("at"))]);
        }
        table.print()?;
        if found.next_cursor.is_some() {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
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
