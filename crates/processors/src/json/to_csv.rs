//! `json.to_csv`: objects to rows. Nested objects are flattened by dotted names, an array is its compact JSON text in one
//! cell, a missing key or null is an empty cell, an empty object is `{}`; numbers keep their text.
//!
//! Columns are given or found. Values of a name that is no column are refused, ignored or rejected, never dropped unasked.
//! Nothing is converted: whoever reads the CSV decides what is a number.

use super::columns::{Columns, Search, Wanted, find};
use super::compact::Blocks;
use super::fault::OnBad;
use super::flat::{Flat, Refusal};
use super::records::{Layout, Records};
use super::row::{CsvFormat, Rows};
use super::{FROM, ON_BAD, cut, line_starts};
use crate::options;
use filemill_core::chunks::{ChunkPlan, Cut, Survey};
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{self, Read};

pub struct JsonToCsv;

/// Records that columns are found in.
const FIND_DEFAULT: u64 = 1000;
const SEPARATOR_BYTES_MAX: usize = 16;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("json.to_csv"),
    summary: Cow::Borrowed("A JSON array or JSON Lines to CSV: one row for each object."),
    options: &[
        OptionSpec { default: "\"auto\"", ..FROM },
        OptionSpec::new(
            "columns",
            "array",
            "The columns in order: flattened names, or { from = name, to = header }. Without it they are found.",
            "[\"id\", { \"from\": \"address.city\", \"to\": \"City\" }]",
        ),
        OptionSpec {
            default: "1000",
            ..OptionSpec::new(
                "find_columns",
                "integer or string",
                "Columns are the names in so many first records (within 8 MiB), or \"all\" for one more pass over the input.",
                "\"all\"",
            )
        },
        OptionSpec {
            default: "\"error\"",
            choices: &["\"error\"", "\"ignore\"", "\"reject\""],
            ..OptionSpec::new(
                "unknown_column",
                "string",
                "A value whose name is not among the columns ends the job, is left out, or sends its record to the \
                 reject file.",
                "\"ignore\"",
            )
        },
        OptionSpec {
            default: "\".\"",
            ..OptionSpec::new("separator", "string", "Between the names of nested objects.", "\"/\"")
        },
        OptionSpec {
            default: "\",\"",
            ..OptionSpec::new("delimiter", "string", "Between cells: one ASCII character.", "\";\"")
        },
        OptionSpec {
            default: "\"lf\"",
            choices: &["\"lf\"", "\"crlf\""],
            ..OptionSpec::new("line_end", "string", "Behind each row.", "\"crlf\"")
        },
        OptionSpec {
            default: "true",
            ..OptionSpec::new("header", "boolean", "Is the first row the names of the columns?", "false")
        },
        OptionSpec {
            default: "false",
            ..OptionSpec::new(
                "formula_guard",
                "boolean",
                "Texts that a spreadsheet would run as a formula get a leading single quote; numbers stay.",
                "true",
            )
        },
        ON_BAD,
    ],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    from: Layout,
    columns: Option<Vec<Wanted>>,
    find_columns: Option<FindColumns>,
    #[serde(default)]
    unknown_column: Unknown,
    separator: Option<String>,
    delimiter: Option<String>,
    #[serde(default)]
    line_end: LineEnd,
    header: Option<bool>,
    #[serde(default)]
    formula_guard: bool,
    #[serde(default)]
    on_bad_record: OnBad,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "a number of records from 1 on, or \"all\"")]
enum FindColumns {
    First(std::num::NonZeroU64),
    All(All),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum All {
    All,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unknown {
    #[default]
    Error,
    Ignore,
    Reject,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LineEnd {
    #[default]
    Lf,
    Crlf,
}

struct ToCsv {
    from: Layout,
    columns: Option<Columns>,
    search: Search,
    unknown: Unknown,
    separator: String,
    csv: CsvFormat,
    has_header: bool,
    on_bad: OnBad,
}

impl Processor for JsonToCsv {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        let options = options::read::<Options>(options)?;
        if options.columns.is_some() && options.find_columns.is_some() {
            return Err("options \"columns\" and \"find_columns\" do not go together: give one of them".into());
        }
        let separator = options.separator.unwrap_or_else(|| ".".into());
        if separator.is_empty() || separator.len() > SEPARATOR_BYTES_MAX {
            return Err(format!("option \"separator\" is a text of 1 to {SEPARATOR_BYTES_MAX} bytes"));
        }
        let line_end: &[u8] = match options.line_end {
            LineEnd::Lf => b"\n",
            LineEnd::Crlf => b"\r\n",
        };
        Ok(Box::new(ToCsv {
            from: options.from,
            columns: options.columns.as_deref().map(Columns::wanted).transpose()?,
            search: match options.find_columns {
                None => Search::First(FIND_DEFAULT),
                Some(FindColumns::First(count)) => Search::First(count.get()),
                Some(FindColumns::All(All::All)) => Search::All,
            },
            unknown: options.unknown_column,
            separator,
            csv: CsvFormat {
                delimiter: delimiter(options.delimiter.as_deref().unwrap_or(","))?,
                line_end,
                guards_formulas: options.formula_guard,
            },
            has_header: options.header.unwrap_or(true),
            on_bad: options.on_bad_record,
        }))
    }
}

/// One that never stands in a number, so that numbers need no quotes.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n\0.+-".contains(byte) => Ok(*byte),
        _ => Err(format!(
            "option \"delimiter\" is {text:?}; use one ASCII character such as \",\", \";\", \"|\" or a tab, \
             not a letter, a digit, a quote, a line end or one of \".+-\""
        )),
    }
}

