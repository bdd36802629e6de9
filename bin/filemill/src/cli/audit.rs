//! `filemill audit`: who ordered what, newest first.

use crate::client::access::Access;
use crate::client::views::Listed;
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
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print JSON, which has the details of each order
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
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
        let query: Vec<(&str, &str)> = filters.iter().filter_map(|(n, v)| Some((*n, v.as_deref()?))).collect();
        let found: Listed<Value> = self.access.client()?.list("/v1/audit", &query, self.limit)?;
        if self.json {
            return output::json(&found.to_json());
        }
        let mut table = Table::new(&["AT", "ACTOR", "ACTION", "TARGET", "FROM"], &[]);
        for entry in &found.views {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            table.row([output::time(&text("at")), text("actor"), text("action"), text("target"), text("address")]);
        }
        table.print()?;
        if found.next_cursor.is_some() {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
    }
}
