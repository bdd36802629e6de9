//! Logs: to standard error, pretty for people or JSON for machines. Never a secret or a signed link.
//!
//! Libraries below us print whole requests, signatures included, at their finer levels: whatever the filter asks for,
//! they are heard with warnings and errors only. With the feature `otel`, spans go to a collector too, whatever the filter.

use crate::config::file::LogFormat;
use crate::exit::Ending;
use anyhow::Result;
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// What must be there until the end: dropped, it sends the traces that are still here.
#[must_use]
pub struct Started {
    #[cfg(feature = "otel")]
    _traces: Option<crate::traces::Traces>,
}

/// Call once. `filter` is a level or tracing's filter syntax.
pub fn start(filter: &str, format: LogFormat) -> Result<Started> {
    let parsed = EnvFilter::builder().parse(filter).map_err(|e| {
        Ending::usage(format!(
            "the log filter {filter:?} is wrong: {e}; write for example \"info\" or \"info,filemill_engine=debug\""
        ))
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
    };
    #[cfg_attr(not(feature = "otel"), expect(unused_mut))]
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
        vec![lines.with_filter(parsed.and(filter_fn(is_fit_to_print).with_max_level_hint(Level::TRACE))).boxed()];
    #[cfg(feature = "otel")]
    let traces = crate::traces::start()?.map(|(layer, traces)| {
        layers.push(layer);
        traces
    });
    tracing_subscriber::registry().with(layers).init();
    Ok(Started {
        #[cfg(feature = "otel")]
        _traces: traces,
    })
}

/// To `s3s` whatever the door refuses is an error; anybody could fill the log with them. What goes wrong here the door tells.
fn is_fit_to_print(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target.starts_with("filemill") || (*metadata.level() <= Level::WARN && !target.starts_with("s3s"))
}