impl ToCsv {
    /// The columns of a chunk that no survey told: found in its first records, which are then read again from memory.
    fn found_ahead(&self, chunk: &Chunk<'_>, input: &mut dyn Read) -> Result<(Columns, Vec<u8>), ProcessError> {
        let mut kept = Kept { input, bytes: Vec::new() };
        let columns = find(&mut Records::new(&mut kept, self.from, chunk), &self.separator, self.search, self.on_bad)?;
        Ok((columns, kept.bytes))
    }

    fn rows(
        &self,
        columns: &Columns,
        chunk: &Chunk<'_>,
        input: &mut dyn Read,
        work: (&mut dyn io::Write, &mut dyn filemill_core::ports::RejectSink),
    ) -> Result<ChunkReport, ProcessError> {
        let (output, rejects) = work;
        let mut records = Records::new(input, self.from, chunk);
        let mut flat = Flat::to(&columns.paths, &self.separator, self.unknown != Unknown::Ignore);
        let mut rows = Rows::new(self.csv);
        let mut out = Blocks::new(output);
        let mut report = ChunkReport::default();
        let has_columns = !columns.headers.is_empty();
        if self.has_header && chunk.index == 0 && has_columns {
            rows.header(&columns.headers, &mut out);
        }
        let mut ignored = 0;
        while let Some(record) = records.next(&mut flat)? {
            report.records += 1;
            if let Some(fault) = &record.fault {
                self.on_bad.settle(fault, record.start, record.bytes, rejects)?;
                continue;
            }
            if let Some(refusal) = &flat.refusal {
                let name = |column: u32| columns.paths[column as usize].clone();
                if let Some(fault) = flat.fault(&record, name) {
                    self.policy(refusal).settle(&fault, record.start, record.bytes, rejects)?;
                }
                continue;
            }
            ignored += flat.ignored;
            if has_columns {
                rows.row(record.bytes, &flat, &mut out);
                out.pass_on()?;
            }
        }
        out.flush()?;
        if self.csv.guards_formulas {
            report.summary.insert("guarded_cells".into(), rows.guarded.into());
        }
        if self.unknown == Unknown::Ignore {
            report.summary.insert("ignored_values".into(), ignored.into());
        }
        Ok(report)
    }

    fn policy(&self, refusal: &Refusal) -> OnBad {
        match (refusal, self.unknown) {
            (Refusal::Unknown(_), Unknown::Reject) => OnBad::Reject,
            (Refusal::Unknown(_), _) => OnBad::Error,
            _ => self.on_bad,
        }
    }
}

impl Transform for ToCsv {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        cut(self.from)
    }

    fn survey(&self, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
        line_starts(plan, input, self.from, |records, are_lines| {
            // an array is one chunk, which finds its first columns by itself
            if self.columns.is_some() || !are_lines && self.search != Search::All {
                return Ok(Value::Null);
            }
            Ok(find(records, &self.separator, self.search, self.on_bad)?.note())
        })
    }

    fn always_surveys(&self) -> bool {
        self.columns.is_none() && self.search == Search::All
    }

    fn may_reject(&self) -> bool {
        self.on_bad == OnBad::Reject || self.unknown == Unknown::Reject
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        if let Some(columns) = &self.columns {
            return self.rows(columns, chunk, work.input, (work.output, work.rejects));
        }
        if let Some(columns) = Columns::noted(chunk.note) {
            return self.rows(&columns, chunk, work.input, (work.output, work.rejects));
        }
        if self.always_surveys() || chunk.range.start > 0 {
            return Err(ProcessError::input("input_invalid", "the columns that the survey found are missing"));
        }
        let (columns, kept) = self.found_ahead(chunk, work.input)?;
        self.rows(&columns, chunk, &mut kept.as_slice().chain(&mut *work.input), (work.output, work.rejects))
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        let header = if self.has_header { "present" } else { "absent" };
        Some(format!("text/csv; charset=utf-8; header={header}"))
    }
}

/// Keeps what passes through.
struct Kept<'a> {
    input: &'a mut dyn Read,
    bytes: Vec<u8>,
}

impl Read for Kept<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.bytes.extend_from_slice(&buf[..n]);
        Ok(n)
    }
}
