//! The programs that Filemill is compared with: where they are, and how one gets those that are missing.
//!
//! They are looked for in the folder of peers first (`bench/peers.sh` fills one), then on the PATH. What is not there is
//! said, and its rows are left out.

use crate::jobs::note;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Toolbox {
    folder: PathBuf,
}

#[derive(Clone, Copy)]
pub enum Tool {
    Python,
    Polars,
    PythonMarkdown,
    Vader,
    Qsv,
    CmarkGfm,
    InfoZip,
}

struct Facts {
    name: &'static str,
    programs: &'static [&'static str],
    /// A module that its Python must have.
    module: Option<&'static str>,
    install: &'static str,
}

const PEERS: &str = "bench/peers.sh";

impl Tool {
    fn facts(self) -> Facts {
        let python = |name, module, install| Facts { name, programs: &["python3"], module: Some(module), install };
        let program = |name, programs, install| Facts { name, programs, module: None, install };
        match self {
            Tool::Python => program("python", &["python3"], "apt-get install python3"),
            Tool::Polars => python("polars", "polars", PEERS),
            Tool::PythonMarkdown => python("python-markdown", "markdown", PEERS),
            Tool::Vader => python("vaderSentiment", "vaderSentiment.vaderSentiment", PEERS),
            Tool::Qsv => program("qsv", &["qsv", "qsvlite"], PEERS),
            Tool::CmarkGfm => program("cmark-gfm", &["cmark-gfm"], "apt-get install cmark-gfm"),
            Tool::InfoZip => program("info-zip", &["zip"], "apt-get install zip"),
        }
    }
}

impl Toolbox {
    /// Beside the folder of this program unless told otherwise: `target/peers` for `target/release/filemill-bench`.
    pub fn new(folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            return Ok(Toolbox { folder: folder.canonicalize().context("the folder of peers is not there")? });
        }
        let here = std::env::current_exe().context("cannot tell where this program is")?;
        let target = here.parent().and_then(Path::parent).context("this program is in no folder")?;
        Ok(Toolbox { folder: target.join("peers") })
    }

    /// Where it is; `None`, and a word about it, if it is not there.
    pub fn find(&self, tool: Tool) -> Option<PathBuf> {
        let facts = tool.facts();
        let found = facts.programs.iter().find_map(|name| self.program(name));
        let usable = found.filter(|program| facts.module.is_none_or(|module| imports(program, module)));
        if usable.is_none() {
            note(&format!("{} is not installed, its rows are left out; to get it: {}", facts.name, facts.install));
        }
        usable
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.folder.join("bin")).chain(std::env::split_paths(&path));
        folders.map(|folder| folder.join(name)).find(|program| program.is_file())
    }
}

fn imports(python: &Path, module: &str) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", &format!("import {module}")]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A script of `bench/python` with its arguments to come.
pub fn script(python: &Path, text: &str) -> Command {
    let mut command = Command::new(python);
    command.arg("-c").arg(text);
    command
}
