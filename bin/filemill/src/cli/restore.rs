//! `filemill restore`: a backup becomes a data folder again, or is only verified.

use crate::backends;
use crate::config::DATA_DEFAULT;
use crate::output;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// The backup
    #[arg(value_name = "IN")]
    backup: PathBuf,
    /// The folder to make; it must be empty or not exist [default: filemill-data]
    #[arg(long, env = "FILEMILL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Only verify the backup: each file's checksum, and that none is missing
    #[arg(long)]
    check: bool,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let file = File::open(&self.backup).with_context(|| format!("cannot read {}", self.backup.display()))?;
        let input = BufReader::with_capacity(1 << 20, file);
        let data = self.data.unwrap_or_else(|| PathBuf::from(DATA_DEFAULT));
        let done = if self.check {
            backends::check_backup(input)?
        } else {
            backends::check_scheme(&data)?;
            backends::restore_backup(input, &data)?
        };
        for blob in &done.damaged {
            eprintln!("blob {blob} was damaged when the backup was made");
        }
        let (what, made_at) = (if self.check { "whole" } else { "restored" }, done.made_at);
        output::line(format_args!("{what}: {} files, {} bytes, as of {made_at}", done.files, done.bytes))?;
        if !self.check {
            eprintln!(
                "credentials are not part of a backup: the next start makes new ones, or takes them from the environment"
            );
        }
        Ok(())
    }
}
