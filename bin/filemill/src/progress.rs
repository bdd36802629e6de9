//! Progress bars on standard error; nothing is drawn where that is no terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

const BYTES: &str = "{prefix:28!} {bar:24} {bytes:>10} of {total_bytes:<10} {binary_bytes_per_sec:>12} {msg}";
const UNKNOWN: &str = "{prefix:28!} {spinner} {bytes:>10} {binary_bytes_per_sec:>12} {msg}";

/// A bar over bytes; `None`: nobody knows how many.
pub fn bytes(name: &str, total: Option<u64>) -> ProgressBar {
    styled(ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8)), name, total)
}

/// The same as one of several.
pub fn bytes_among(bars: &MultiProgress, name: &str, total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    styled(bars.add(bar), name, total)
}

fn styled(bar: ProgressBar, name: &str, total: Option<u64>) -> ProgressBar {
    let template = if total.is_some() { BYTES } else { UNKNOWN };
    let style = ProgressStyle::with_template(template).expect("a constant template");
    bar.with_style(style).with_prefix(crate::output::printable(name))
}
