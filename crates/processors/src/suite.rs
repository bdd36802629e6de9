//! How a processor is proved (clauses P1 to P4): [`processor_suite!`] in the tests of each.
//!
//! Chunked equals whole for every cut, hostile input ends in order, options are described as they are read.

use filemill_core::chunks::{ChunkLimits, ChunkPlan, Cut, Survey};
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, ProcessError, Processor, Pulse, RejectSink, SourceInfo, SourceName, Sources,
    Transform, Work,
};
use filemill_core::reject::Reject;
use filemill_trials::trials;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// What a run left behind: everything that P1 compares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    pub output: Vec<u8>,
    /// The reject file: JSON Lines.
    pub rejects: Vec<u8>,
    pub records: u64,
    pub summary: Map<String, Value>,
    /// The report of the first chunk.
    pub report: ChunkReport,
}

impl Ran {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.output).expect("the output is UTF-8")
    }

    /// Each line of the reject file.
    pub fn reject_list(&self) -> Vec<Value> {
        let lines = self.rejects.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a reject is JSON")).collect()
    }
}

/// A processor with these options. `options` is an object.
pub fn prepared(processor: &dyn Processor, options: &Value) -> Box<dyn Transform> {
    processor.prepare(options.as_object().expect("options are an object")).expect("the options are accepted")
}

/// In one pass, as a pipe would be; surveyed only where the transform always wants it.
pub fn whole(transform: &dyn Transform, input: &[u8]) -> Result<Ran, ProcessError> {
    let facts = InputFacts { key: "input", size: u64::MAX, content_type: None, etag: None };
    let mut survey = Survey::default();
    if transform.always_surveys() {
        let plan = ChunkPlan::of(facts.size, Cut::Whole, ChunkLimits::default());
        survey = transform.survey(&plan, &mut Dribble { rest: input, step: 1 })?;
        survey.check(facts.size, plan.count).expect("a survey in order");
    }
    let mut ran = Ran::default();
    let chunk = Chunk { note: &survey.note, ..Chunk::whole(facts) };
    run_chunk(transform, &chunk, input, &Shelf::default(), &mut ran)?;
    Ok(ran)
}

/// Cut as the engine would cut with this chunk size, surveyed where the transform asks for it.
pub fn chunked(transform: &dyn Transform, input: &[u8], chunk_bytes: u64) -> Result<Ran, ProcessError> {
    let facts = InputFacts { key: "input", size: input.len() as u64, content_type: None, etag: None };
    let limits = ChunkLimits { chunk_bytes, chunks_max: u32::MAX };
    let cut = transform.cut(facts);
    let plan = ChunkPlan::of(facts.size, cut, limits);
    let mut ran = Ran::default();
    if cut == Cut::Surveyed && plan.count > 1 || transform.always_surveys() {
        let survey = transform.survey(&plan, &mut Dribble { rest: input, step: 1 })?;
        survey.check(facts.size, plan.count).expect("a survey in order");
        for (index, start) in (0..).zip(&survey.starts) {
            let range = survey.range(index, facts.size);
            let bytes = &input[range.start as usize..range.end as usize];
            let is_last = index as usize + 1 == survey.starts.len();
            let (line, record, note) = (start.line, start.record, &survey.note);
            let chunk = Chunk { input: facts, range, index, is_last, line, record, note };
            run_chunk(transform, &chunk, bytes, &Shelf::default(), &mut ran)?;
        }
        return Ok(ran);
    }
    for index in 0..plan.count {
        let range = plan.range(index);
        let reach = transform.reach(&range, facts);
        let bytes = &input[reach.start as usize..(reach.end as usize).min(input.len())];
        let chunk = Chunk { range, index, is_last: index + 1 == plan.count, ..Chunk::whole(facts) };
        run_chunk(transform, &chunk, bytes, &Shelf::default(), &mut ran)?;
    }
    Ok(ran)
}

