//! Where rejected records go: beside the result, or to standard error where the result has no file.

use crate::client::download::Draft;
use anyhow::{Context, Result};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The reject file of a result.
pub fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".rejects.jsonl");
    PathBuf::from(name)
}

/// Made with the first reject; none means no file.
pub struct RejectFile {
    path: Option<PathBuf>,
    draft: Option<Draft>,
}

impl RejectFile {
    pub fn beside(output: Option<&Path>) -> Self {
        // a device or a pipe has nothing beside it
        let is_file = |output: &&Path| std::fs::metadata(output).map_or(true, |found| found.is_file());
        let path = output.filter(is_file).map(beside);
        RejectFile { path, draft: None }
    }

    pub fn writer(&mut self) -> impl Write + '_ {
        BufWriter::new(self)
    }

    /// The file, if there are rejects and it was to be one.
    pub fn keep(self) -> Result<Option<PathBuf>> {
        let (Some(path), Some(draft)) = (self.path, self.draft) else { return Ok(None) };
        draft.keep().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Some(path))
    }
}

impl Write for &mut RejectFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(path) = &self.path else { return io::stderr().write(buf) };
        let draft = match &mut self.draft {
            Some(draft) => draft,
            none => none.insert(Draft::beside(path).map_err(io::Error::other)?),
        };
        draft.writer().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.draft {
            Some(draft) => draft.writer().flush(),
            None => Ok(()),
        }
    }
}
