//! The columns of a CSV made from JSON: given by the options, or found in the records.
//!
//! Found ones are the names of the first records, or of all, in order of first appearance. Records that are set aside
//! name no columns. How a job of many chunks knows them: the survey's note has them.

use super::fault::{OnBad, Place};
use super::flat::{Flat, Growth};
use super::paths::NAME_BYTES_MAX;
use super::records::Records;
use filemill_core::limits::{COLUMNS_MAX, MIB, SURVEY_NOTE_BYTES_MAX};
use filemill_core::ports::ProcessError;
use serde::Deserialize;
use serde_json::{Value, json};

/// Columns are found in records that start before this byte: so much is kept to be read again, and one record.
pub const FOUND_WITHIN_BYTES: u64 = 8 * MIB;
/// One entry of the option `columns`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a name, or { from = name, to = header }")]
pub enum Wanted {
    Name(String),
    Renamed(Renamed),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renamed {
    from: String,
    to: String,
}

/// Where values come from, and what the column is called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    pub paths: Vec<String>,
    pub headers: Vec<String>,
}

impl Columns {
    pub fn wanted(wanted: &[Wanted]) -> Result<Self, String> {
        if wanted.is_empty() || wanted.len() > COLUMNS_MAX {
            return Err(format!("option \"columns\" has {} entries; give 1 to {COLUMNS_MAX}", wanted.len()));
        }
        let mut columns = Columns::default();
        for entry in wanted {
            let (from, to) = match entry {
                Wanted::Name(name) => (name, name),
                Wanted::Renamed(renamed) => (&renamed.from, &renamed.to),
            };
            if from.len() > NAME_BYTES_MAX || to.len() > NAME_BYTES_MAX {
                return Err(format!("option \"columns\": a name is longer than {NAME_BYTES_MAX} bytes"));
            }
            columns.paths.push(from.clone());
            columns.headers.push(to.clone());
        }
        for names in [&columns.paths, &columns.headers] {
            let mut sorted: Vec<_> = names.iter().collect();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(format!("option \"columns\" has {:?} twice; name each once", pair[0]));
            }
        }
        Ok(columns)
    }

    pub fn found(paths: Vec<String>) -> Self {
        Columns { headers: paths.clone(), paths }
    }

    /// What the survey noted.
    pub fn noted(note: &Value) -> Option<Self> {
        let names = note.get("columns")?.as_array()?;
        Some(Columns::found(names.iter().map(|n| n.as_str().map(str::to_owned)).collect::<Option<_>>()?))
    }

    pub fn note(&self) -> Value {
        json!({ "columns": self.paths })
    }
}

/// How far columns are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    First(u64),
    All,
}

/// Reads records and gathers the names of their values. Where a record ends the job, the search ends: whoever
/// processes them will come upon it too.
pub fn find(
    records: &mut Records<'_>,
    separator: &str,
    search: Search,
    on_bad: OnBad,
) -> Result<Columns, ProcessError> {
    let mut flat = Flat::growing(separator, COLUMNS_MAX);
    let mut found = Found::default();
    let mut left = match search {
        Search::First(count) => {
            records.stop_at(FOUND_WITHIN_BYTES);
            count
        }
        Search::All => u64::MAX,
    };
    while left > 0 {
        left -= 1;
        let record = match records.next(&mut flat) {
            Ok(Some(record)) => record,
            Err(ProcessError::Io(e)) => return Err(e.into()),
            Ok(None) | Err(ProcessError::Failed(_)) => break,
        };
        let Some(growth) = &flat.growth else { break };
        if let Some(overflow) = &growth.overflow {
            return Err(too_many(record.start, overflow));
        }
        match (record.fault.is_some() || flat.refusal.is_some(), on_bad) {
            (true, OnBad::Error) => {
                // so that it ends for what is wrong with it, not for a column that was not looked for any more
                let _ = found.take(&flat, growth);
                break;
            }
            (true, OnBad::Reject) => continue,
            (false, _) => found.take(&flat, growth).map_err(|words| too_many(record.start, words))?,
        }
    }
    Ok(Columns::found(found.names))
}

fn too_many(place: Place, what: &str) -> ProcessError {
    place.error("input_too_large", &format!("{what} were found; name those that you need in the option \"columns\""))
}

#[derive(Default)]
struct Found {
    /// Of each column: did a good record have it?
    is_known: Vec<bool>,
    names: Vec<String>,
    /// Of the note.
    bytes: usize,
}

impl Found {
    /// The columns of a good record.
    fn take(&mut self, flat: &Flat, growth: &Growth) -> Result<(), &'static str> {
        self.is_known.resize(flat.columns(), false);
        for column in &growth.touched {
            if std::mem::replace(&mut self.is_known[*column as usize], true) {
                continue;
            }
            let name = growth.name(&flat.paths, *column);
            self.bytes += json!(name).to_string().len() + 1;
            if self.bytes > SURVEY_NOTE_BYTES_MAX - 64 {
                return Err("names of more than 256 KiB together");
            }
            self.names.push(name);
        }
        Ok(())
    }
}
