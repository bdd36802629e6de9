//! The service's live feed: how a measure hears that a job is done without asking again and again.

use crate::connection::Connection;
use crate::service::Service;
use anyhow::{Context, Result, bail, ensure};
use filemill_core::time::Timestamp;
use serde_json::Value;
use std::collections::VecDeque;

pub struct Feed {
    connection: Connection,
    text: String,
    heard: VecDeque<Ended>,
}

/// A job that ended, as the feed told it.
pub struct Ended {
    pub key: String,
    pub is_completed: bool,
    /// When the service decided it, by the clock on the wall.
    pub at: Timestamp,
}

impl Feed {
    /// Listens from now on for jobs that end.
    pub async fn open(service: &Service) -> Result<Self> {
        let request = format!(
            "GET /v1/events?kind=job.completed,job.failed HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            service.api, service.token
        );
        let mut connection = Connection::open(service.api).await?;
        connection.listen(request.as_bytes()).await?;
        Ok(Feed { connection, text: String::new(), heard: VecDeque::new() })
    }

    /// The input key of the next completed job, where none may fail.
    pub async fn completed(&mut self) -> Result<String> {
        let ended = self.ended().await?;
        ensure!(ended.is_completed, "a job failed: that of {}", ended.key);
        Ok(ended.key)
    }

    /// The next job that ended, well or not.
    pub async fn ended(&mut self) -> Result<Ended> {
        loop {
            if let Some(ended) = self.heard.pop_front() {
                return Ok(ended);
            }
            let chunk = self.connection.chunk().await?;
            if chunk.is_empty() {
                bail!("the live feed ended");
            }
            self.text.push_str(std::str::from_utf8(&chunk)?);
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                self.heard.extend(ended_in(frame)?);
                self.text = rest.to_owned();
            }
        }
    }
}

fn ended_in(frame: &str) -> Result<Option<Ended>> {
    let Some(data) = frame.lines().find_map(|line| line.strip_prefix("data:")) else { return Ok(None) };
    let event: Value = serde_json::from_str(data.trim()).context("an event that is no JSON")?;
    let at = event["at"].as_str().and_then(Timestamp::parse).with_context(|| format!("no time in {event}"))?;
    let key = event["data"]["key"].as_str().with_context(|| format!("no key in {event}"))?.to_owned();
    Ok(Some(Ended { key, is_completed: event["kind"] == "job.completed", at }))
}
