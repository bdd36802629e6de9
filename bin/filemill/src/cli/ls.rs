//! `filemill ls`: the objects of a bucket, by key.

use crate::client::access::Access;
use crate::client::views::{File, Listed};
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::size::ByteSize;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// What to list [default: everything]
    #[arg(value_name = "BUCKET[/PREFIX]")]
    place: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let mut query = Vec::new();
        if let Some(place) = self.place.as_deref() {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            query.push(("bucket", bucket));
            if !prefix.is_empty() {
                query.push(("prefix", prefix));
            }
        }
        let files: Listed<File> = self.access.client()?.list("/v1/files", &query, self.limit)?;
        if self.json {
            return output::json(&files.to_json());
        }
        let mut table = Table::new(&["CREATED", "SIZE", "OBJECT"], &[1]);
        for file in &files.views {
            let object = format!("{}/{}", file.bucket, file.key);
            table.row([output::time(&file.created_at), ByteSize(file.size).to_string(), object]);
        }
        if !table.is_empty() {
            table.print()?;
        }
        if files.next_cursor.is_some() {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
    }
}
