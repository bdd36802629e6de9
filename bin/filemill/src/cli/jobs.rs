//! `filemill jobs`: the newest jobs.

use crate::client::access::Access;
use crate::client::views::{Job, Listed};
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::size::ByteSize;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// queued, running, completed, failed or cancelled
    #[arg(long)]
    status: Option<String>,
    #[arg(long)]
    rule: Option<String>,
    /// Bucket of the input
    #[arg(long)]
    bucket: Option<String>,
    /// Key of the input; a * at its end makes it a prefix
    #[arg(long)]
    key: Option<String>,
    /// Jobs that this upload started
    #[arg(long, value_name = "UPLOAD_ID")]
    upload: Option<String>,
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
            ("status", &self.status),
            ("rule", &self.rule),
            ("bucket", &self.bucket),
            ("key", &self.key),
            ("upload", &self.upload),
        ];
        let query: Vec<(&str, &str)> = filters.iter().filter_map(|(n, v)| Some((*n, v.as_deref()?))).collect();
        let jobs: Listed<Job> = self.access.client()?.list("/v1/jobs", &query, self.limit)?;
        if self.json {
            return output::json(&jobs.to_json());
        }
        let mut table =
            Table::new(&["JOB", "STATUS", "RULE", "INPUT", "SIZE", "CHUNKS", "TOOK", "CREATED"], &[4, 5, 6]);
        for job in &jobs.views {
            table.row(cells(job));
        }
        table.print()?;
        if jobs.next_cursor.is_some() {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
    }
}

fn cells(job: &Job) -> [String; 8] {
    [
        job.id.clone(),
        job.status.clone(),
        job.rule.clone(),
        format!("{}/{}", job.input.bucket, job.input.key),
        ByteSize(job.input.size).to_string(),
        format!("{}/{}", job.chunks.done, job.chunks.total),
        job.duration().map_or_else(|| "-".into(), output::duration),
        output::time(&job.created_at),
    ]
}
