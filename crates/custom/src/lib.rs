//! Processors that an operator defines in the configuration: `exec`, a command, and `http`, a service.
//!
//! Whatever an operator alone decides (argv, URL, environment, limits) stands in the [`Definition`] and is no option of
//! a rule or an upload. A command runs under a guard of our own ([`guard_main`]), which ends it and all that it started.
//! Nothing here knows of jobs or stores.

mod definition;
mod exec;
mod guard;
mod http;
mod named_options;
mod scratch;

pub use definition::{Definition, Exec, Http, Payload, Per};
pub use guard::{KernelFences, guard_main};

use filemill_core::ports::Processor;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// How a command is started: through a program that calls [`guard_main`] with what follows `args`.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// `/proc/self/exe` is this very binary, also when it was replaced on disk meanwhile.
    pub program: PathBuf,
    /// What comes before the guard's own arguments, such as the name of a subcommand.
    pub args: Vec<OsString>,
    /// Where each run's scratch folder is made; `None`: the system's folder for temporary files.
    pub scratch: Option<PathBuf>,
}

impl Launcher {
    /// Removes what runs left in `scratch` that had no time to clean up, such as after a power cut. For the start of a
    /// service that has this folder to itself.
    pub fn clear_scratch(&self) -> std::io::Result<()> {
        let Some(folder) = self.scratch.as_deref().filter(|folder| folder.is_dir()) else { return Ok(()) };
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(scratch::PREFIX)) {
                scratch::remove(&path)?;
            }
        }
        Ok(())
    }
}

/// The processors of `[processors.NAME]`. The error names the definition and what to do.
pub fn processors(
    definitions: &BTreeMap<String, Definition>,
    launcher: Launcher,
) -> Result<Vec<Arc<dyn Processor>>, String> {
    let launcher = Arc::new(launcher);
    let one = |(name, definition): (&String, &Definition)| -> Result<Arc<dyn Processor>, String> {
        let wrong = |e: String| format!("[processors.{name}]: {e}");
        check_name(name).map_err(wrong)?;
        let (Definition::Exec(Exec { content_type, .. }) | Definition::Http(Http { content_type, .. })) = definition;
        check_content_type(content_type.as_deref()).map_err(wrong)?;
        Ok(match definition {
            Definition::Exec(exec) => Arc::new(exec::ExecProcessor::of(name, exec, &launcher).map_err(wrong)?),
            Definition::Http(http) => Arc::new(http::HttpProcessor::of(name, http).map_err(wrong)?),
        })
    };
    definitions.iter().map(one).collect()
}

/// It becomes a header of whoever downloads the result.
fn check_content_type(content_type: Option<&str>) -> Result<(), String> {
    let fine = |text: &str| text.contains('/') && text.len() <= 200 && text.bytes().all(|b| (0x20..0x7f).contains(&b));
    match content_type {
        Some(text) if !fine(text) => Err(format!("content_type: {text:?} is none; write for example \"text/csv\"")),
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if name.len() <= 64 && name.bytes().all(fine) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(());
    }
    Err("a name has 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter".into())
}
