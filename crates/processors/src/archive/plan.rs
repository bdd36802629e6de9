//! What an archive will hold: each source found, its version noted, its name settled, before a byte is written.
//!
//! Sources are looked for on several threads; entries, gaps and errors come in the manifest's order all the same.

use super::names::{self, Names};
use crate::compress::go_on;
use crate::compress::in_order::in_order;
use filemill_core::archive::ArchiveFile;
use filemill_core::ports::{ProcessError, SourceInfo, SourceName, Work};
use filemill_core::reject::Reject;
use serde::Deserialize;
use std::collections::VecDeque;

/// Sources that are looked for at a time.
const FINDS_MAX: usize = 64;
/// Fewer need no second thread.
const FEW: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    #[default]
    Fail,
    Skip,
}

pub struct Entry {
    /// In the manifest, from 1.
    pub number: u64,
    pub name: String,
    pub source: SourceInfo,
    /// It has a name and no content.
    pub is_folder: bool,
}

#[derive(Default)]
pub struct Plan {
    pub entries: Vec<Entry>,
    pub skipped: u64,
    pub renamed: u64,
}

type Found = Result<Option<SourceInfo>, ProcessError>;

impl Plan {
    pub fn of(
        files: Vec<ArchiveFile>,
        on_missing: OnMissing,
        threads: usize,
        work: &mut Work<'_>,
    ) -> Result<Plan, ProcessError> {
        // every source is well written before the first one is looked for
        (1..).zip(&files).try_for_each(|(number, file)| source_of(number, file).map(drop))?;
        let threads = if files.len() <= FEW { 1 } else { threads };
        let (mut plan, mut names) = (Plan::default(), Names::default());
        plan.entries.reserve_exact(files.len());
        let mut waiting = VecDeque::with_capacity(FINDS_MAX);
        let mut rest = (1..).zip(files);
        let shelf = work.sources;
        in_order(
            threads,
            || move |source: SourceName| shelf.find(&source),
            |lane| loop {
                while lane.under_way() < FINDS_MAX {
                    let Some((number, file)) = rest.next() else { break };
                    lane.give(source_of(number, &file)?);
                    waiting.push_back((number, file));
                }
                let Some((number, file)) = waiting.pop_front() else { return Ok::<(), ProcessError>(()) };
                let found = lane.take().expect("one result for each file that waits");
                work.pulse.beat();
                go_on(work.pulse)?;
                plan.add(number, &file, found, on_missing, &mut names, work)?;
            },
        )?;
        if plan.entries.is_empty() {
            let message =
                format!("none of the {} files is there, or is for you; there is nothing to archive", plan.skipped);
            return Err(ProcessError::input("nothing_to_archive", message));
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        number: u64,
        file: &ArchiveFile,
        found: Found,
        on_missing: OnMissing,
        names: &mut Names,
        work: &mut Work<'_>,
    ) -> Result<(), ProcessError> {
        let Some(source) = found? else {
            let reason = "it is not there, or it is not for you";
            if on_missing == OnMissing::Fail {
                let message = format!("entry {number}: {:?}: {reason}", file.source);
                return Err(ProcessError::input("source_missing", message));
            }
            self.skipped += 1;
            let record = file.source.as_bytes();
            work.rejects.reject(&Reject { line: number, byte: 0, column: Some("source"), reason, record })?;
            return Ok(());
        };
        if file.etag.as_deref().is_some_and(|etag| unquoted(etag) != unquoted(&source.etag)) {
            let message = format!("entry {number}: {:?} is there in another version than the etag says", file.source);
            return Err(ProcessError::input("source_changed", message));
        }
        self.settle(number, file, source, names);
        Ok(())
    }

    fn settle(&mut self, number: u64, file: &ArchiveFile, source: SourceInfo, names: &mut Names) {
        let wanted = names::wanted(file.destination.as_deref(), &source.name.key);
        let sanitised = names::sanitised(&wanted);
        let is_folder = source.size == 0 && source.name.key.ends_with('/');
        let name = match is_folder {
            false => names.file(&sanitised),
            // a folder that has its entry needs no second one
            true => match names.folder(&sanitised) {
                Some(name) => name,
                None => return,
            },
        };
        self.renamed += u64::from(name != wanted);
        self.entries.push(Entry { number, name, source, is_folder });
    }
}

fn source_of(number: u64, file: &ArchiveFile) -> Result<SourceName, ProcessError> {
    SourceName::parse(&file.source)
        .map_err(|e| ProcessError::input("input_invalid", format!("entry {number}: the source {:?}: {e}", file.source)))
}

fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}
