//! `filemill archive`: many files into one zip, by name, by manifest, or the results of a selection of jobs.

use super::job;
use crate::client::access::Access;
use crate::client::views::Job;
use crate::client::{Client, decoded, download, segment};
use crate::exit::Ending;
use crate::{output, progress};
use anyhow::{Context, Result};
use filemill_core::archive::ArchiveManifest;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Objects: s3://bucket/key, or a key of the service's default bucket
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// A manifest instead: {"files": [{"source", "destination"?}], "name"?, "metadata"?}; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "sources")]
    manifest: Option<PathBuf>,
    /// The results of completed jobs instead: rule=, bucket=, key= or upload=; may be repeated, all must hold
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::key_value, conflicts_with_all = ["sources", "manifest"])]
    jobs: Vec<(String, Value)>,
    /// Put the sources into this folder of the archive
    #[arg(long, value_name = "FOLDER", requires = "sources")]
    folder: Option<String>,
    /// What a browser should call the archive
    #[arg(long)]
    name: Option<String>,
    /// Given back with the job; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::key_value)]
    metadata: Vec<(String, Value)>,
    /// A rule that makes archives [default: the first one]
    #[arg(long)]
    rule: Option<String>,
    /// Wait until the archive is made; exit 1 if it was not
    #[arg(long)]
    wait: bool,
    /// Wait, then download the archive
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let order = self.order()?;
        let client = self.access.client()?;
        let answer = client.post("/v1/archives", &order)?;
        let ordered: Job = decoded(answer.clone())?;
        if !self.wait && self.output.is_none() {
            return if self.json { output::json(&answer) } else { output::line(job::summary(&ordered)) };
        }
        let mut events = client.events(&[("job", &ordered.id)])?;
        let ended = job::follow(&client, &mut events, &ordered.id)?;
        if self.json {
            output::json(&client.get(&format!("/v1/jobs/{}", segment(&ended.id)), &[])?)?;
        } else {
            output::line(job::summary(&ended))?;
        }
        if !ended.is_completed() {
            return Err(Ending::failed(format!("job {} {}: {}", ended.id, ended.status, ended.reason())));
        }
        self.output.as_deref().map_or(Ok(()), |path| fetch(&client, &ended, path))
    }

    fn order(&self) -> Result<Value> {
        let mut order = match &self.manifest {
            Some(path) => read_manifest(path)?,
            None => json!({}),
        };
        if !self.jobs.is_empty() {
            order["jobs"] = self.jobs.iter().cloned().collect::<Map<_, _>>().into();
        } else if self.manifest.is_none() {
            order["files"] = self.files()?;
        }
        let given = self.metadata.iter().cloned();
        let metadata: Map<String, Value> =
            order["metadata"].as_object().cloned().unwrap_or_default().into_iter().chain(given).collect();
        order["metadata"] = metadata.into();
        for (field, value) in [("name", &self.name), ("rule", &self.rule)] {
            if let Some(value) = value {
                order[field] = value.clone().into();
            }
        }
        Ok(order)
    }

    fn files(&self) -> Result<Value> {
        if self.sources.is_empty() {
            return Err(Ending::usage("name the objects, or give --manifest or --jobs"));
        }
        let folder = self.folder.as_ref().map(|folder| format!("{}/", folder.trim_end_matches('/')));
        Ok(self.sources.iter().map(|source| json!({ "source": source, "destination": folder })).collect())
    }
}

fn read_manifest(path: &Path) -> Result<Value> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        crate::client::source::open(path)?.read_to_end(&mut bytes)
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = ArchiveManifest::parse(&bytes);
    let manifest = manifest.map_err(|e| Ending::usage(format!("{}: {e}", path.display())))?;
    Ok(serde_json::to_value(manifest)?)
}

fn fetch(client: &Client, job: &Job, path: &Path) -> Result<()> {
    let link = client.link(&format!("/v1/jobs/{}/result", segment(&job.id)))?;
    let size = job.output.as_ref().map(|object| object.size);
    let bar = progress::bytes(&path.to_string_lossy(), size);
    download::to_file(client, &link, size, path, &bar)?;
    bar.finish_and_clear();
    Ok(())
}
