//! What a processor tells besides its bytes, chunk by chunk, and how the chunks' reports become the job's.

use crate::finding::Finding;
use crate::limits;
use crate::size::json_bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a run of [`process`](crate::ports::Transform::process) tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChunkReport {
    /// Records seen, rejected ones included; 0 where the processor knows no records.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub records: u64,
    /// Figures and facts for the job's `summary`: numbers of chunks are added up, of other values the first stays.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub summary: Map<String, Value>,
    /// Joins the job's metadata, and wins over what is there.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// What was found in the file, for `GET /v1/findings`. Whole inputs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// What a browser should call the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

impl ChunkReport {
    /// The next chunk's joins those before it.
    pub fn add(&mut self, next: ChunkReport) {
        self.records += next.records;
        for (name, value) in next.summary {
            let sum = self.summary.get(&name).and_then(Value::as_u64).zip(value.as_u64()).map(|(a, b)| a + b);
            match sum {
                Some(sum) => drop(self.summary.insert(name, sum.into())),
                None => drop(self.summary.entry(name).or_insert(value)),
            }
        }
        self.metadata.extend(next.metadata);
        self.finding = self.finding.take().or(next.finding);
        self.filename = self.filename.take().or(next.filename);
    }

    /// What a job may carry: more than that is dropped, and the summary says so.
    pub fn bounded(mut self) -> Self {
        if json_bytes(&self.summary) > limits::JOB_SUMMARY_BYTES_MAX {
            self.summary = Map::from_iter([("truncated".to_owned(), Value::Bool(true))]);
        }
        if json_bytes(&self.metadata) > limits::JOB_METADATA_BYTES_MAX {
            self.metadata = Map::new();
            self.summary.insert("metadata_dropped".into(), true.into());
        }
        self
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(records: u64, summary: Value) -> ChunkReport {
        let summary = summary.as_object().expect("an object").clone();
        ChunkReport { records, summary, ..ChunkReport::default() }
    }

    #[test]
    fn numbers_add_up_and_other_facts_stay() {
        let mut sum = report(3, json!({ "cells": 2, "label": "A" }));
        sum.add(report(4, json!({ "cells": 5, "label": "B", "only": 1 })));
        assert_eq!(sum, report(7, json!({ "cells": 7, "label": "A", "only": 1 })));
    }

    #[test]
    fn a_summary_that_is_too_long_says_so() {
        let long = report(1, json!({ "text": "x".repeat(limits::JOB_SUMMARY_BYTES_MAX) })).bounded();
        assert_eq!(long.summary["truncated"], true);
    }
}
