//! Orders that the service works off in the background at a rate: what redrives and backfills share.

use crate::client::{Client, segment};
use anyhow::Result;
use serde_json::Value;
use std::time::Duration;

/// How often an order that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `50` or `50/s`
pub fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| "write how many a second, such as 50 or 50/s".to_owned())
}

/// `noun` is the list that it stands in.
pub fn path(noun: &str, id: &str) -> String {
    format!("/v1/{noun}/{}", segment(id))
}

/// Looks until it runs no more.
pub fn finished(client: &Client, noun: &str, mut order: Value) -> Result<Value> {
    let path = path(noun, order["id"].as_str().unwrap_or_default());
    while order["status"] == "running" {
        std::thread::sleep(LOOK_EVERY);
        order = client.get(&path, &[])?;
    }
    Ok(order)
}
