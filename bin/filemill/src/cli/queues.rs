//! `filemill queues`: what waits, runs and gave up in each queue.

use crate::client::access::Access;
use crate::output::{self, Table};
use anyhow::Result;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let queues = self.access.client()?.get("/v1/queues", &[])?;
        if self.json {
            return output::json(&queues);
        }
        let mut table = Table::new(&["QUEUE", "READY", "WAITING", "RUNNING", "DEAD", "OLDEST"], &[1, 2, 3, 4, 5]);
        for queue in queues["items"].as_array().into_iter().flatten() {
            let number = |name: &str| queue[name].as_u64().unwrap_or_default().to_string();
            let age = queue["oldest_age_secs"].as_f64().filter(|_| !queue["oldest_ready_at"].is_null());
            let oldest =
                age.map_or_else(|| "-".into(), |secs| output::duration(Duration::from_secs_f64(secs.max(0.0))));
            let name = queue["name"].as_str().unwrap_or_default().to_owned();
            table.row([name, number("ready"), number("waiting"), number("running"), number("dead"), oldest]);
        }
        table.print()
    }
}