/// One chunk that finds other objects on `shelf`; `bytes` are those of its reach.
pub fn run_chunk(
    transform: &dyn Transform,
    chunk: &Chunk<'_>,
    bytes: &[u8],
    shelf: &Shelf,
    ran: &mut Ran,
) -> Result<(), ProcessError> {
    let mut input = Dribble { rest: bytes, step: 1 };
    let mut rejects = Lines(Vec::new());
    let mut work =
        Work { input: &mut input, output: &mut ran.output, rejects: &mut rejects, sources: shelf, pulse: &Calm };
    let report = transform.process(chunk, &mut work)?;
    ran.rejects.extend(rejects.0);
    let (records, summary) = (ran.records, std::mem::take(&mut ran.summary));
    let mut sum = ChunkReport { records, summary, ..ChunkReport::default() };
    sum.add(report.clone());
    (ran.records, ran.summary) = (sum.records, sum.summary);
    if chunk.index == 0 {
        ran.report = report;
    }
    Ok(())
}

/// Cuts the input in chunks of every size from 1 to its length: each gives what the whole gives, or fails as it does.
pub fn every_cut_equals_the_whole(transform: &dyn Transform, input: &[u8]) {
    let expected = comparable(whole(transform, input));
    for chunk_bytes in 1..=(input.len() as u64).max(1) {
        let found = comparable(chunked(transform, input, chunk_bytes));
        assert_eq!(found, expected, "chunks of {chunk_bytes} bytes, input {:?}", String::from_utf8_lossy(input));
    }
}

/// What must be equal however the input is cut. A run that fails leaves no result, so only its words count.
fn comparable(ran: Result<Ran, ProcessError>) -> Result<Ran, String> {
    let ran = ran.map_err(|e| e.to_string())?;
    Ok(Ran { report: ChunkReport::default(), ..ran })
}

/// As [`every_cut_equals_the_whole`], and the whole is as `expected`.
pub fn every_cut_equals(transform: &dyn Transform, input: &[u8], expected: &[u8]) {
    let ran = whole(transform, input).expect("the input is in order");
    assert_eq!(String::from_utf8_lossy(&ran.output), String::from_utf8_lossy(expected));
    every_cut_equals_the_whole(transform, input);
}

/// Every option in the spec is read, its example and its default are accepted, and one that is not there is refused.
pub fn options_are_as_described(processor: &dyn Processor, valid: &Value) {
    let valid = valid.as_object().expect("options are an object");
    let spec = processor.spec();
    processor.prepare(valid).expect("the options are accepted");
    for option in spec.options {
        for text in [option.example, option.default].into_iter().chain(option.choices.iter().copied()) {
            if text.is_empty() {
                continue;
            }
            let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{}: {text}: {e}", option.name));
            let mut options = valid.clone();
            options.insert(option.name.into(), value);
            if let Err(e) = processor.prepare(&options).map(drop) {
                assert!(!e.contains("unknown option"), "{}: {text}: {e}", option.name);
                assert!(e.contains("together") || e.contains("needs"), "{}: {text}: {e}", option.name);
            }
        }
        if option.required {
            let mut options = valid.clone();
            options.remove(option.name);
            let error = processor.prepare(&options).map(drop).expect_err(option.name);
            assert!(error.contains(option.name), "{error}");
        }
    }
    let mut options = valid.clone();
    options.insert("no_such_option".into(), true.into());
    let error = processor.prepare(&options).map(drop).expect_err("an unknown option is refused");
    assert!(error.contains("no_such_option"), "{error}");
}

/// Of each kind of processor, over all its options.
pub fn hostile_inputs() -> u32 {
    trials(10_000, 1_000_000)
}

/// Inputs made of `pieces` and of any bytes, from a seed; they end with a result or an error, within a second each, and
/// hold no more than 64 MiB.
pub fn hostile_inputs_end_in_order(transform: &dyn Transform, pieces: &[&str], count: u32) {
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for seed in 0..count {
        let input = generated(u64::from(seed), pieces);
        let began = Instant::now();
        let mut ended = None;
        let held = allocation_counter::measure(|| ended = Some(whole(transform, &input)));
        let took = began.elapsed();
        (slowest, most) = (slowest.max(took), most.max(held.bytes_max));
        assert!(took < Duration::from_secs(1), "seed {seed} took {took:?}");
        assert!(held.bytes_max < 64 << 20, "seed {seed} held {} bytes", held.bytes_max);
        if let Some(Err(ProcessError::Failed(e))) = &ended {
            assert!(e.permanent && !e.message.is_empty(), "seed {seed}: {e:?}");
        }
    }
    let most = most >> 10;
    filemill_trials::tell(format_args!(
        "{count} hostile inputs, 0 violations, slowest {slowest:?}, {most} KiB at most"
    ));
}

