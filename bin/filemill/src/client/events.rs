//! The live feed over server-sent events: what comes, and the way back when the connection was lost.
//!
//! A feed that was reconnected resumes behind the last event it saw; progress is not stored and may be missed.

use super::Client;
use crate::exit::{Exit, exit_of};
use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

/// Tries to reconnect before the service counts as gone, and the waits between them.
const RECONNECTS: u32 = 8;
const RECONNECT_WAIT: Duration = Duration::from_millis(250);
/// One event's text.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    pub kind: String,
    pub job: Option<String>,
    pub upload: Option<String>,
    #[serde(default)]
    pub data: Value,
}

/// What listening brings.
pub enum Heard {
    Event(Event),
    /// The connection is lost. After [`Events::reconnect`] ask for the state again: something may have been missed.
    Lost,
}

pub struct Events<'a> {
    client: &'a Client,
    query: Vec<(&'a str, &'a str)>,
    last_id: Option<String>,
    lines: BufReader<Box<dyn Read + Send>>,
}

impl Client {
    /// Listens from now on; events that happen after this returned are heard.
    pub fn events<'a>(&'a self, query: &[(&'a str, &'a str)]) -> Result<Events<'a>> {
        let lines = connect(self, query, None)?;
        Ok(Events { client: self, query: query.to_vec(), last_id: None, lines })
    }
}

fn connect(client: &Client, query: &[(&str, &str)], last_id: Option<&str>) -> Result<BufReader<Box<dyn Read + Send>>> {
    let response = client.stream("/v1/events", query, last_id)?;
    Ok(BufReader::new(Box::new(response.into_body().into_reader())))
}

impl Events<'_> {
    /// Waits for the next event.
    pub fn next(&mut self) -> Heard {
        read_event(&mut self.lines, &mut self.last_id).map_or(Heard::Lost, Heard::Event)
    }

    /// Tries for a while; an error means that the service is gone.
    pub fn reconnect(&mut self) -> Result<()> {
        let mut tries = 0;
        loop {
            match connect(self.client, &self.query, self.last_id.as_deref()) {
                Ok(lines) => {
                    self.lines = lines;
                    return Ok(());
                }
                Err(e) if exit_of(&e) != Exit::Unreachable || tries == RECONNECTS => return Err(e),
                Err(_) => std::thread::sleep(RECONNECT_WAIT * (1 << tries.min(4))),
            }
            tries += 1;
        }
    }
}

/// The next event of the stream; `None` when it ends or stalls. Comments and unknown events are passed over.
fn read_event(lines: &mut impl BufRead, last_id: &mut Option<String>) -> Option<Event> {
    let mut data = String::new();
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
        if read == 0 || !line.ends_with(b"\n") {
            return None;
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            if let Ok(event) = serde_json::from_str(&std::mem::take(&mut data)) {
                return Some(event);
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.push_str(value),
            "id" => *last_id = Some(value.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_between_comments_and_the_last_id_is_kept() {
        let text = ": hello\n\nid: 7\nevent: job.completed\ndata: {\"kind\":\"job.completed\",\"job\":\"j\"}\n\n\
                    event: job.progress\r\ndata: {\"kind\":\"job.progress\",\"data\":{\"x\":1}}\r\n\r\n";
        let (mut lines, mut last_id) = (text.as_bytes(), None);
        let first = read_event(&mut lines, &mut last_id).expect("first");
        assert_eq!((first.kind.as_str(), first.job.as_deref()), ("job.completed", Some("j")));
        assert_eq!(last_id.as_deref(), Some("7"));
        assert_eq!(read_event(&mut lines, &mut last_id).expect("second").data["x"], 1);
        assert!(read_event(&mut lines, &mut last_id).is_none());
        assert_eq!(last_id.as_deref(), Some("7"));
    }

    #[test]
    fn an_event_that_was_cut_off_does_not_count() {
        let mut lines = "id: 1\ndata: {\"kind\":\"job.completed\"}".as_bytes();
        assert!(read_event(&mut lines, &mut None).is_none());
    }
}
