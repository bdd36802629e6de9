//! Where a run happens: a fresh folder on the disk that is measured, and the program that is measured.
//!
//! The folder goes when the run ends. It is made beside this program unless told otherwise: that is a real disk also
//! where `/tmp` is memory.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Workplace {
    folder: TempDir,
    filemill: PathBuf,
}

impl Workplace {
    pub fn new(dir: Option<&Path>, filemill: Option<&Path>) -> Result<Self> {
        let here = std::env::current_exe().context("cannot tell where this program is")?;
        let beside = here.parent().context("this program is in no folder")?;
        let filemill = filemill.map_or_else(|| beside.join("filemill"), Path::to_owned);
        if !filemill.is_file() {
            bail!("{} is not there; build it with: cargo build --release -p filemill", filemill.display());
        }
        let dir = dir.unwrap_or(beside);
        let folder = tempfile::Builder::new().prefix("filemill-bench-").tempdir_in(dir);
        let folder = folder.with_context(|| format!("cannot make a folder in {}", dir.display()))?;
        Ok(Workplace { folder, filemill: filemill.canonicalize()? })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn filemill(&self) -> &Path {
        &self.filemill
    }

    /// A fresh subfolder.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Writes back what earlier work left dirty, so that nobody pays for his neighbour.
    pub fn settle(&self) {
        rustix::fs::sync();
    }
}