/// The input of a seed: mostly pieces, sometimes any byte, sometimes one piece many times.
pub fn generated(seed: u64, pieces: &[&str]) -> Vec<u8> {
    let mut chance = Chance(seed);
    let units = chance.below(if seed.is_multiple_of(50) { 4000 } else { 60 });
    let mut input = Vec::new();
    for _ in 0..units {
        match chance.below(12) {
            0 => input.push(chance.next() as u8),
            1 => {
                let piece = pieces[chance.below(pieces.len() as u64) as usize];
                (0..chance.below(9)).for_each(|_| input.extend_from_slice(piece.as_bytes()));
            }
            _ => input.extend_from_slice(pieces[chance.below(pieces.len() as u64) as usize].as_bytes()),
        }
    }
    input
}

/// SplitMix64: the same numbers everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

/// The tests that every processor has. `options` are valid ones, each run on inputs that are made of `pieces`.
macro_rules! processor_suite {
    (processor: $processor:expr, options: [$($options:expr),+ $(,)?], pieces: [$($piece:expr),+ $(,)?] $(,)?) => {
        mod processor_suite {
            use super::*;

            #[test]
            fn options_are_as_described() {
                $($crate::suite::options_are_as_described(&$processor, &$options);)+
            }

            #[test]
            fn chunked_equals_whole_for_every_cut() {
                for options in [$($options),+] {
                    let transform = $crate::suite::prepared(&$processor, &options);
                    for seed in 0..300 {
                        let mut input = $crate::suite::generated(1_000_000 + seed, &[$($piece),+]);
                        input.truncate(120);
                        $crate::suite::every_cut_equals_the_whole(&*transform, &input);
                    }
                }
            }

            #[test]
            fn hostile_inputs_end_in_order() {
                let all = [$($options),+];
                for options in &all {
                    let transform = $crate::suite::prepared(&$processor, options);
                    let share = $crate::suite::hostile_inputs() / all.len() as u32;
                    $crate::suite::hostile_inputs_end_in_order(&*transform, &[$($piece),+], share);
                }
            }
        }
    };
}

pub(crate) use processor_suite;

/// Other objects, by name, for transforms that read them.
#[derive(Default)]
pub struct Shelf(pub BTreeMap<String, Vec<u8>>);

impl Sources for Shelf {
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        let found = self.0.get(&source.to_string());
        let info = |bytes: &Vec<u8>| SourceInfo { name: source.clone(), size: bytes.len() as u64, etag: "1".into() };
        Ok(found.map(info))
    }

    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        match self.0.get(&source.name.to_string()) {
            Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            None => Err(ProcessError::input("source_changed", format!("{} is gone", source.name))),
        }
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        Err(ProcessError::input("no_link", "there is no service here"))
    }
}

struct Lines(Vec<u8>);

impl RejectSink for Lines {
    fn reject(&mut self, reject: &Reject<'_>) -> io::Result<()> {
        reject.write_to(&mut self.0)
    }
}

/// Nobody waits and nobody stops.
pub struct Calm;

impl Pulse for Calm {
    fn beat(&self) {}
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Gives one byte, then two, then four: no transform may depend on how reads fall.
struct Dribble<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.step.min(buf.len()).min(self.rest.len());
        buf[..n].copy_from_slice(&self.rest[..n]);
        self.rest = &self.rest[n..];
        self.step = (self.step * 2).min(1 << 18);
        Ok(n)
    }
}

/// Discards, for memory tests on outputs that are larger than memory should be.
pub struct Discard(pub u64);

impl Write for Discard {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0 += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
