//! JSON: arrays, JSON Lines and CSV, one into the other. Strict (RFC 8259), streaming, and every number keeps its text.
//!
//! [`scan`] is one value, [`records`] are those of an input, [`borders`] where lines can be cut; each processor has a
//! file. What all of them refuse: keys that come twice in one object, half a surrogate pair, more than 128 levels.

mod borders;
mod columns;
mod compact;
mod fault;
mod flat;
mod keys;
mod paths;
mod records;
mod row;
mod scan;
#[cfg(test)]
mod tests;
mod to_csv;
mod to_json;
mod to_jsonl;
mod token;
mod window;

pub use to_csv::JsonToCsv;
pub use to_json::JsonlToJson;
pub use to_jsonl::JsonToJsonl;

use borders::Borders;
use filemill_core::chunks::{ChunkPlan, Cut, Start, Survey};
use filemill_core::ports::{Chunk, InputFacts, OptionSpec, ProcessError};
use records::{Layout, Records};
use serde_json::Value;
use std::io::Read;

const FROM: OptionSpec = OptionSpec {
    choices: &["\"auto\"", "\"array\"", "\"lines\""],
    ..OptionSpec::new(
        "from",
        "string",
        "What the input is: one array (or one object), or a value on each line; auto looks at the first character.",
        "\"lines\"",
    )
};

const ON_BAD: OptionSpec = OptionSpec {
    default: "\"error\"",
    choices: &["\"error\"", "\"reject\""],
    ..OptionSpec::new(
        "on_bad_record",
        "string",
        "A record that is no JSON or cannot be used ends the job, or goes to the reject file. A syntax error in an array \
         always ends it.",
        "\"reject\"",
    )
};

/// Lines are cut where a survey finds them; it also sees which of both an input is.
fn cut(from: Layout) -> Cut {
    match from {
        Layout::Array => Cut::Whole,
        Layout::Auto | Layout::Lines => Cut::Surveyed,
    }
}

/// Where the chunks of `plan` start: an array has one. `look` may read records and say the note; it is told
/// whether there are lines.
fn line_starts(
    plan: &ChunkPlan,
    input: &mut dyn Read,
    from: Layout,
    look: impl FnOnce(&mut Records<'_>, bool) -> Result<Value, ProcessError>,
) -> Result<Survey, ProcessError> {
    let facts = InputFacts { key: "", size: plan.input_bytes, content_type: None, etag: None };
    let mut borders = Borders::new(input, *plan);
    let mut records = Records::new(&mut borders, from, &Chunk::whole(facts));
    let are_lines = match records.are_lines() {
        Ok(are_lines) => are_lines,
        Err(ProcessError::Io(e)) => return Err(e.into()),
        // processing will say it
        Err(ProcessError::Failed(_)) => false,
    };
    let note = look(&mut records, are_lines)?;
    let starts = if are_lines { borders.starts()? } else { vec![Start::FIRST] };
    Ok(Survey { starts, note })
}
