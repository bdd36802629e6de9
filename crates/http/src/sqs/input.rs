//! Inputs of actions: JSON into types, with what was wrong and where.

use super::errors::Refusal;
use filemill_core::named::Named;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut json = serde_json::Deserializer::from_slice(body);
    let Named(input) = serde_path_to_error::deserialize(&mut json).map_err(|e| wrong(&e))?;
    json.end().map_err(|e| Refusal::malformed(format!("The body is not JSON: {e}")))?;
    Ok(input)
}

fn wrong(e: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    if !e.inner().is_data() {
        return Refusal::malformed(format!("The body is not JSON: {}", e.inner()));
    }
    match e.path().to_string().as_str() {
        "." => Refusal::invalid(format!("The input cannot be read: {}", e.inner())),
        path => Refusal::invalid(format!("{path}: {}", e.inner())),
    }
}

pub fn need(value: Option<String>, what: &str) -> Result<String, Refusal> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| Refusal::missing(what))
}

/// A whole number; older tools send it as text.
#[derive(Clone, Copy, Debug)]
pub struct Whole(i64);

impl Whole {
    pub fn within(self, what: &str, range: RangeInclusive<i64>) -> Result<i64, Refusal> {
        let Whole(number) = self;
        if range.contains(&number) {
            return Ok(number);
        }
        let (low, high) = (range.start(), range.end());
        Err(Refusal::invalid(format!(
            "Value {number} for parameter {what} is invalid. Reason: Must be between {low} and {high}, if provided."
        )))
    }

    pub fn seconds(self, what: &str, max: Duration) -> Result<Duration, Refusal> {
        let seconds = self.within(what, 0..=i64::try_from(max.as_secs()).unwrap_or(i64::MAX))?;
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }
}

impl<'de> serde::Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Whole, E> {
        text.parse().map(Whole).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}
