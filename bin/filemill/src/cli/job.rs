//! `filemill job`: one job, shown, followed to its end, cancelled or retried.

use crate::client::access::Access;
use crate::client::events::{Event, Events};
use crate::client::views::Job;
use crate::client::{Client, decoded, segment, wait};
use crate::exit::Ending;
use crate::{output, progress};
use anyhow::Result;
use filemill_core::size::ByteSize;
use indicatif::ProgressBar;
use serde_json::Value;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    id: String,
    /// Show live progress until the job ends; exit 1 if it did not complete
    #[arg(long)]
    follow: bool,
    /// Stop the job; it starts nothing more
    #[arg(long, conflicts_with = "retry")]
    cancel: bool,
    /// Run a failed or cancelled job again
    #[arg(long)]
    retry: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let client = self.access.client()?;
        if self.cancel {
            client.order(&self.id, "cancel")?;
        }
        if self.retry {
            client.order(&self.id, "retry")?;
        }
        if self.follow {
            // a job that is not there is said at once, before anything is listened to
            client.job(&self.id)?;
            let mut events = client.events(&[("job", &self.id)])?;
            follow(&client, &mut events, &self.id)?;
        }
        let value = client.get(&format!("/v1/jobs/{}", segment(&self.id)), &[])?;
        let job: Job = decoded(value.clone())?;
        if self.json {
            output::json(&value)?
        } else {
            print(&job)?
        }
        if self.follow && !job.is_completed() {
            return Err(Ending::failed(format!("job {} {}: {}", job.id, job.status, job.reason())));
        }
        Ok(())
    }
}

/// Live progress on standard error until the job ends.
pub fn follow(client: &Client, events: &mut Events<'_>, id: &str) -> Result<Job> {
    let bar = progress::bytes(id, Some(0));
    let on_event = |event: &Event| {
        if let Some(read) = event.data["bytes"]["in"].as_u64() {
            bar.set_position(read);
        }
    };
    let job = wait::for_job(client, events, id, on_event, |job| show(&bar, job))?;
    bar.finish_and_clear();
    Ok(job)
}

fn show(bar: &ProgressBar, job: &Job) {
    bar.set_length(job.input.size);
    bar.set_position(job.bytes.read);
    bar.set_message(job.status.clone());
}

/// A job on one line.
pub fn summary(job: &Job) -> String {
    let took = job.duration().map_or_else(String::new, |d| format!("  {}", output::duration(d)));
    let end = match (&job.output, job.is_completed()) {
        (Some(out), true) if job.rejects > 0 => {
            format!("{}/{}  ({} of {} records set aside)", out.bucket, out.key, job.rejects, job.records)
        }
        (Some(out), true) => format!("{}/{}", out.bucket, out.key),
        _ => job.reason(),
    };
    format!("{}  {}  {}{took}  {}", job.id, job.rule, job.status, output::printable(&end))
}

fn print(job: &Job) -> Result<()> {
    let object = |o: &crate::client::views::Object| format!("{}/{}  {}", o.bucket, o.key, ByteSize(o.size));
    let none = || "-".to_owned();
    let rows = [
        ("job", job.id.clone()),
        ("status", job.status.clone()),
        ("rule", format!("{} ({})", job.rule, job.processor)),
        ("input", object(&job.input)),
        ("output", job.output.as_ref().map_or_else(none, object)),
        ("chunks", format!("{} of {}", job.chunks.done, job.chunks.total)),
        ("bytes", format!("{} read, {} written", ByteSize(job.bytes.read), ByteSize(job.bytes.written))),
        ("records", format!("{}, {} of them rejected", job.records, job.rejects)),
        ("rejects", job.reject_file.as_ref().map_or_else(none, object)),
        ("summary", if job.summary.is_empty() { none() } else { Value::from(job.summary.clone()).to_string() }),
        ("attempts", format!("{} (of all its tasks)", job.attempts)),
        ("created", output::time(&job.created_at)),
        ("started", job.started_at.as_deref().map_or_else(none, output::time)),
        ("finished", job.finished_at.as_deref().map_or_else(none, output::time)),
        ("letter", job.dead_letter.clone().unwrap_or_else(none)),
        ("took", job.duration().map_or_else(none, output::duration)),
    ];
    for (name, value) in rows {
        output::line(format_args!("{name:<9} {}", output::printable(&value)))?;
    }
    match &job.failure {
        Some(_) => output::line(format_args!("failure   {}", output::printable_lines(&job.reason()))),
        None => Ok(()),
    }
}
