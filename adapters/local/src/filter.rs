//! The WHERE clause of a query with optional filters.

use crate::listing::behind_all_with;
use filemill_core::access::{Place, Reach};
use rusqlite::types::Value;
use std::borrow::Cow;

#[derive(Default)]
pub(crate) struct Filter {
    terms: Vec<Cow<'static, str>>,
    pub values: Vec<Value>,
}

impl Filter {
    /// `term` holds one `?` for the value, and counts only if there is one.
    pub fn add(&mut self, term: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.terms.push(term.into());
            self.values.push(value.into());
        }
    }

    /// `term` holds a `?` for each of the values.
    pub fn add_all<const N: usize>(&mut self, term: &'static str, values: [String; N]) {
        self.terms.push(term.into());
        self.values.extend(values.map(Value::Text));
    }

    /// A key; with a trailing `*` all that begin so.
    pub fn add_key(&mut self, key: Option<&str>) {
        match key.map(|key| (key, key.strip_suffix('*'))) {
            None => {}
            Some((_, Some(prefix))) => {
                self.add("key >= ?", Some(prefix.to_owned()));
                self.add("key < ?", behind_all_with(prefix));
            }
            Some((key, None)) => self.add("key = ?", Some(key.to_owned())),
        }
    }

    /// Of rows with the columns `bucket`, `key` and `owner`.
    pub fn add_reach(&mut self, reach: &Reach) {
        self.add("owner = ?", reach.owner.as_ref().map(|owner| owner.to_string()));
        if let Some(places) = &reach.only {
            let terms: Vec<String> = places.iter().map(|place| self.place(place)).collect();
            // a list of nothing is no SQL
            self.terms.push(if terms.is_empty() { "FALSE".into() } else { format!("({})", terms.join(" OR ")).into() });
        }
        for bucket in &reach.never {
            self.add("bucket <> ?", Some(bucket.to_string()));
        }
    }

    /// One term, its values taken.
    fn place(&mut self, place: &Place) -> String {
        let mut term = "(bucket = ?".to_owned();
        self.values.push(Value::Text(place.bucket.to_string()));
        if !place.prefix.is_empty() {
            term += " AND key >= ?";
            self.values.push(Value::Text(place.prefix.clone()));
            if let Some(end) = behind_all_with(&place.prefix) {
                term += " AND key < ?";
                self.values.push(Value::Text(end));
            }
        }
        term + ")"
    }

    pub fn clause(&self) -> String {
        if self.terms.is_empty() { String::new() } else { format!("WHERE {}", self.terms.join(" AND ")) }
    }
}
