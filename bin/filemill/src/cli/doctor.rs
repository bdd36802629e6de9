//! `filemill doctor`: does anything in the store contradict anything else? Of a running service, or of a stopped one's folder.

use crate::backends::Stopped;
use crate::client::access::Access;
use crate::clock::SystemClock;
use crate::exit::Ending;
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::ports::Clock;
use serde_json::Value;

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
        let checkup = match self.access.stopped()? {
            Stopped::Store(store) => {
                eprintln!("no service has this folder open; it is held while it is looked at, and nothing is changed");
                serde_json::to_value(store.check_up(SystemClock.now())?)?
            }
            Stopped::InUse | Stopped::Unnamed => self.access.client()?.get_unhurried("/v1/checkup")?,
        };
        if self.json {
            output::json(&checkup)?;
        } else {
            print(&checkup)?;
        }
        match findings(&checkup).len() {
            0 => Ok(()),
            1 => Err(Ending::failed("one kind of thing is not as it should be")),
            kinds => Err(Ending::failed(format!("{kinds} kinds of things are not as they should be"))),
        }
    }
}

fn findings(checkup: &Value) -> &[Value] {
    checkup["findings"].as_array().map_or(&[], Vec::as_slice)
}

fn print(checkup: &Value) -> Result<()> {
    if findings(checkup).is_empty() {
        return output::line(format_args!("all is well: {} kinds of things looked for, none found", checkup["checks"]));
    }
    let mut table = Table::new(&["COUNT", "WHAT", "FOR EXAMPLE"], &[0]);
    for finding in findings(checkup) {
        let examples = finding["examples"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let what = finding["what"].as_str().unwrap_or_default().to_owned();
        table.row([finding["count"].to_string(), what, examples.take(3).collect::<Vec<_>>().join(", ")]);
    }
    table.print()
}
