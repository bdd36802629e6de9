//! Waits for jobs to end, by the live feed; asks again whenever events may have been missed.

use super::Client;
use super::events::{Event, Events, Heard};
use super::views::Job;
use anyhow::Result;

/// Follows one job to its end. `on_job` sees it now and at each change; `on_event` sees all events in between.
/// `events` was opened before, for this job or for more.
pub fn for_job(
    client: &Client,
    events: &mut Events<'_>,
    id: &str,
    mut on_event: impl FnMut(&Event),
    mut on_job: impl FnMut(&Job),
) -> Result<Job> {
    loop {
        let job = client.job(id)?;
        on_job(&job);
        if job.has_ended() {
            return Ok(job);
        }
        while let Heard::Event(event) = events.next()? {
            if event.job.as_deref() == Some(id) {
                on_event(&event);
                if event.kind != "job.progress" {
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
        let arrived = match events.next()? {
            Heard::Event(event) => event.kind == "file.created" || event.kind.starts_with("job."),
            Heard::Reconnected => true,
        };
        if !arrived {
            continue;
        }
        // file and jobs are born in one commit, so whoever hears of the file sees the jobs
        let received = client.get(&format!("/v1/uploads/{}", super::segment(upload)), &[])?;
        if received["status"] == "received" {
            return Ok(client.list("/v1/jobs", &[("upload", upload)], 1000)?.views);
        }
    }
}
