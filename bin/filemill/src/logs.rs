//! Logs: to standard error, pretty for people or JSON for machines. Never a secret or a signed link.
//!
//! Libraries below us print whole requests, signatures included, at their finer levels: whatever the filter asks for,
//! they are heard with warnings and errors only.

use crate::config::file::LogFormat;
use crate::exit::Ending;
use anyhow::Result;
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Call once. `filter` is a level or tracing's filter syntax.
pub fn start(filter: &str, format: LogFormat) -> Result<()> {
    let parsed = EnvFilter::builder().parse(filter).map_err(|e| {
        Ending::usage(format!(
            "the log filter {filter:?} is wrong: {e}; write for example \"info\" or \"info,filemill_engine=debug\""
        ))
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let quiet = tracing_subscriber::registry().with(parsed).with(filter_fn(is_fit_to_print));
    match format {
        LogFormat::Json => quiet.with(lines.json().flatten_event(true)).init(),
        LogFormat::Pretty => quiet.with(lines.with_ansi(std::io::stderr().is_terminal()).with_target(false)).init(),
    }
    Ok(())
}

/// To `s3s` whatever the door refuses is an error; anybody could fill the log with them. What goes wrong here the door tells.
fn is_fit_to_print(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target.starts_with("filemill") || (*metadata.level() <= Level::WARN && !target.starts_with("s3s"))
}
