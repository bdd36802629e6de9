//! `csv.transform`: CSV in; CSV, a JSON array or JSON Lines out.
//!
//! RFC 4180 in and out, read as the `csv` crate reads; no content of a field is changed unasked. Streams in constant memory,
//! and its chunks run in parallel: a survey finds where records begin. Does not guess delimiters, types or encodings.

mod field;
mod marks;
mod output;
mod place;
mod quotes;
mod record;
mod records;
mod run;
mod settings;
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod to_csv;
mod to_json;
mod values;

use filemill_core::chunks::{ChunkPlan, Cut, Survey};
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde_json::{Map, Value};
use settings::{Settings, To};
use std::borrow::Cow;
use std::io::Read;

pub struct CsvTransform;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("csv.transform"),
    summary: Cow::Borrowed("Turns CSV into CSV, a JSON array or JSON Lines; selects, renames and re-orders columns."),
    options: &[
        OptionSpec {
            required: true,
            choices: &["\"csv\"", "\"json\"", "\"jsonl\""],
            ..OptionSpec::new("to", "string", "What to write: CSV, a JSON array, or JSON Lines.", "\"jsonl\"")
        },
        OptionSpec::new(
            "columns",
            "array",
            "The columns to write, in order; each a name, a number from 1, or an object with `from` (name or number), `to` (new name) \
             and `type` (text, integer, number, boolean). All, if left out.",
            "[\"id\", { \"from\": \"Full name\", \"to\": \"name\" }, { \"from\": 3, \"type\": \"number\" }]",
        ),
        OptionSpec {
            default: "[]",
            ..OptionSpec::new("drop", "array", "Columns to leave out, by name or number from 1.", "[\"password\", 7]")
        },
        OptionSpec {
            default: "{}",
            ..OptionSpec::new("rename", "object", "New names by old ones.", "{ \"Full name\": \"name\" }")
        },
        OptionSpec {
            default: "true",
            ..OptionSpec::new(
                "header",
                "boolean",
                "Is the first record a header? Without one, columns are called column_1, column_2 and so on.",
                "false",
            )
        },
        OptionSpec {
            default: "\",\"",
            ..OptionSpec::new("delimiter", "string", "What separates fields: one ASCII character.", "\";\"")
        },
        OptionSpec {
            default: "\"\\\"\"",
            ..OptionSpec::new(
                "quote",
                "string",
                "What quotes fields: one ASCII character; empty if nothing does.",
                "\"'\"",
            )
        },
        OptionSpec::new(
            "output_delimiter",
            "string",
            "What separates fields of written CSV; as in the input, if left out.",
            "\"\\t\"",
        ),
        OptionSpec::new("output_header", "boolean", "Has written CSV a header? As the input, if left out.", "false"),
        OptionSpec {
            default: "\"keep\"",
            choices: &["\"keep\"", "\"lf\"", "\"crlf\""],
            ..OptionSpec::new(
                "line_end",
                "string",
                "What ends records of written CSV: that of the input's first record, LF, or CRLF.",
                "\"crlf\"",
            )
        },
        OptionSpec {
            default: "\"text\"",
            choices: &["\"text\"", "\"infer\""],
            ..OptionSpec::new(
                "types",
                "string",
                "JSON values of columns without a type: always text, or numbers and booleans where a text is exactly one.",
                "\"infer\"",
            )
        },
        OptionSpec {
            default: "\"error\"",
            choices: &["\"error\"", "\"pad\"", "\"reject\""],
            ..OptionSpec::new(
                "ragged",
                "string",
                "A record with too few or too many fields: ends the job, gets empty fields (too few only), or is set aside.",
                "\"reject\"",
            )
        },
        OptionSpec {
            default: "\"error\"",
            choices: &["\"error\"", "\"reject\""],
            ..OptionSpec::new(
                "on_bad_record",
                "string",
                "A value that does not fit its column's type, or is not UTF-8 where JSON is written: ends the job, or the record \
                 is set aside.",
                "\"reject\"",
            )
        },
        OptionSpec {
            default: "false",
            ..OptionSpec::new(
                "formula_guard",
                "boolean",
                "Puts a single quote before cells of written CSV that begin with = + - @ tab CR or NUL (numbers too), so that no \
                 spreadsheet runs them.",
                "true",
            )
        },
    ],
};

impl Processor for CsvTransform {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(Settings::read(options)?))
    }
}

impl Transform for Settings {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Surveyed
    }

    fn survey(&self, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
        survey::survey(self, plan, input)
    }

    fn may_reject(&self) -> bool {
        self.ragged == settings::Ragged::Reject || self.on_bad_record == settings::OnBadRecord::Reject
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        run::process(self, chunk, work)
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        let header = if self.writes_header { "present" } else { "absent" };
        Some(match self.to {
            To::Csv => format!("text/csv; charset=utf-8; header={header}"),
            To::Json => "application/json".into(),
            To::Jsonl => "application/x-ndjson".into(),
        })
    }
}
