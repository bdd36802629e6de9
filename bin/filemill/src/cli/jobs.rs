//! `filemill jobs`: the newest jobs.

use super::listing::{Listing, given};
use crate::client::views::Job;
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
    #[command(flatten)]
    listing: Listing,
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
        let table = Table::new(&["JOB", "STATUS", "RULE", "INPUT", "SIZE", "CHUNKS", "TOOK", "CREATED"], &[4, 5, 6]);
        self.listing.print("/v1/jobs", &given(&filters), table, cells)
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
