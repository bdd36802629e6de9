//! Bad records that were set aside: what is written of each, and how many of them a job may have.

use crate::limits;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::{self, Write};

/// One bad record.
#[derive(Clone, Copy, Debug)]
pub struct Reject<'a> {
    /// The line of the input where the record starts, from 1.
    pub line: u64,
    /// The byte of the input where the record starts, from 0.
    pub byte: u64,
    /// The column at fault, by its name or its number from 1, where there is one.
    pub column: Option<&'a str>,
    /// In words for the person who uploaded the file.
    pub reason: &'a str,
    /// The record as it stands in the input, without its line end.
    pub record: &'a [u8],
}

impl Reject<'_> {
    /// One line of JSON. A record beyond [`limits::REJECT_RECORD_BYTES_MAX`] is cut and says so; bytes that are no UTF-8
    /// are replaced (the input keeps them).
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let shown = &self.record[..self.record.len().min(limits::REJECT_RECORD_BYTES_MAX)];
        let mut line = json!({
            "line": self.line,
            "byte": self.byte,
            "column": self.column,
            "reason": self.reason,
            "record": String::from_utf8_lossy(shown),
        });
        if shown.len() < self.record.len() {
            line["record_bytes"] = self.record.len().into();
        }
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }
}

/// How many rejects a job may have and still complete: at most `count`, and at most `percent` of all records. Without
/// either any number is fine, but not all records: a result without any is no result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RejectTolerance {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

impl RejectTolerance {
    pub fn check(&self) -> Result<(), String> {
        match self.percent {
            Some(p) if !(0.0..=100.0).contains(&p) => Err(format!("rejects.percent is {p}; use 0 to 100")),
            _ => Ok(()),
        }
    }

    /// Too many of them? Then in words why.
    pub fn refuses(&self, rejects: u64, records: u64) -> Option<String> {
        if rejects == 0 {
            return None;
        }
        let of_all = format!("{rejects} of {records} records were rejected");
        if let Some(count) = self.count.filter(|count| rejects > *count) {
            return Some(format!("{of_all}; the rule allows {count}"));
        }
        // exact for any count: no record is rounded away
        if let Some(percent) = self.percent.filter(|p| rejects as f64 * 100.0 > p * records as f64) {
            return Some(format!("{of_all}; the rule allows {percent} %"));
        }
        let none_left = rejects >= records && self.count.is_none() && self.percent.is_none();
        none_left.then(|| format!("all {rejects} records were rejected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tolerance(count: Option<u64>, percent: Option<f64>) -> RejectTolerance {
        RejectTolerance { count, percent }
    }

    #[test]
    fn a_tolerance_holds_to_the_last_record_that_it_allows() {
        for (count, percent, rejects, records, refused) in [
            (None, None, 0, 0, false),
            (None, None, 9, 10, false),
            (None, None, 10, 10, true),
            (Some(0), None, 1, 10, true),
            (Some(3), None, 3, 10, false),
            (Some(3), None, 4, 10, true),
            (None, Some(10.0), 1, 10, false),
            (None, Some(10.0), 2, 19, true),
            (Some(100), Some(1.0), 2, 100, true),
            (Some(1), Some(100.0), 2, 100, true),
            (None, Some(100.0), 5, 5, false),
        ] {
            let found = tolerance(count, percent).refuses(rejects, records);
            assert_eq!(found.is_some(), refused, "{count:?} {percent:?} {rejects}/{records}: {found:?}");
        }
    }

    #[test]
    fn a_reject_is_one_line_of_json_whatever_the_record() {
        let long = vec![b'x'; limits::REJECT_RECORD_BYTES_MAX + 1];
        for record in [&b"a\nb\"\\"[..], b"\xff\0", &long] {
            let mut out = Vec::new();
            let reject = Reject { line: 7, byte: 99, column: Some("a,\"b"), reason: "3 fields", record };
            reject.write_to(&mut out).expect("memory");
            assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            let read: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            assert_eq!((&read["line"], &read["column"]), (&7.into(), &"a,\"b".into()));
            assert_eq!(read.get("record_bytes").is_some(), record.len() == long.len());
        }
    }
}
