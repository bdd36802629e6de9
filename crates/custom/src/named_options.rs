//! The options that a definition declares: each a string, given by a rule or an upload, handed to the command or the
//! service as it is. Nothing else can be set from there.

use filemill_core::ports::OptionSpec;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A value goes into an environment variable or a header.
const VALUE_BYTES_MAX: usize = 4096;
const NAMES_MAX: usize = 32;

#[derive(Clone, Debug, Default)]
pub struct NamedOptions {
    names: Vec<String>,
}

impl NamedOptions {
    pub fn of(names: &[String]) -> Result<Self, String> {
        let fine = |name: &String| {
            (1..=32).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if let Some(bad) = names.iter().find(|name| !fine(name)) {
            return Err(format!("options: {bad:?} is no name; use 1 to 32 of a-z, 0-9 and '_', a letter first"));
        }
        let mut sorted = names.to_vec();
        sorted.sort();
        sorted.dedup();
        if sorted.len() != names.len() || names.len() > NAMES_MAX {
            return Err(format!("options: name each once, at most {NAMES_MAX}"));
        }
        Ok(NamedOptions { names: names.to_vec() })
    }

    /// For the processor's spec. Lives as long as the process: definitions are read once, at its start.
    pub fn specs(&self) -> &'static [OptionSpec] {
        let spec = |name: &String| {
            OptionSpec::new(name.clone().leak(), "string", "As the processor's definition takes it.", "\"text\"")
        };
        self.names.iter().map(spec).collect::<Vec<_>>().leak()
    }

    /// The values that are given, by name.
    pub fn read(&self, options: &Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
        options.iter().map(|(name, value)| Ok((name.clone(), self.read_one(name, value)?))).collect()
    }

    fn read_one(&self, name: &str, value: &Value) -> Result<String, String> {
        if !self.names.iter().any(|n| n == name) {
            let known = if self.names.is_empty() { "none".to_owned() } else { self.names.join(", ") };
            return Err(format!("unknown option `{name}`; this processor takes: {known}"));
        }
        let Value::String(text) = value else { return Err(format!("option {name:?}: write a string")) };
        if text.chars().any(char::is_control) {
            return Err(format!("option {name:?}: control characters and line ends are not allowed"));
        }
        if text.len() > VALUE_BYTES_MAX {
            return Err(format!("option {name:?} has {} bytes; at most {VALUE_BYTES_MAX} are allowed", text.len()));
        }
        Ok(text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_declared_strings_without_control_characters_are_taken() {
        let options = NamedOptions::of(&["lang".to_owned(), "mode_2".to_owned()]).expect("names");
        let read = |value: Value| options.read(value.as_object().expect("an object"));
        assert_eq!(read(json!({ "lang": "de" })), Ok(BTreeMap::from([("lang".to_owned(), "de".to_owned())])));
        assert_eq!(read(json!({})), Ok(BTreeMap::new()));
        for (bad, says) in [
            (json!({ "argv": "x" }), "unknown option `argv`; this processor takes: lang, mode_2"),
            (json!({ "lang": 5 }), "write a string"),
            (json!({ "lang": "a\r\nx-admin: 1" }), "control characters"),
            (json!({ "lang": "a\0b" }), "control characters"),
            (json!({ "lang": "x".repeat(4097) }), "4097 bytes"),
        ] {
            let error = read(bad).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for bad in ["", "A", "a-b", "1a", "a b", "a\n"] {
            assert!(NamedOptions::of(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
        assert!(NamedOptions::of(&["a".to_owned(), "a".to_owned()]).is_err());
    }
}
