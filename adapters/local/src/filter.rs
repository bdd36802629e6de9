//! The WHERE clause of a query with optional filters.

use crate::listing::behind_all_with;
use rusqlite::types::Value;

#[derive(Default)]
pub(crate) struct Filter {
    terms: Vec<&'static str>,
    pub values: Vec<Value>,
}

impl Filter {
    /// `term` holds one `?` for the value, and counts only if there is one.
    pub fn add(&mut self, term: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.terms.push(term);
            self.values.push(value.into());
        }
    }

    /// `term` holds a `?` for each of the values.
    pub fn add_all<const N: usize>(&mut self, term: &'static str, values: [String; N]) {
        self.terms.push(term);
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

    pub fn clause(&self) -> String {
        if self.terms.is_empty() { String::new() } else { format!("WHERE {}", self.terms.join(" AND ")) }
    }
}
