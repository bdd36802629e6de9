//! The service's live feed: how a measure hears that a job is done without asking again and again.

use crate::connection::Connection;
use crate::service::Service;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::VecDeque;

pub struct Feed {
    connection: Connection,
    text: String,
    keys: VecDeque<String>,
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
        Ok(Feed { connection, text: String::new(), keys: VecDeque::new() })
    }

    /// The input key of the next completed job.
    pub async fn completed(&mut self) -> Result<String> {
        loop {
            if let Some(key) = self.keys.pop_front() {
                return Ok(key);
            }
            let chunk = self.connection.chunk().await?;
            if chunk.is_empty() {
                bail!("the live feed ended");
            }
            self.text.push_str(std::str::from_utf8(&chunk)?);
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                self.keys.extend(key_in(frame)?);
                self.text = rest.to_owned();
            }
        }
    }
}

fn key_in(frame: &str) -> Result<Option<String>> {
    let Some(data) = frame.lines().find_map(|line| line.strip_prefix("data:")) else { return Ok(None) };
    let event: Value = serde_json::from_str(data.trim()).context("an event that is no JSON")?;
    if event["kind"] != "job.completed" {
        bail!("a job failed: {event}");
    }
    Ok(event["data"]["key"].as_str().map(str::to_owned))
}
