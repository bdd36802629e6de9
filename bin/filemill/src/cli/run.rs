//! `filemill run`: the service's processors on files here and now, in one pass and constant memory.

use crate::client::download::Draft;
use crate::client::source;
use crate::config::{Config, Overrides};
use crate::exit::{BrokenOutput, Ending};
use crate::{backends, output, progress};
use anyhow::{Context, Result};
use filemill_core::limits;
use filemill_core::ports::ChunkReport;
use filemill_core::rule::{Process, RuleId};
use filemill_engine::{OneShot, OneShotError, Registry};
use serde_json::{Value, json};
use std::io::{self, BufWriter, Read, Write};
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
    report: ChunkReport,
    bytes_in: u64,
    bytes_out: u64,
    took: Duration,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let registry = backends::processors();
        let process = self.process(&registry)?;
        let mut items = Vec::new();
        for errand in self.errands()? {
            let done = errand.run(&registry, &process).with_context(|| errand.input.display().to_string())?;
            items.push(errand.to_json(&done));
        }
        if self.json { output::json(&json!({ "items": items })) } else { Ok(()) }
    }

    fn process(&self, registry: &Registry) -> Result<Process> {
        let config = Config::load(self.config.as_deref(), &Overrides::default(), registry)?;
        let rule = RuleId::parse(&self.rule).ok().and_then(|id| config.rules.get(&id).cloned());
        let is_kind = registry.specs().any(|spec| spec.kind == self.rule);
        let mut process = match rule {
            Some(rule) => rule.process.clone(),
            None if is_kind => Process { kind: self.rule.clone(), options: Default::default() },
            None => return Err(self.unknown_rule(&config, registry)),
        };
        process.options.extend(self.set.iter().cloned());
        registry.prepare(&process).map_err(|e| Ending::usage(format!("{e}; --set KEY=VALUE gives an option")))?;
        Ok(process)
    }

    fn unknown_rule(&self, config: &Config, registry: &Registry) -> anyhow::Error {
        let rules: Vec<&str> = config.rules.all().iter().map(|r| r.id.as_str()).collect();
        let kinds: Vec<&str> = registry.specs().map(|s| s.kind).collect();
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

/// Two results of one name would overwrite each other, and a result its own input.
fn check_outputs(errands: &[Errand<'_>]) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for errand in errands {
        let Some(output) = &errand.output else { continue };
        if !seen.insert(output.clone()) {
            return Err(Ending::usage(format!("two of the files would become {}", output.display())));
        }
        let is_input = matches!((output.canonicalize(), errand.input.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if is_input {
            return Err(Ending::usage(format!("the result would overwrite its own input {}", output.display())));
        }
    }
    Ok(())
}

impl Errand<'_> {
    fn run(&self, registry: &Registry, process: &Process) -> Result<Done> {
        let one_shot = OneShot::new(registry, process).map_err(Ending::usage)?;
        let (input, size) = self.open()?;
        match &self.output {
            None => self.pass(&one_shot, input, size, &mut output::raw()?),
            Some(path) => {
                let mut draft = Draft::beside(path)?;
                let done = self.pass(&one_shot, input, size, draft.writer())?;
                draft.keep().with_context(|| format!("cannot write {}", path.display()))?;
                Ok(done)
            }
        }
    }

    /// The input, and its size if it has one.
    fn open(&self) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
        if self.input == Path::new("-") {
            return Ok((Box::new(io::stdin()), None));
        }
        let file = source::open(self.input)?;
        let facts = file.metadata()?;
        let size = facts.is_file().then_some(facts.len());
        Ok((Box::new(file), size))
    }

    fn pass(
        &self,
        one_shot: &OneShot,
        input: Box<dyn Read + Send>,
        size: Option<u64>,
        output: &mut dyn Write,
    ) -> Result<Done> {
        let name = self.input.to_string_lossy();
        let bar = progress::bytes(&name, size);
        let mut output = Counted { output: BufWriter::with_capacity(limits::IO_BLOCK_BYTES, output), bytes: 0 };
        let began = Instant::now();
        // exactly the bytes that were there at the start, also of a log that grows meanwhile
        let outcome = match size {
            Some(size) => one_shot.run(&name, Some(size), bar.wrap_read(input.take(size)), &mut output),
            None => one_shot.run(&name, None, bar.wrap_read(input), &mut output),
        };
        bar.finish_and_clear();
        let report = outcome.map_err(|e| self.error(e))?;
        let (bytes_in, bytes_out) = (one_shot.bytes_read(), output.bytes);
        Ok(Done { report, bytes_in, bytes_out, took: began.elapsed() })
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
            "rejects": done.report.rejects,
            "took_ms": u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
        })
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
