//! Orders that the service works off in the background at a rate: what redrives and backfills share.

use crate::client::{Client, segment};
use crate::exit::{Exit, exit_of};
use anyhow::Result;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often an order that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So long a service may be away before nobody waits for it any more.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// `50` or `50/s`
pub fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| "write how many a second, such as 50 or 50/s".to_owned())
}

/// `noun` is the list that it stands in.
pub fn path(noun: &str, id: &str) -> String {
    format!("/v1/{noun}/{}", segment(id))
}

/// Looks until it runs no more. An order outlives the service's restarts, and so does the waiting for it.
pub fn finished(client: &Client, noun: &str, mut order: Value) -> Result<Value> {
    let id = order["id"].as_str().unwrap_or_default().to_owned();
    let path = path(noun, &id);
    let mut heard = Instant::now();
    while order["status"] == "running" {
        std::thread::sleep(LOOK_EVERY);
        match client.get(&path, &[]) {
            Ok(newer) => (order, heard) = (newer, Instant::now()),
            Err(e) if exit_of(&e) != Exit::Unreachable => return Err(e),
            Err(_) if heard.elapsed() < SILENCE_MAX => {}
            Err(e) => return Err(e.context(format!("order {id} goes on once the service does, waited for or not"))),
        }
    }
    Ok(order)
}
