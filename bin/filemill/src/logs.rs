//! Logs: to standard error, pretty for people or JSON for machines. Never a secret or a signed link.

use crate::config::file::LogFormat;
use crate::exit::Ending;
use anyhow::Result;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Call once. `filter` is a level or tracing's filter syntax.
pub fn start(filter: &str, format: LogFormat) -> Result<()> {
    let parsed = EnvFilter::builder().parse(filter).map_err(|e| {
        Ending::usage(format!(
            "the log filter {filter:?} is wrong: {e}; write for example \"info\" or \"info,filemill_engine=debug\""
        ))
    })?;
    let base = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => base.json().flatten_event(true).init(),
        LogFormat::Pretty => base.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
    Ok(())
}
