//! What comes out: one row per measure, as a Markdown table or as JSON.

use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Samples of one side.
#[derive(Default, Clone)]
pub struct Side {
    pub values: Vec<f64>,
    pub cpu_secs: Vec<f64>,
    pub peak_memory: u64,
}

impl Side {
    pub fn add(&mut self, value: f64, cpu: Duration, peak_memory: u64) {
        self.values.push(value);
        self.cpu_secs.push(cpu.as_secs_f64());
        self.peak_memory = self.peak_memory.max(peak_memory);
    }

    pub fn of(value: f64) -> Self {
        Side { values: vec![value], ..Side::default() }
    }

    pub fn median(&self) -> f64 {
        median(&self.values)
    }

    fn cpu(&self) -> Option<f64> {
        (!self.cpu_secs.is_empty()).then(|| median(&self.cpu_secs))
    }

    fn memory_mib(&self) -> Option<f64> {
        (self.peak_memory > 0).then(|| self.peak_memory as f64 / f64::from(1 << 20))
    }
}

#[derive(Clone, Copy)]
pub enum Target {
    None,
    RatioAtMost(f64),
    RatioAtLeast(f64),
    AtMost(f64),
    AtLeast(f64),
}

pub struct Row {
    pub job: String,
    /// Of the values: `s`, `MB/s`, `ops/s`, `ms`, `MiB`.
    pub unit: &'static str,
    pub ours: Side,
    pub peer: Option<(&'static str, Side)>,
    pub target: Target,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let (_, peer) = self.peer.as_ref()?;
        Some(self.ours.median() / peer.median())
    }

    fn is_met(&self) -> Option<bool> {
        let ours = self.ours.median();
        match self.target {
            Target::None => None,
            Target::RatioAtMost(limit) => self.ratio().map(|r| r <= limit),
            Target::RatioAtLeast(limit) => self.ratio().map(|r| r >= limit),
            Target::AtMost(limit) => Some(ours <= limit),
            Target::AtLeast(limit) => Some(ours >= limit),
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::None => String::new(),
            Target::RatioAtMost(limit) => format!("<= {limit} x"),
            Target::RatioAtLeast(limit) => format!(">= {limit} x"),
            Target::AtMost(limit) => format!("<= {limit} {}", self.unit),
            Target::AtLeast(limit) => format!(">= {limit} {}", self.unit),
        }
    }
}

pub fn markdown(machine: &str, rounds: u32, rows: &[Row]) -> String {
    let mut out = format!("Medians of {rounds} rounds. {machine}.\n\n");
    out.push_str("| job | Filemill | peer | ratio | target | met | CPU s, ours / peer | peak MiB, ours / peer |\n");
    out.push_str("|---|---:|---:|---:|---|---|---:|---:|\n");
    for row in rows {
        let peer = row.peer.as_ref().map(|(name, side)| format!("{} {} ({name})", short(side.median()), row.unit));
        let ratio = row.ratio().map_or_else(String::new, |r| format!("{r:.2}"));
        let met = row.is_met().map_or("", |met| if met { "yes" } else { "**no**" });
        let peer_side = row.peer.as_ref().map(|(_, side)| side);
        let _ = writeln!(
            out,
            "| {} | {} {} | {} | {ratio} | {} | {met} | {} | {} |",
            row.job,
            short(row.ours.median()),
            row.unit,
            peer.unwrap_or_default(),
            row.target_text(),
            pair(row.ours.cpu(), peer_side.and_then(Side::cpu)),
            pair(row.ours.memory_mib(), peer_side.and_then(Side::memory_mib)),
        );
    }
    out
}

pub fn json(machine: &str, rounds: u32, rows: &[Row]) -> String {
    let rows: Vec<Value> = rows.iter().map(row_json).collect();
    let document = json!({ "machine": machine, "rounds": rounds, "rows": rows });
    format!("{document:#}")
}

fn row_json(row: &Row) -> Value {
    json!({
        "job": row.job,
        "unit": row.unit,
        "ours": side_json(&row.ours),
        "peer": row.peer.as_ref().map(|(name, side)| {
            let mut value = side_json(side);
            value["name"] = (*name).into();
            value
        }),
        "ratio": row.ratio(),
        "target": row.target_text(),
        "met": row.is_met(),
    })
}

fn side_json(side: &Side) -> Value {
    json!({
        "median": side.median(),
        "values": side.values,
        "cpu_secs": side.cpu(),
        "peak_memory_mib": side.memory_mib(),
    })
}

fn pair(ours: Option<f64>, peer: Option<f64>) -> String {
    match (ours, peer) {
        (None, None) => String::new(),
        (ours, peer) => format!("{} / {}", ours.map_or("-".into(), short), peer.map_or("-".into(), short)),
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The nearest rank; of two middle values their mean.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => f64::NAN,
        _ if percent == 50.0 && n.is_multiple_of(2) => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        _ => {
            let rank = (percent / 100.0 * n as f64).ceil() as usize;
            sorted[rank.clamp(1, n) - 1]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_what_textbooks_say() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 99.0), 99.0);
    }

    #[test]
    fn a_missed_target_is_shown_as_missed() {
        let mut row = Row {
            job: "x".into(),
            unit: "s",
            ours: Side::of(2.0),
            peer: Some(("sed", Side::of(1.0))),
            target: Target::RatioAtMost(1.0),
        };
        assert!(markdown("m", 1, std::slice::from_ref(&row)).contains("**no**"));
        row.target = Target::RatioAtMost(2.0);
        assert!(markdown("m", 1, std::slice::from_ref(&row)).contains("| yes |"));
    }
}
