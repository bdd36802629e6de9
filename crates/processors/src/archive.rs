//! `archive.zip`: a manifest in, a zip archive of the objects that it names out.
//!
//! Sources are found and pinned first, then streamed, in the manifest's order. The same manifest and sources give the same
//! bytes on any machine and any number of threads, in bounded memory for any number and size. Names follow one written
//! rule (`archive/names.rs`). There are no links in an archive, and no archive without an entry.

mod container;
mod names;
mod packing;
mod plan;
#[cfg(test)]
mod tests;

use crate::compress::in_order::threads_here;
use crate::compress::{check_level, level_default};
use crate::options;
use filemill_core::archive::ArchiveManifest;
use filemill_core::chunks::Cut;
use filemill_core::limits::ARCHIVE_MANIFEST_BYTES_MAX;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use packing::{Choice, Packer, Totals};
use plan::{OnMissing, Plan};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::io::Read;

pub struct ArchiveZip;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("archive.zip"),
    summary: Cow::Borrowed("Packs the objects that a manifest names into a zip archive."),
    options: &[
        OptionSpec {
            default: "\"auto\"",
            choices: &["\"auto\"", "\"deflate\"", "\"store\""],
            ..OptionSpec::new(
                "method",
                "string",
                "Compress all, none, or what a sample of it shows to shrink by 5 % or more.",
                "\"store\"",
            )
        },
        OptionSpec {
            default: "6",
            ..OptionSpec::new("level", "integer", "From 1, the quickest, to 9, the smallest.", "9")
        },
        OptionSpec {
            default: "\"fail\"",
            choices: &["\"fail\"", "\"skip\""],
            ..OptionSpec::new(
                "on_missing",
                "string",
                "A source that is not there fails the job, or is left out and listed among the rejects.",
                "\"skip\"",
            )
        },
    ],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    method: Choice,
    #[serde(default = "level_default")]
    level: u32,
    #[serde(default)]
    on_missing: OnMissing,
}

struct Archiving {
    choice: Choice,
    level: u32,
    on_missing: OnMissing,
    threads: usize,
}

impl Processor for ArchiveZip {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        let options: Options = options::read(options)?;
        let (choice, level, on_missing) = (options.method, check_level(options.level)?, options.on_missing);
        Ok(Box::new(Archiving { choice, level, on_missing, threads: threads_here() }))
    }
}

impl Transform for Archiving {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn works_beyond_its_input(&self) -> bool {
        true
    }

    fn may_reject(&self) -> bool {
        self.on_missing == OnMissing::Skip
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let manifest = read_manifest(chunk.input.size, work.input)?;
        let records = manifest.files.len() as u64;
        let plan = Plan::of(manifest.files, self.on_missing, self.threads, work)?;
        let packer = Packer { choice: self.choice, level: self.level, threads: self.threads };
        let totals = packer.pack(&plan.entries, work)?;
        Ok(ChunkReport {
            records,
            summary: summary(&plan, &totals),
            metadata: manifest.metadata,
            finding: None,
            filename: manifest.name.as_deref().and_then(filename),
        })
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("application/zip".into())
    }
}

fn read_manifest(size: u64, input: &mut dyn Read) -> Result<ArchiveManifest, ProcessError> {
    let most = ARCHIVE_MANIFEST_BYTES_MAX + 1;
    // in one piece where the size is known: a buffer that grows is there twice
    let mut bytes = Vec::with_capacity(if size < most { size as usize + 1 } else { 0 });
    input.take(most).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == most {
        let message = format!("the manifest has more than {ARCHIVE_MANIFEST_BYTES_MAX} bytes");
        return Err(ProcessError::input("input_too_large", message));
    }
    ArchiveManifest::parse(&bytes)
        .map_err(|e| ProcessError::input("input_invalid", format!("the manifest is not in order: {e}")))
}

fn summary(plan: &Plan, totals: &Totals) -> Map<String, Value> {
    let figures = [
        ("entries", plan.entries.len() as u64),
        ("bytes", totals.bytes),
        ("stored", totals.stored),
        ("deflated", totals.deflated),
        ("skipped", plan.skipped),
        ("renamed", plan.renamed),
    ];
    figures.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// One segment by the rule for names, with `.zip` at its end.
fn filename(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return None;
    }
    let clean = names::sanitised(&names::wanted(None, name));
    let is_zip = clean.to_ascii_lowercase().ends_with(".zip");
    Some(if is_zip { clean } else { names::sanitised(&format!("{clean}.zip")) })
}
