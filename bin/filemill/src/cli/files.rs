//! `filemill files`: the records of objects that exist, with their ids; one shown or removed.

use super::listing::given;
use crate::client::access::Access;
use crate::client::views::{File, Listed};
use crate::client::{decoded, segment};
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::size::ByteSize;
use serde_json::json;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Show these files only
    #[arg(value_name = "FILE_ID")]
    ids: Vec<String>,
    /// Remove the named files, their bytes too
    #[arg(long, requires = "ids")]
    remove: bool,
    #[arg(long, conflicts_with = "ids")]
    bucket: Option<String>,
    #[arg(long, conflicts_with = "ids")]
    prefix: Option<String>,
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
        let path_of = |id: &String| format!("/v1/files/{}", segment(id));
        if self.remove {
            for id in &self.ids {
                client.delete(&path_of(id))?;
            }
            let removed = || self.ids.iter().try_for_each(|id| output::line(format_args!("removed {id}")));
            return if self.json { output::json(&json!({ "removed": self.ids })) } else { removed() };
        }
        let files = if self.ids.is_empty() {
            let filters = [("bucket", &self.bucket), ("prefix", &self.prefix)];
            client.list("/v1/files", &given(&filters), self.limit)?
        } else {
            let items = self.ids.iter().map(|id| client.get(&path_of(id), &[])).collect::<Result<Vec<_>>>()?;
            let views = items.iter().cloned().map(decoded).collect::<Result<_>>()?;
            Listed { items, views, next_cursor: None }
        };
        if self.json { output::json(&files.to_json()) } else { print(&files) }
    }
}

fn print(files: &Listed<File>) -> Result<()> {
    let mut table = Table::new(&["FILE", "SIZE", "CREATED", "OBJECT"], &[1]);
    for file in &files.views {
        let object = format!("{}/{}", file.bucket, file.key);
        table.row([file.id.clone(), ByteSize(file.size).to_string(), output::time(&file.created_at), object]);
    }
    table.print()?;
    if files.next_cursor.is_some() {
        eprintln!("there are more; --limit shows them");
    }
    Ok(())
}
