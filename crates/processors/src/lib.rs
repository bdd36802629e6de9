//! What can be done to a file: one file or folder each, and [`ALL`], the one list that names them.
//!
//! A processor sees bytes and gives bytes. It knows nothing of stores, jobs or retries.

pub mod archive;
pub mod checksum;
pub mod compress;
pub mod csv;
pub mod json;
pub mod lines_prefix;
pub mod markdown;
mod options;
#[cfg(test)]
mod round_trips;
pub mod sentiment;
#[cfg(test)]
mod suite;
mod text_input;

use filemill_core::ports::Processor;

/// Every processor. To add one: a file beside this one, and a line here.
pub static ALL: &[&dyn Processor] = &[
    &archive::ArchiveZip,
    &checksum::Checksum,
    &csv::CsvTransform,
    &compress::Gunzip,
    &compress::Gzip,
    &json::JsonToCsv,
    &json::JsonToJsonl,
    &json::JsonlToJson,
    &lines_prefix::LinesPrefix,
    &markdown::MarkdownToHtml,
    &sentiment::TextSentiment,
    &compress::Unzstd,
    &compress::Zstd,
];
