//! `exec`: a command of the operator's turns stdin into stdout.
//!
//! Whole files go to one run; with `per = "chunk"` each chunk of whole lines goes to a run of its own. That cutting
//! changes nothing (P1) and that runs give the same bytes (P3) is the operator's word about the command.

mod outcome;
mod places;
mod running;

use crate::definition::{Exec, Per};
use crate::guard::{Orders, end_strays};
use crate::named_options::NamedOptions;
use crate::{Launcher, scratch};
use filemill_core::chunks::{ChunkPlan, Cut, Survey};
use filemill_core::line_survey::survey_lines;
use filemill_core::ports::{Chunk, ChunkReport, InputFacts, ProcessError, Processor, ProcessorSpec, Transform, Work};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// Less would not hold the guard's own start.
const MEMORY_MIN: u64 = 16 << 20;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const TIMEOUT_MAX: Duration = Duration::from_secs(6 * 3600);

pub struct ExecProcessor {
    spec: ProcessorSpec,
    command: Arc<Command>,
    options: NamedOptions,
}

/// What all runs share.
struct Command {
    name: String,
    exec: Exec,
    launcher: Arc<Launcher>,
}

impl ExecProcessor {
    pub fn of(name: &str, exec: &Exec, launcher: &Arc<Launcher>) -> Result<Self, String> {
        check(exec)?;
        let options = NamedOptions::of(&exec.options)?;
        let program = exec.argv[0].rsplit('/').next().unwrap_or_default();
        let summary =
            exec.summary.clone().unwrap_or_else(|| format!("Runs the command {program} of this service's operator."));
        let spec = ProcessorSpec { kind: name.to_owned().into(), summary: summary.into(), options: options.specs() };
        let command = Command { name: name.to_owned(), exec: exec.clone(), launcher: Arc::clone(launcher) };
        Ok(ExecProcessor { spec, command: Arc::new(command), options })
    }
}

fn check(exec: &Exec) -> Result<(), String> {
    let Some(program) = exec.argv.first() else { return Err("exec.argv: name a program".into()) };
    if !program.starts_with('/') {
        return Err(format!("exec.argv: give the full path of {program:?}, such as \"/usr/bin/tr\""));
    }
    if exec.argv.iter().any(|arg| arg.contains('\0')) {
        return Err("exec.argv: no argument can hold a NUL character".into());
    }
    if exec.per == Per::Chunk && !exec.lines_independent {
        return Err(
            "exec.per = \"chunk\" needs lines_independent = true: each chunk of lines goes to a run of its own".into(),
        );
    }
    if exec.per == Per::File && exec.lines_independent {
        return Err("exec.lines_independent needs per = \"chunk\"".into());
    }
    for name in exec.env.keys() {
        let unfit = name.is_empty() || name.contains(['=', '\0']) || name.starts_with("FILEMILL_");
        if unfit || exec.env[name].contains('\0') {
            return Err(format!("exec.env: {name:?} cannot be set; names that start with FILEMILL_ are the service's"));
        }
    }
    if exec.memory.0 < MEMORY_MIN || exec.processes == 0 || exec.output_max.0 == 0 {
        return Err("exec: memory is at least 16MiB, processes and output_max at least 1".into());
    }
    if exec.timeout.is_zero() || exec.timeout > TIMEOUT_MAX {
        return Err("exec.timeout: use 1s to 6h".into());
    }
    if let Some(relative) = exec.reads.iter().flatten().find(|place| !place.is_absolute()) {
        return Err(format!("exec.reads: give the full path of {relative:?}"));
    }
    Ok(())
}

impl Processor for ExecProcessor {
    fn spec(&self) -> &ProcessorSpec {
        &self.spec
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(ExecTransform { command: Arc::clone(&self.command), options: self.options.read(options)? }))
    }
}

struct ExecTransform {
    command: Arc<Command>,
    options: BTreeMap<String, String>,
}

impl Transform for ExecTransform {
    fn works_beyond_its_input(&self) -> bool {
        true
    }

    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        match self.command.exec.per {
            Per::File => Cut::Whole,
            Per::Chunk => Cut::Surveyed,
        }
    }

    fn survey(&self, plan: &ChunkPlan, input: &mut dyn Read) -> Result<Survey, ProcessError> {
        Ok(survey_lines(plan, input)?)
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let Command { name, exec, launcher } = &*self.command;
        let folder = running::RunFolder::make(launcher.scratch.as_deref())?;
        let orders = orders(exec, folder.path());
        let env = self.environment(chunk, folder.path());
        let mut running =
            running::Running::start(launcher, &orders, &exec.argv, env).map_err(outcome::not_started(name))?;
        let pumped = running.pump(work, exec.output_max.0);
        let stderr = running.end(pumped.is_err(), work.pulse);
        let ended = running::ended(folder.path());
        if ended.is_none() {
            end_strays(folder.path());
        }
        outcome::judge(name, exec, pumped, ended, &stderr)?;
        Ok(ChunkReport::default())
    }

    fn content_type(&self, input: InputFacts<'_>) -> Option<String> {
        self.command.exec.content_type.clone().or_else(|| input.content_type.map(str::to_owned))
    }
}

fn orders(exec: &Exec, run: &Path) -> Orders {
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    Orders {
        run: run.to_owned(),
        timeout_ms: millis(exec.timeout),
        grace_ms: millis(GRACE),
        memory_bytes: exec.memory.0,
        processes: exec.processes,
        scratch_bytes: exec.scratch_max.0,
        network: exec.network,
        reads: exec.reads.clone().unwrap_or_else(|| places::usual(Path::new(&exec.argv[0]))),
        unfenced: exec.unfenced,
    }
}

impl ExecTransform {
    /// All that the command finds in its environment.
    fn environment(&self, chunk: &Chunk<'_>, run: &Path) -> BTreeMap<String, String> {
        let exec = &self.command.exec;
        let scratch: PathBuf = scratch::work(run);
        let scratch = scratch.to_string_lossy().into_owned();
        let mut env = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
        env.extend(["HOME", "TMPDIR"].map(|name| (name.to_owned(), scratch.clone())));
        env.extend(exec.env.clone());
        let mut tell = |name: &str, value: String| drop(env.insert(format!("FILEMILL_{name}"), value));
        tell("KEY", without_control(chunk.input.key));
        tell("CHUNK", chunk.index.to_string());
        tell("LINE", chunk.line.to_string());
        if let Some(content_type) = chunk.input.content_type {
            tell("CONTENT_TYPE", without_control(content_type));
        }
        if chunk.range.end != u64::MAX {
            tell("BYTES", (chunk.range.end - chunk.range.start).to_string());
        }
        for (name, value) in &self.options {
            tell(&format!("OPTION_{}", name.to_uppercase()), value.clone());
        }
        env
    }
}

/// A key may hold anything; what a terminal or a script would take for a command is shown as U+FFFD.
fn without_control(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
