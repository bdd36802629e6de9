//! `filemill run`: the service's processors on files here and now, in one pass and constant memory.

mod rejects;
mod sources;

use crate::client::download::Draft;
use crate::client::source;
use crate::config::{Config, Overrides};
use crate::exit::{BrokenOutput, Ending};
use crate::{output, progress};
use anyhow::{Context, Result};
use filemill_core::chunks::Survey;
use filemill_core::limits;
use filemill_core::reject::RejectTolerance;
use filemill_core::rule::{Process, RuleId};
use filemill_engine::{OneShot, OneShotDone, OneShotError, OneShotWork, Registry};
use rejects::RejectFile;
use serde_json::{Value, json};
use sources::FilesBeside;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Rule of the config, or the kind of a processor such as lines.prefix
    rule: String,
    /// Files to process; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// File for the result, or folder for several; - is standard output [default: standard output]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Option of the processor, over the rule's own; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
    set: Vec<(String, Value)>,
    /// Config with the rule [default: the built-in starter config]
    #[arg(long, env = "FILEMILL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON about each file to standard output; needs -o
    #[arg(long, requires = "output")]
    json: bool,
}

/// One file's way: where from, where to.
struct Errand<'a> {
    input: &'a Path,
    /// `None`: standard output.
    output: Option<PathBuf>,
}

/// What became of one file.
struct Done {
    made: OneShotDone,
    reject_file: Option<PathBuf>,
    bytes_in: u64,
    bytes_out: u64,
    took: Duration,
}

/// What to do with each file.
struct Order {
    process: Process,
    tolerance: RejectTolerance,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let config = Config::load(self.config.as_deref(), &Overrides::default())?;
        let registry = &config.processors;
        let order = self.order(&config)?;
        let mut items = Vec::new();
        for errand in self.errands()? {
            let done = errand.run(registry, &order).with_context(|| errand.input.display().to_string())?;
            items.push(errand.to_json(&done));
        }
        if self.json { output::json(&json!({ "items": items })) } else { Ok(()) }
    }

    fn order(&self, config: &Config) -> Result<Order> {
        let registry = &config.processors;
        let rule = RuleId::parse(&self.rule).ok().and_then(|id| config.rules.get(&id).cloned());
        let is_kind = registry.specs().any(|spec| spec.kind == self.rule);
        let (mut process, tolerance) = match rule {
            Some(rule) => (rule.process.clone(), rule.rejects),
            None if is_kind => {
                (Process { kind: self.rule.clone(), options: Default::default() }, RejectTolerance::default())
            }
            None => return Err(self.unknown_rule(config)),
        };
        process.options.extend(self.set.iter().cloned());
        registry.prepare(&process).map_err(|e| Ending::usage(format!("{e}; --set KEY=VALUE gives an option")))?;
        Ok(Order { process, tolerance })
    }

    fn unknown_rule(&self, config: &Config) -> anyhow::Error {
        let rules: Vec<&str> = config.rules.all().iter().map(|r| r.id.as_str()).collect();
        let kinds: Vec<&str> = config.processors.specs().map(|s| &*s.kind).collect();
        Ending::not_found(format!(
            "there is no rule or processor {:?}; rules of {}: {}; processors: {}",
            self.rule,
            config.name,
            rules.join(", "),
            kinds.join(", ")
        ))
    }

    fn errands(&self) -> Result<Vec<Errand<'_>>> {
        let output = self.output.as_deref().filter(|o| *o != Path::new("-"));
        if self.json && output.is_none() {
            return Err(Ending::usage("--json and the result cannot both go to standard output; give -o PATH"));
        }
        let into_folder = output.is_some_and(Path::is_dir);
        if self.files.len() > 1 && !into_folder {
            return Err(Ending::usage("several files need -o with a folder that exists"));
        }
        let errands: Vec<Errand<'_>> = self
            .files
            .iter()
            .map(|input| {
                let name = input.file_name().unwrap_or("stdin".as_ref());
                let name = if input == Path::new("-") { "stdin".as_ref() } else { name };
                let output = output.map(|o| if into_folder { o.join(name) } else { o.to_owned() });
                Errand { input, output }
            })
            .collect();
        check_outputs(&errands)?;
        Ok(errands)
    }
}

