//! `filemill get`: a job's result, a file or an object, through a presigned link.

use crate::client::access::Access;
use crate::client::views::{File, Listed};
use crate::client::{Client, decoded, download, segment};
use crate::exit::Ending;
use crate::{output, progress};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// A job (its result), a file, or BUCKET/KEY
    #[arg(value_name = "JOB_ID|FILE_ID|BUCKET/KEY")]
    what: String,
    /// Of a job, the records that it set aside instead of its result
    #[arg(long)]
    rejects: bool,
    /// Where to write it; - is standard output [default: its own name, here]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Overwrite a file that exists under its own name
    #[arg(long)]
    force: bool,
    /// Print JSON about what was downloaded
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Something to download.
struct Found {
    /// Where its link is made.
    link_path: String,
    key: String,
    size: Option<u64>,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let client = self.access.client()?;
        let found = if self.rejects { rejects_of(&client, &self.what)? } else { find(&client, &self.what)? };
        let to_stdout = self.output.as_deref() == Some(Path::new("-"));
        let path = if to_stdout { PathBuf::new() } else { self.path(&found)? };
        let url = client.link(&found.link_path)?;
        let name = found.key.rsplit('/').next().unwrap_or(&found.key);
        let bar = progress::bytes(name, found.size);
        if to_stdout {
            download::to_stdout(&client, &url, found.size, &bar)?;
            bar.finish_and_clear();
            return Ok(());
        }
        let bytes = download::to_file(&client, &url, found.size, &path, &bar)?;
        bar.finish_and_clear();
        if self.json {
            return output::json(&json!({ "path": path.to_string_lossy(), "size": bytes }));
        }
        let size = filemill_core::size::ByteSize(bytes);
        output::line(format_args!("{}  {size}", output::printable(&path.to_string_lossy())))
    }

    /// A key is somebody else's text: only its last part names a file here, and what is here is not overwritten unasked.
    fn path(&self, found: &Found) -> Result<PathBuf> {
        let name = found.key.rsplit('/').next().unwrap_or_default();
        let usable = !matches!(name, "" | "." | "..");
        match &self.output {
            Some(path) if !path.is_dir() => return Ok(path.clone()),
            _ if !usable => return Err(Ending::usage("the key ends in no file name; give -o PATH")),
            _ => {}
        }
        let path = self.output.as_deref().unwrap_or(Path::new("")).join(name);
        if path.exists() && !self.force {
            return Err(Ending::usage(format!("{} exists; give --force or -o PATH", path.display())));
        }
        Ok(path)
    }
}

fn find(client: &Client, what: &str) -> Result<Found> {
    if what.starts_with("job_") && !what.contains('/') {
        let job = client.job(what)?;
        let output = job.output.as_ref().filter(|_| job.is_completed());
        let output = output.ok_or_else(|| Ending::failed(format!("job {} has no result: {}", job.id, job.reason())))?;
        let link_path = format!("/v1/jobs/{}/result", segment(what));
        return Ok(Found { link_path, key: output.key.clone(), size: Some(output.size) });
    }
    let file = match what.split_once('/') {
        Some((bucket, key)) if !key.is_empty() => file_at(client, bucket, key)?,
        _ if what.starts_with("fil_") => decoded(client.get(&format!("/v1/files/{}", segment(what)), &[])?)?,
        _ => return Err(Ending::usage(format!("{what:?} is no job id, no file id and no BUCKET/KEY"))),
    };
    let link_path = format!("/v1/files/{}/download", segment(&file.id));
    Ok(Found { link_path, key: file.key, size: Some(file.size) })
}

fn rejects_of(client: &Client, id: &str) -> Result<Found> {
    let job = client.job(id)?;
    let file = job.reject_file.as_ref();
    let file = file.ok_or_else(|| Ending::failed(format!("job {} is {} and set nothing aside", job.id, job.status)))?;
    let link_path = format!("/v1/jobs/{}/rejects", segment(id));
    Ok(Found { link_path, key: file.key.clone(), size: Some(file.size) })
}

/// In byte order a key comes before all longer keys that start with it, so the first hit is it or there is none.
fn file_at(client: &Client, bucket: &str, key: &str) -> Result<File> {
    let files: Listed<File> =
        client.list("/v1/files", &[("bucket", bucket), ("prefix", key)], 1).context("looking for the object")?;
    let file = files.views.into_iter().find(|f| f.key == key);
    file.ok_or_else(|| Ending::not_found(format!("there is no object {bucket}/{}", output::printable(key))))
}
