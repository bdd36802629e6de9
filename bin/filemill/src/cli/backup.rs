//! `filemill backup`: everything but the credentials, of a running service or of a stopped one's folder, into one file.
//!
//! The file gets its name when it is whole, verified and on disk.

use crate::backends::{self, Stopped};
use crate::client::access::Access;
use crate::client::download::name_synced;
use crate::clock::SystemClock;
use crate::exit::Ending;
use crate::output;
use anyhow::{Context, Result};
use filemill_core::ports::Clock;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// The file to write; it must not exist
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        if self.out.exists() {
            return Err(Ending::usage(format!("{} exists; give another name", self.out.display())));
        }
        let doing = || format!("cannot write {}", self.out.display());
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".filemill-backup").tempfile_in(folder).with_context(doing)?;
        self.fill(file.as_file_mut())?;
        file.rewind().with_context(doing)?;
        let made = backends::check_backup(BufReader::new(file.as_file())).context("the backup does not read back")?;
        name_synced(file, &self.out).with_context(doing)?;
        for blob in &made.damaged {
            eprintln!("blob {blob} was damaged in the store already; filemill doctor tells more");
        }
        output::line(format_args!("{}  {} files, {} bytes, verified", self.out.display(), made.files, made.bytes))
    }

    fn fill(&self, file: &mut File) -> Result<()> {
        let mut out = BufWriter::new(file);
        match self.access.stopped()? {
            Stopped::Store(store) => {
                store.back_up(&mut out, SystemClock.now())?;
            }
            Stopped::InUse | Stopped::Unnamed => {
                let mut body = self.access.client()?.post_for_stream("/v1/backup")?;
                io::copy(&mut body, &mut out).context("the service broke the backup off; its log has the cause")?;
            }
        }
        Ok(out.flush()?)
    }
}
