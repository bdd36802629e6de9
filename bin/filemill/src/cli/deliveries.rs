//! `filemill deliveries`: who was told what, and what became of it; one shown, or sent again.

use super::listing::{Listing, given};
use crate::client::access::Access;
use crate::client::{Client, segment};
use crate::output::{self, Table};
use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    act: Option<Act>,
    /// pending, delivered or dead
    #[arg(long)]
    status: Option<String>,
    /// Of the receiver: live, webhook, email or queue
    #[arg(long)]
    kind: Option<String>,
    /// What was told, such as job.failed
    #[arg(long)]
    event: Option<String>,
    /// About this job
    #[arg(long)]
    job: Option<String>,
    /// About the jobs of this upload
    #[arg(long)]
    upload: Option<String>,
    #[arg(long)]
    rule: Option<String>,
    /// Told at this time or later, such as 2026-11-20T12:00:00Z, 2026-11-20 or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment)]
    since: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Subcommand)]
enum Act {
    /// Show one with all that is told
    Show(One),
    /// Send one again, now, with the same event id
    Resend(One),
}

#[derive(clap::Args)]
struct One {
    #[arg(value_name = "DELIVERY_ID")]
    id: String,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        match self.act {
            Some(Act::Show(one)) => show(one),
            Some(Act::Resend(one)) => resend(one),
            None => self.list(),
        }
    }

    fn list(self) -> Result<()> {
        let filters = [
            ("status", &self.status),
            ("kind", &self.kind),
            ("event", &self.event),
            ("job", &self.job),
            ("upload", &self.upload),
            ("rule", &self.rule),
            ("since", &self.since),
        ];
        self.listing.print("/v1/deliveries", &given(&filters), table(), cells)
    }
}

fn show(one: One) -> Result<()> {
    let client = one.common.access.client()?;
    output::json(&client.get(&path(&one.id), &[])?)
}

fn resend(one: One) -> Result<()> {
    let client: Client = one.common.access.client()?;
    let delivery = client.post(&format!("{}/resend", path(&one.id)), &json!({}))?;
    if one.common.json {
        return output::json(&delivery);
    }
    let mut table = table();
    table.row(cells(&delivery));
    table.print()
}

fn path(id: &str) -> String {
    format!("/v1/deliveries/{}", segment(id))
}

fn table() -> Table {
    Table::new(&["DELIVERY", "STATUS", "EVENT", "RECEIVER", "TRIES", "TOLD", "ABOUT", "ERROR"], &[4])
}

fn cells(delivery: &Value) -> [String; 8] {
    let text = |name: &str| delivery[name].as_str().unwrap_or_default().to_owned();
    [
        text("id"),
        text("status"),
        text("event"),
        text("receiver"),
        delivery["attempts"].to_string(),
        output::time(&text("created_at")),
        text("about"),
        text("last_error"),
    ]
}