/// Two results of one name would overwrite each other, and a result or its rejects an input.
fn check_outputs(errands: &[Errand<'_>]) -> Result<()> {
    let inputs: Vec<(&Path, PathBuf)> =
        errands.iter().filter_map(|e| Some((e.input, e.input.canonicalize().ok()?))).collect();
    let mut seen = std::collections::BTreeSet::new();
    for output in errands.iter().filter_map(|errand| errand.output.as_deref()) {
        for written in [output.to_owned(), rejects::beside(output)] {
            let real = written.canonicalize().ok();
            if let Some((input, _)) = inputs.iter().find(|(_, input)| Some(input) == real.as_ref()) {
                return Err(Ending::usage(format!("a result would overwrite its own input {}", input.display())));
            }
            if !seen.insert(written) {
                return Err(Ending::usage(format!("two of the files would become {}", output.display())));
            }
        }
    }
    Ok(())
}

impl Errand<'_> {
    fn run(&self, registry: &Registry, order: &Order) -> Result<Done> {
        let one_shot = OneShot::new(registry, &order.process).map_err(Ending::usage)?;
        let (mut input, size) = self.open()?;
        let mut survey = None;
        if one_shot.needs_survey() {
            let mut file = twice_readable(input, size)?;
            let size = file.metadata()?.len();
            let surveyed = one_shot.survey(size, &mut io::BufReader::new(&mut file));
            survey = Some(surveyed.map_err(|e| self.error(e))?);
            file.rewind()?;
            input = Input::File(file);
        }
        match &self.output {
            None => self.pass(&one_shot, order, (input, size, survey), &mut output::raw()?),
            Some(path) => {
                let mut draft = Draft::beside(path)?;
                let done = self.pass(&one_shot, order, (input, size, survey), draft.writer())?;
                draft.keep().with_context(|| format!("cannot write {}", path.display()))?;
                Ok(done)
            }
        }
    }

    /// The input, and its size if it has one.
    fn open(&self) -> Result<(Input, Option<u64>)> {
        if self.input == Path::new("-") {
            return Ok((Input::Pipe, None));
        }
        let file = source::open(self.input)?;
        let facts = file.metadata()?;
        let size = facts.is_file().then_some(facts.len());
        Ok((Input::File(file), size))
    }

    fn pass(
        &self,
        one_shot: &OneShot,
        order: &Order,
        (input, size, survey): (Input, Option<u64>, Option<Survey>),
        output: &mut dyn Write,
    ) -> Result<Done> {
        let name = self.input.to_string_lossy();
        let bar = progress::bytes(&name, size);
        let mut output = Counted { output: BufWriter::with_capacity(limits::IO_BLOCK_BYTES, output), bytes: 0 };
        let mut reject_file = RejectFile::beside(self.output.as_deref());
        let began = Instant::now();
        // exactly the bytes that were there at the start, also of a log that grows meanwhile
        let mut input = bar.wrap_read(input.reader().take(size.unwrap_or(u64::MAX)));
        let mut rejects = reject_file.writer();
        let sources = FilesBeside::of(self.input);
        let work = OneShotWork { input: &mut input, output: &mut output, rejects: &mut rejects, sources: &sources };
        let outcome = one_shot.run(&name, size, survey, work);
        drop(rejects);
        bar.finish_and_clear();
        let made = outcome.map_err(|e| self.error(e))?;
        let reject_file = reject_file.keep()?;
        if let Some(why) = order.tolerance.refuses(made.rejects, made.report.records) {
            let place = reject_file.map(|path| format!("; see {}", path.display())).unwrap_or_default();
            return Err(Ending::failed(format!("{why}{place}")));
        }
        let (bytes_in, bytes_out) = (one_shot.bytes_read(), output.bytes);
        Ok(Done { made, reject_file, bytes_in, bytes_out, took: began.elapsed() })
    }

    fn error(&self, e: OneShotError) -> anyhow::Error {
        match e {
            OneShotError::Io(e) if self.output.is_none() && e.kind() == io::ErrorKind::BrokenPipe => {
                BrokenOutput(e).into()
            }
            OneShotError::Io(e) => anyhow::Error::new(e),
            OneShotError::Input(message) => Ending::failed(message),
        }
    }

    fn to_json(&self, done: &Done) -> Value {
        json!({
            "input": self.input.to_string_lossy(),
            "output": self.output.as_ref().map(|o| o.to_string_lossy()),
            "bytes": { "in": done.bytes_in, "out": done.bytes_out },
            "records": done.made.report.records,
            "rejects": done.made.rejects,
            "reject_file": done.reject_file.as_ref().map(|path| path.to_string_lossy()),
            "summary": done.made.report.summary,
            "took_ms": u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

enum Input {
    File(File),
    Pipe,
}

impl Input {
    fn reader(self) -> Box<dyn Read + Send> {
        match self {
            Input::File(file) => Box::new(file),
            Input::Pipe => Box::new(io::stdin()),
        }
    }
}

/// The file itself, or a temporary copy of what cannot be read again.
fn twice_readable(input: Input, size: Option<u64>) -> Result<File> {
    match input {
        Input::File(file) if size.is_some() => Ok(file),
        other => {
            let mut copy = tempfile::tempfile().context("cannot keep the input for a second reading")?;
            io::copy(&mut other.reader(), &mut copy).context("cannot keep the input for a second reading")?;
            copy.rewind()?;
            Ok(copy)
        }
    }
}

struct Counted<W> {
    output: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.output.write(buf)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
