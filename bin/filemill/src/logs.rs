//! Logs: to standard error, pretty for people or JSON for machines. Never a secret or a signed link.
//!
//! Libraries below us print whole requests, signatures included, at their finer levels: whatever the filter asks for,
//! they are heard with warnings and errors only. With the feature `otel`, spans go to a collector too, whatever the filter.
//!
//! An event is one line, whatever is in its values: keys and errors may hold what strangers wrote.

use crate::config::file::LogFormat;
use crate::exit::Ending;
use anyhow::Result;
use std::fmt;
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
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
    let lines = layer_of(format, std::io::stderr, std::io::stderr().is_terminal());
    #[cfg_attr(not(feature = "otel"), expect(unused_mut))]
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
        vec![lines.with_filter(parsed.and(filter_fn(is_fit_to_print).with_max_level_hint(Level::TRACE))).boxed()];
    #[cfg(feature = "otel")]
    let traces = crate::traces::start()?.map(|(layer, traces)| {
        layers.push(layer);
        traces
    });
    tracing_subscriber::registry().with(layers).init();
    #[cfg(not(feature = "otel"))]
    if let Some(variable) = collector_in_vain(|name| std::env::var(name).ok()) {
        tracing::warn!(variable, "no traces are sent: this binary was built without the feature otel");
    }
    Ok(Started {
        #[cfg(feature = "otel")]
        _traces: traces,
    })
}

/// The variable that names a collector, of which this binary knows nothing.
#[cfg(not(feature = "otel"))]
fn collector_in_vain(value_of: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let is_off = value_of("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || value_of("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let mut names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"].into_iter();
    names.find(|name| !is_off && value_of(name).is_some_and(|value| !value.is_empty()))
}

fn layer_of<W>(format: LogFormat, writer: W, in_colours: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.fmt_fields(OneLine::default()).with_ansi(in_colours).with_target(false).boxed(),
    }
}

/// To `s3s` whatever the door refuses is an error; anybody could fill the log with them. What goes wrong here the door tells.
fn is_fit_to_print(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target.starts_with("filemill") || (*metadata.level() <= Level::WARN && !target.starts_with("s3s"))
}

/// Fields as usual, but in no colours, and with their control characters shown: a line break in a value would begin a
/// line that looks like ours. JSON has no such trouble.
#[derive(Default)]
struct OneLine(DefaultFields);

impl<'w> FormatFields<'w> for OneLine {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::new();
        self.0.format_fields(Writer::new(&mut text), fields)?;
        for c in text.chars() {
            match c {
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    write!(writer, "{}", c.escape_default())?
                }
                c => writer.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic in here").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// As [`start`] makes them of one event about a key.
    fn logged(key: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = layer_of(format, move || writer.clone(), false);
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            tracing::warn!(bucket = "uploads", %key, what = key, "object expired");
        });
        String::from_utf8(lines.0.lock().expect("no panic in here").clone()).expect("text")
    }

    #[cfg(not(feature = "otel"))]
    #[test]
    fn a_collector_that_gets_nothing_is_noticed_unless_nothing_is_wanted() {
        let noticed = |given: &'static [(&str, &str)]| {
            let value_of = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            collector_in_vain(value_of)
        };
        assert_eq!(noticed(&[]), None);
        assert_eq!(noticed(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
        assert_eq!(noticed(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "x")]), Some("OTEL_EXPORTER_OTLP_ENDPOINT"));
        assert_eq!(noticed(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "x"), ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(noticed(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "x"), ("OTEL_TRACES_EXPORTER", "none")]), None);
    }

    #[test]
    fn no_key_begins_a_line_of_its_own_or_commands_the_terminal() {
        let key = "a\r\n2026-01-01T00:00:00Z  INFO everything is fine\u{1b}[2K\u{9b}1A\u{2028}x";
        let pretty = logged(key, LogFormat::Pretty);
        let line = pretty.strip_suffix('\n').expect("a line");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}'), "{line:?}");
        assert!(line.contains("everything is fine") && line.contains("object expired"), "{line:?}");
        let json = logged(key, LogFormat::Json);
        let line = json.strip_suffix('\n').expect("a line");
        assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line:?}");
        assert!(logged("plain", LogFormat::Pretty).contains("key=plain"), "and what is harmless stays as it is");
    }
}
