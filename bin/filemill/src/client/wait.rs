//! Waits for jobs to end, by the live feed; asks again whenever events may have been missed.

use super::Client;
use super::events::{Event, Events, Heard};
use super::views::Job;
use crate::exit::Ending;
use anyhow::Result;

/// Follows one job to its end. `on_job` sees it now and at each change, `on_progress` hears what is told in between.
/// `events` was opened before, for this job or for more.
pub fn for_job(
    client: &Client,
    events: &mut Events<'_>,
    id: &str,
    on_progress: impl Fn(&Event),
    on_job: impl Fn(&Job),
) -> Result<Job> {
    loop {
        let job = client.job(id)?;
        on_job(&job);
        if job.has_ended() {
            return Ok(job);
        }
        loop {
            match events.next() {
                Heard::Event(event) if event.job.as_deref() != Some(id) => {}
                Heard::Event(event) if event.kind == "job.progress" => on_progress(&event),
                Heard::Event(_) => break,
                Heard::Lost => {
                    events.reconnect()?;
                    break;
                }
            }
        }
    }
}

/// The jobs that an upload started, once its object has arrived. `events` were opened for this upload before it was
/// sent. None means that no rule takes the file.
pub fn for_jobs_of_upload(client: &Client, events: &mut Events<'_>, upload: &str) -> Result<Vec<Job>> {
    loop {
        match events.next() {
            Heard::Event(event) if event.kind == "job.progress" => continue,
            Heard::Event(_) => {}
            Heard::Lost => events.reconnect()?,
        }
        // file and jobs are born in one commit, so whoever hears of the file sees the jobs
        let received = client.get(&format!("/v1/uploads/{}", super::segment(upload)), &[])?;
        match received["status"].as_str() {
            Some("received") => return Ok(client.list("/v1/jobs", &[("upload", upload)], 1000)?.views),
            Some("expired") => return Err(Ending::failed("another object took the key before this one was seen")),
            _ => {}
        }
    }
}
