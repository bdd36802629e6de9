//! The content of an archive: read, compressed on several threads, written in order.
//!
//! A short file is read and compressed as a whole, many of them at a time; a long one in blocks. What is under way is
//! bounded in bytes, and what is chosen for a file follows from its content alone.

use super::container::{Container, Method, Open, Packed};
use super::plan::Entry;
use crate::compress::blocks::{BLOCK_BYTES, Block, Cutter, Deflater};
use crate::compress::in_order::{Lane, in_order};
use crate::compress::{fill, go_on};
use crc_fast::{CrcAlgorithm, Digest};
use filemill_core::limits::MIB;
use filemill_core::ports::{ProcessError, Pulse, Sources, Work};
use serde::Deserialize;
use std::collections::VecDeque;
use std::io::{Chain, Read};

/// Up to here a file is short.
const SHORT_BYTES_MAX: u64 = MIB;
/// What is looked at to see whether a file shrinks, at the quickest level.
const SAMPLE_BYTES: usize = 64 * 1024;
/// Less than this in all needs no second thread.
const LITTLE_BYTES: u64 = 64 * 1024;
/// Under way for each thread: one block that it works on, and the next.
const BYTES_PER_THREAD: u64 = 2 * BLOCK_BYTES as u64;
/// What an entry costs besides its bytes.
const ENTRY_COST: u64 = 2048;
/// Deflate's stored blocks: a head of 5 bytes and at most this much.
const STORED_BYTES_MAX: usize = 65_535;
const STORED_HEAD_BYTES: usize = 5;
/// So many are read and written at a time.
const STORED_BLOCKS: usize = 4;
const STORED_END: [u8; 5] = [1, 0, 0, 0xff, 0xff];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    #[default]
    Auto,
    Deflate,
    Store,
}

pub struct Packer {
    pub choice: Choice,
    pub level: u32,
    pub threads: usize,
}

#[derive(Debug, Default, PartialEq)]
pub struct Totals {
    pub bytes: u64,
    pub stored: u64,
    pub deflated: u64,
}

enum Job<'e> {
    Short(&'e Entry),
    Block(Block),
}

enum Done {
    Short(Result<Packed, ProcessError>),
    Block(Vec<u8>, Block),
}

/// What is written next, once its job is done.
enum Step<'e> {
    Folder(&'e Entry),
    Short(&'e Entry),
    Begin(&'e Entry),
    Block,
    End(&'e Entry, u32),
    Failed(ProcessError),
}

impl Packer {
    pub fn pack(&self, entries: &[Entry], work: &mut Work<'_>) -> Result<Totals, ProcessError> {
        let bytes: u64 = entries.iter().map(|entry| entry.source.size).fold(0, u64::saturating_add);
        let threads = if bytes <= LITTLE_BYTES { 1 } else { self.threads };
        let sources = work.sources;
        let worker = || {
            let mut worker =
                Worker { choice: self.choice, sources, compressors: Compressors::new(self.level), content: Vec::new() };
            move |job: Job<'_>| worker.run(job)
        };
        in_order(threads, worker, |lane| {
            let mut writing = Writing {
                lane,
                sources,
                pulse: work.pulse,
                container: Container::new(work.output),
                compressors: Compressors::new(self.level),
                cutter: Cutter::default(),
                steps: VecDeque::new(),
                open: None,
                held: 0,
                held_max: BYTES_PER_THREAD * threads as u64,
                totals: Totals { bytes, ..Totals::default() },
            };
            entries.iter().try_for_each(|entry| writing.entry(entry, self.choice))?;
            while writing.write_next()? {}
            writing.container.finish()?;
            Ok(writing.totals)
        })
    }
}

/// Made when they are needed: they are large.
struct Compressors {
    level: u32,
    sampler: Option<Deflater>,
    deflater: Option<Deflater>,
}

impl Compressors {
    fn new(level: u32) -> Self {
        Compressors { level, sampler: None, deflater: None }
    }

    fn deflater(&mut self) -> &mut Deflater {
        self.deflater.get_or_insert_with(|| Deflater::new(self.level))
    }

    fn sample_shrinks(&mut self, content: &[u8]) -> bool {
        let sample = &content[..content.len().min(SAMPLE_BYTES)];
        let sampler = self.sampler.get_or_insert_with(|| Deflater::new(1));
        shrinks(sample.len(), sampler.whole(sample).len())
    }
}

/// By 5 % or more.
fn shrinks(from: usize, to: usize) -> bool {
    to * 20 <= from * 19
}

struct Worker<'s> {
    choice: Choice,
    sources: &'s dyn Sources,
    compressors: Compressors,
    content: Vec<u8>,
}

impl Worker<'_> {
    fn run(&mut self, job: Job<'_>) -> Done {
        match job {
            Job::Short(entry) => Done::Short(self.short(entry)),
            Job::Block(block) => Done::Block(self.compressors.deflater().block(&block), block),
        }
    }

    fn short(&mut self, entry: &Entry) -> Result<Packed, ProcessError> {
        let size = entry.source.size as usize;
        let mut source = opened(self.sources, entry)?;
        // one byte more than there should be, to see the end
        self.content.resize(size + 1, 0);
        let read = fill(&mut source, &mut self.content)?;
        if read != size {
            return Err(changed(entry));
        }
        let content = &self.content[..size];
        let crc = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, content) as u32;
        let (method, bytes) = match deflated(self.choice, &mut self.compressors, content) {
            Some(bytes) => (Method::Deflate, bytes),
            None => (Method::Store, content.to_vec()),
        };
        Ok(Packed { method, crc, size: entry.source.size, bytes })
    }
}

