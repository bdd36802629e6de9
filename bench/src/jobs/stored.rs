//! A job on a large object: stored to result stored, with the service running.
//!
//! The input is uploaded once under a key that starts no rule. Each job copies it, server-side, to a key that does (a
//! copy shares the bytes, so it is instant) and waits for the live feed to tell that it completed; by then the result is
//! synced. The service's CPU is all of it: reading with checksums, transform, writing, syncing, records.

use super::block_on;
use super::feed::Feed;
use crate::connection::Connection;
use crate::process::Run;
use crate::service::Service;
use crate::signing::Signer;
use crate::transfer::{compare_with_file, send_file};
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

const PARKED: &str = "park/input";

pub fn upload(service: &Service, source: &Path) -> Result<()> {
    let mut file = File::open(source)?;
    let head = Signer::new(service, "uploads")?.put(PARKED, file.metadata()?.len());
    let status = send_file(service.s3, &head, &mut file)?;
    ensure!(status == 200, "the upload was answered {status}");
    Ok(())
}

/// What was uploaded, and what its result must be.
pub struct Stored<'a> {
    pub service: &'a Service,
    pub source: &'a Path,
    pub expected: &'a Path,
}

impl Stored<'_> {
    /// The job that a copy to `key` starts; its result is compared and deleted.
    pub fn job(&self, key: &str) -> Result<Run> {
        let service = self.service;
        let (uploads, results) = (Signer::new(service, "uploads")?, Signer::new(service, "results")?);
        // reading it once warms our copy of the bytes
        compare_with_file(service.s3, &uploads.get(PARKED), &mut File::open(self.source)?)?;
        let process = service.process();
        process.forget_peak()?;
        let cpu_before = process.cpu()?;
        let wall = block_on(copy_and_wait(service, &uploads.copy(PARKED, key), key))?;
        let run = Run { wall, cpu: process.cpu()? - cpu_before, peak_memory: process.peak_memory()? };
        compare_with_file(service.s3, &results.get(key), &mut File::open(self.expected)?).context("a wrong result")?;
        for delete in [results.delete(key), uploads.delete(key)] {
            block_on(async { Connection::open(service.s3).await?.ask(&delete).await?.expect(204) })?;
        }
        Ok(run)
    }
}

async fn copy_and_wait(service: &Service, copy: &[u8], key: &str) -> Result<Duration> {
    let mut feed = Feed::open(service).await?;
    let mut connection = Connection::open(service.s3).await?;
    let begun = Instant::now();
    connection.ask(copy).await?.expect(200)?;
    while feed.completed().await? != key {}
    Ok(begun.elapsed())
}
