//! What commands that list have in common: how many, as what, and a table.

use crate::client::access::Access;
use crate::client::views::Listed;
use crate::output::{self, Table};
use anyhow::Result;
use serde::de::DeserializeOwned;

#[derive(clap::Args)]
pub struct Listing {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub access: Access,
}

/// Those that were given.
pub fn given<'a>(filters: &[(&'a str, &'a Option<String>)]) -> Vec<(&'a str, &'a str)> {
    filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect()
}

impl Listing {
    /// What the service lists at `path`, a row for each.
    pub fn print<T: DeserializeOwned, const N: usize>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut table: Table,
        row: impl Fn(&T) -> [String; N],
    ) -> Result<()> {
        let found: Listed<T> = self.access.client()?.list(path, query, self.limit)?;
        if self.json {
            return output::json(&found.to_json());
        }
        for view in &found.views {
            table.row(row(view));
        }
        table.print()?;
        if found.next_cursor.is_some() {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
    }
}