/// `None`: it stays as it is.
fn deflated(choice: Choice, compressors: &mut Compressors, content: &[u8]) -> Option<Vec<u8>> {
    if content.is_empty() || choice == Choice::Store {
        return None;
    }
    let is_sampled = choice == Choice::Auto && content.len() > SAMPLE_BYTES;
    if is_sampled && !compressors.sample_shrinks(content) {
        return None;
    }
    let bytes = compressors.deflater().whole(content);
    (choice == Choice::Deflate || shrinks(content.len(), bytes.len())).then_some(bytes)
}

fn opened(sources: &dyn Sources, entry: &Entry) -> Result<Box<dyn Read + Send>, ProcessError> {
    sources.open(&entry.source).map_err(|e| match e {
        ProcessError::Failed(mut failed) => {
            failed.message = format!("entry {}: {}", entry.number, failed.message);
            ProcessError::Failed(failed)
        }
        other => other,
    })
}

fn changed(entry: &Entry) -> ProcessError {
    let (number, source) = (entry.number, &entry.source);
    let message = format!("entry {number}: {} has no longer the {} bytes that it had", source.name, source.size);
    ProcessError::input("source_changed", message)
}

struct Writing<'w, 'l, 'e> {
    lane: &'w mut Lane<'l, Job<'e>, Done>,
    sources: &'w dyn Sources,
    pulse: &'w dyn Pulse,
    container: Container<'w>,
    compressors: Compressors,
    cutter: Cutter,
    steps: VecDeque<Step<'e>>,
    /// The long file under way.
    open: Option<Open>,
    /// Bytes under way, and how many may be.
    held: u64,
    held_max: u64,
    totals: Totals,
}

impl<'e> Writing<'_, '_, 'e> {
    fn entry(&mut self, entry: &'e Entry, choice: Choice) -> Result<(), ProcessError> {
        if entry.is_folder {
            self.steps.push_back(Step::Folder(entry));
        } else if entry.source.size <= SHORT_BYTES_MAX {
            self.lane.give(Job::Short(entry));
            self.steps.push_back(Step::Short(entry));
        } else {
            return self.long(entry, choice);
        }
        self.hold(cost(entry))
    }

    /// Counts what is under way and writes until there is room for the next.
    fn hold(&mut self, bytes: u64) -> Result<(), ProcessError> {
        self.held += bytes;
        while self.held >= self.held_max && self.write_next()? {}
        Ok(())
    }

    /// An error of a source waits for its turn, so that the first in the manifest is the one that is told.
    fn long(&mut self, entry: &'e Entry, choice: Choice) -> Result<(), ProcessError> {
        let (first, source) = match self.begin(entry) {
            Ok(begun) => begun,
            Err(e) => return self.fail(e),
        };
        let stays = match choice {
            Choice::Auto => !self.compressors.sample_shrinks(first.bytes()),
            Choice::Deflate => false,
            Choice::Store => true,
        };
        match stays {
            true => self.long_stored(entry, std::io::Cursor::new(first.bytes()).chain(source)),
            false => self.long_deflated(entry, first, source),
        }
    }

    fn begin(&mut self, entry: &Entry) -> Result<(Block, impl Read + use<>), ProcessError> {
        // one byte more than there should be, to see the end
        let mut source = opened(self.sources, entry)?.take(entry.source.size + 1);
        let first = self.cutter.begin(&mut source)?;
        Ok((first, source))
    }

