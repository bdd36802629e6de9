//! What commands print: tables for people, JSON for programs. A reader that went away ends the command quietly.

use crate::exit::BrokenOutput;
use anyhow::Result;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// One line to standard output.
pub fn line(text: impl std::fmt::Display) -> Result<()> {
    writeln!(io::stdout().lock(), "{text}").map_err(|e| BrokenOutput(e).into())
}

/// Standard output for bytes: without the line buffer that `io::stdout` puts before it.
pub fn raw() -> Result<File> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned();
    descriptor.map(File::from).map_err(|e| BrokenOutput(e).into())
}

pub fn json(value: &Value) -> Result<()> {
    line(format_args!("{value:#}"))
}

/// Columns as wide as their widest cell; those named in `right` are numbers.
pub struct Table {
    rows: Vec<Vec<String>>,
    right: &'static [usize],
}

impl Table {
    pub fn new(head: &[&str], right: &'static [usize]) -> Table {
        Table { rows: vec![head.iter().map(|h| h.to_string()).collect()], right }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        for row in &self.rows {
            writeln!(out, "{}", self.formatted(row)).map_err(BrokenOutput)?;
        }
        Ok(())
    }

    fn formatted(&self, row: &[String]) -> String {
        let width = |i: usize| self.rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
        let cells = row.iter().enumerate().map(|(i, cell)| {
            let width = width(i);
            if self.right.contains(&i) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// Keys may hold anything, a terminal must not: control characters are shown, not sent.
pub fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

/// As [`printable`], but a text of several lines keeps them.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// `1 letter`, `3 letters`
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `2026-05-12 08:00:01` of an RFC 3339 time.
pub fn time(text: &str) -> String {
    text.get(..19).map_or_else(|| text.to_owned(), |t| t.replace('T', " "))
}

/// `850 ms`, `4.2 s`, `3 min 5 s`
pub fn duration(d: std::time::Duration) -> String {
    match d.as_millis() {
        ms @ ..1000 => format!("{ms} ms"),
        ms @ ..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        ms => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_command_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nü"), "a\\u{1b}[2Jb\\nü");
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["key", "size"], &[1]);
        table.row(["Ü".into(), "10".into()]);
        table.row(["long".into(), "1".into()]);
        let lines: Vec<String> = table.rows.iter().map(|r| table.formatted(r)).collect();
        assert_eq!(lines, ["key   size", "Ü       10", "long     1"]);
    }

    #[test]
    fn durations_read_well() {
        let of = |ms| duration(std::time::Duration::from_millis(ms));
        assert_eq!([of(5), of(4200), of(185_000)], ["5 ms", "4.2 s", "3 min 5 s"]);
    }
}
