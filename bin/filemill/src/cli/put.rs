//! `filemill put`: uploads files through presigned links and, if asked, waits for their jobs.

use crate::client::access::Access;
use crate::client::source::{FileSource, Source};
use crate::client::upload::{self, Wish};
use crate::client::views::{Job, UploadLinks};
use crate::client::{Client, wait};
use crate::exit::Ending;
use crate::{output, progress};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Files to upload; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Bucket to upload into [default: the service's default bucket]
    #[arg(long)]
    bucket: Option<String>,
    /// Key of the object, for one file [default: an unguessable folder and the file's name]
    #[arg(long, conflicts_with = "prefix")]
    key: Option<String>,
    /// Put before each file's name to make its key
    #[arg(long)]
    prefix: Option<String>,
    /// Start this rule and no other
    #[arg(long)]
    rule: Option<String>,
    /// Option for the rule's processor, over its own; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = super::key_value, requires = "rule")]
    options: Vec<(String, Value)>,
    /// Content type of the objects
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Wait until the jobs that the upload starts have ended; exit 1 if one did not complete
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// One file's upload and, after `--wait`, its jobs.
struct Uploaded {
    links: UploadLinks,
    size: u64,
    jobs: Option<Vec<Job>>,
}

impl Args {
    pub fn run(self) -> Result<()> {
        if self.files.len() > 1 && self.key.is_some() {
            return Err(Ending::usage("--key names one object; use --prefix for several files"));
        }
        let client = self.access.client()?;
        let mut uploaded = Vec::new();
        for path in &self.files {
            let one = self.upload(&client, path).with_context(|| path.display().to_string())?;
            if !self.json {
                one.print()?;
            }
            uploaded.push(one);
        }
        if self.json {
            output::json(&json!({ "items": uploaded.iter().map(Uploaded::to_json).collect::<Vec<_>>() }))?;
        }
        let bad = uploaded.iter().flat_map(|u| u.jobs.iter().flatten()).find(|j| !j.is_completed());
        bad.map_or(Ok(()), |job| Err(Ending::failed(format!("job {} {}: {}", job.id, job.status, job.reason()))))
    }

    fn upload(&self, client: &Client, path: &Path) -> Result<Uploaded> {
        let is_stdin = path == Path::new("-");
        let source = if is_stdin { FileSource::spool(std::io::stdin().lock())? } else { FileSource::open(path)? };
        let filename = self.filename(path, is_stdin)?;
        let bar = progress::bytes(&filename, Some(source.size()));
        let wish = Wish {
            key: self.key.clone().or_else(|| self.prefix.as_ref().map(|p| format!("{p}{filename}"))),
            filename,
            content_type: self.content_type.clone(),
            bucket: self.bucket.clone(),
            rule: self.rule.clone(),
            options: self.options.iter().cloned().collect(),
        };
        let links = upload::begin(client, &wish, &source)?;
        let id = links.id.clone();
        let interest = [("upload", id.as_str())];
        // listen first, so that nothing that the upload starts goes unheard
        let mut events = if self.wait { Some(client.events(&interest)?) } else { None };
        upload::send(client, &links, &source, &bar)?;
        bar.finish_and_clear();
        let jobs = match &mut events {
            Some(events) => Some(ended_jobs(client, events, &links.id)?),
            None => None,
        };
        Ok(Uploaded { links, size: source.size(), jobs })
    }

    fn filename(&self, path: &Path, is_stdin: bool) -> Result<String> {
        if is_stdin {
            let from_key = self.key.as_deref().and_then(|k| k.rsplit('/').next()).filter(|n| !n.is_empty());
            return Ok(from_key.unwrap_or("stdin").to_owned());
        }
        let name = path.file_name().and_then(|n| n.to_str());
        let name = name.or(self.key.as_deref()).map(str::to_owned);
        name.ok_or_else(|| Ending::usage("the file's name is not UTF-8; give --key"))
    }
}

fn ended_jobs(client: &Client, events: &mut crate::client::events::Events<'_>, upload: &str) -> Result<Vec<Job>> {
    let jobs = wait::for_jobs_of_upload(client, events, upload)?;
    jobs.iter().map(|job| super::job::follow(client, events, &job.id)).collect()
}

impl Uploaded {
    fn print(&self) -> Result<()> {
        let UploadLinks { bucket, key, id, .. } = &self.links;
        let key = output::printable(key);
        output::line(format_args!("{bucket}/{key}  {}  {id}", filemill_core::size::ByteSize(self.size)))?;
        match &self.jobs {
            None => Ok(()),
            Some(jobs) if jobs.is_empty() => output::line("  no rule takes this file"),
            Some(jobs) => jobs.iter().try_for_each(|job| output::line(format_args!("  {}", super::job::summary(job)))),
        }
    }

    fn to_json(&self) -> Value {
        let UploadLinks { bucket, key, id, .. } = &self.links;
        let jobs = self
            .jobs
            .as_ref()
            .map(|jobs| jobs.iter().map(|j| json!({"id": j.id, "status": j.status})).collect::<Vec<_>>());
        json!({ "upload": id, "bucket": bucket, "key": key, "size": self.size, "jobs": jobs })
    }
}