    fn fail(&mut self, error: ProcessError) -> Result<(), ProcessError> {
        self.steps.push_back(Step::Failed(error));
        while self.write_next()? {}
        Ok(())
    }

    fn long_deflated(&mut self, entry: &'e Entry, first: Block, mut source: impl Read) -> Result<(), ProcessError> {
        self.steps.push_back(Step::Begin(entry));
        let mut crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        let mut next = Some(first);
        while let Some(block) = next {
            crc.update(block.bytes());
            let is_last = block.is_last;
            self.lane.give(Job::Block(block));
            self.steps.push_back(Step::Block);
            self.hold(BLOCK_BYTES as u64)?;
            next = match is_last {
                true => None,
                false => match self.cutter.next(&mut source) {
                    Ok(block) => Some(block),
                    Err(e) => return self.fail(e.into()),
                },
            };
        }
        if crc.get_amount() != entry.source.size {
            return self.fail(changed(entry));
        }
        self.steps.push_back(Step::End(entry, crc.finalize() as u32));
        Ok(())
    }

    /// Nothing to compute, so nothing for other threads: straight from the source to the output.
    fn long_stored<F: Read, S: Read>(&mut self, entry: &Entry, mut source: Chain<F, S>) -> Result<(), ProcessError> {
        while self.write_next()? {}
        let open = self.container.begin(entry.name.clone(), entry.source.size)?;
        let mut crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        let mut blocks = vec![0; STORED_BLOCKS * (STORED_HEAD_BYTES + STORED_BYTES_MAX)];
        loop {
            go_on(self.pulse)?;
            let filled = fill_stored(&mut source, &mut blocks, &mut crc)?;
            self.container.put(&blocks[..filled])?;
            if filled < blocks.len() {
                break;
            }
        }
        if crc.get_amount() != entry.source.size {
            return Err(changed(entry));
        }
        self.container.put(&STORED_END)?;
        self.container.end(&open, crc.finalize() as u32, entry.source.size)?;
        self.totals.stored += 1;
        Ok(())
    }

    /// Takes the oldest step; `false` if there is none.
    fn write_next(&mut self) -> Result<bool, ProcessError> {
        let Some(step) = self.steps.pop_front() else { return Ok(false) };
        go_on(self.pulse)?;
        match step {
            Step::Folder(entry) => {
                self.held -= cost(entry);
                self.container.folder(&entry.name)?;
            }
            Step::Short(entry) => {
                self.held -= cost(entry);
                let Some(Done::Short(packed)) = self.lane.take() else { unreachable!("its job was given") };
                let packed = packed?;
                self.count(packed.method);
                self.container.file(&entry.name, &packed)?;
            }
            Step::Begin(entry) => self.open = Some(self.container.begin(entry.name.clone(), entry.source.size)?),
            Step::Block => {
                self.held -= BLOCK_BYTES as u64;
                let Some(Done::Block(bytes, block)) = self.lane.take() else { unreachable!("its job was given") };
                self.container.put(&bytes)?;
                self.cutter.give_back(block);
            }
            Step::End(entry, crc) => {
                let open = self.open.take().expect("it was begun");
                self.container.end(&open, crc, entry.source.size)?;
                self.count(Method::Deflate);
            }
            Step::Failed(error) => return Err(error),
        }
        Ok(true)
    }

    fn count(&mut self, method: Method) {
        match method {
            Method::Store => self.totals.stored += 1,
            Method::Deflate => self.totals.deflated += 1,
        }
    }
}

fn cost(entry: &Entry) -> u64 {
    entry.source.size + ENTRY_COST
}

/// Fills `blocks` with stored blocks, none of them the last; returns their length.
fn fill_stored(source: &mut impl Read, blocks: &mut [u8], crc: &mut Digest) -> std::io::Result<usize> {
    let mut filled = 0;
    for block in blocks.chunks_exact_mut(STORED_HEAD_BYTES + STORED_BYTES_MAX) {
        let (head, content) = block.split_at_mut(STORED_HEAD_BYTES);
        let read = fill(source, content)?;
        if read == 0 {
            break;
        }
        crc.update(&content[..read]);
        let length = read as u16;
        head[0] = 0;
        head[1..3].copy_from_slice(&length.to_le_bytes());
        head[3..].copy_from_slice(&(!length).to_le_bytes());
        filled += STORED_HEAD_BYTES + read;
        if read < content.len() {
            break;
        }
    }
    Ok(filled)
}
