//! `filemill reconcile`: buckets compared with the records of their files, and what was missed made good.

use crate::client::access::Access;
use crate::exit::Ending;
use crate::output;
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Only this bucket
    #[arg(long)]
    bucket: Option<String>,
    /// Tell what differs and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let client = self.access.client()?;
        let mut run = client.post("/v1/reconcile", &json!({ "bucket": self.bucket, "dry_run": self.dry_run }))?;
        let asked_at = run["asked_at"].clone();
        while !self.no_wait && matches!(run["status"].as_str(), Some("waiting" | "running")) {
            std::thread::sleep(LOOK_EVERY);
            let newest = client.get("/v1/reconcile", &[])?;
            // one asked for earlier is still at work
            if newest["asked_at"] == asked_at {
                run = newest;
            } else if newest["asked_at"].as_str() > asked_at.as_str() {
                return Err(Ending::failed(
                    "another run began before this one's end was seen; the service's log has it",
                ));
            }
        }
        match (self.json, self.no_wait) {
            (true, _) => output::json(&run)?,
            (false, true) => output::line(format_args!("asked for; GET /v1/reconcile tells how it goes"))?,
            (false, false) => print(&run)?,
        }
        match run["failure"].as_str() {
            Some(why) => Err(Ending::failed(format!("the run did not come to its end: {why}"))),
            None => Ok(()),
        }
    }
}

fn print(run: &Value) -> Result<()> {
    let count = |name: &str| run[name].as_u64().unwrap_or(0);
    let (objects, files, unknown, lost) =
        (count("objects"), count("files"), count("unknown_objects"), count("lost_objects"));
    for example in run["examples"].as_array().into_iter().flatten() {
        let text = |name: &str| example[name].as_str().unwrap_or_default();
        let what =
            if text("difference") == "lost_object" { "record without an object" } else { "object without a record" };
        let name = format!("{}/{}", text("bucket"), text("key"));
        output::line(format_args!("{what}: {}", output::printable(&name)))?;
    }
    output::line(format_args!("{objects} objects and {files} files compared"))?;
    output::line(format_args!("{unknown} objects without a record, {lost} records without an object"))?;
    match run["dry_run"] == json!(true) {
        true => output::line(format_args!("nothing was changed")),
        false => output::line(format_args!("{} repaired", count("repaired"))),
    }
}
