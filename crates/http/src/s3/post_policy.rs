//! POST policies: what the maker of a browser form allowed its user to send.
//!
//! Every condition must hold, and every field must be allowed by a condition, so a user adds nothing of their own.

use filemill_core::time::Timestamp;
use s3s::{S3Error, S3Result, s3_error};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub struct Policy {
    pub expires_at: Timestamp,
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq)]
enum Condition {
    Equals { field: String, value: String },
    StartsWith { field: String, prefix: String },
    Length { min: u64, max: u64 },
}

#[derive(Deserialize)]
struct Document {
    expiration: String,
    conditions: Vec<Value>,
}

impl Policy {
    pub fn parse(json: &[u8]) -> S3Result<Self> {
        let document: Document = serde_json::from_slice(json).map_err(|_| invalid("Invalid JSON."))?;
        let expires_at =
            Timestamp::parse(&document.expiration).ok_or_else(|| invalid("Invalid 'expiration' value."))?;
        let mut conditions = Vec::new();
        for value in &document.conditions {
            parse_condition(value, &mut conditions)?;
        }
        Ok(Policy { expires_at, conditions })
    }

    /// The largest file that the conditions allow.
    pub fn size_max(&self) -> Option<u64> {
        let lengths = self.conditions.iter().filter_map(|condition| match condition {
            Condition::Length { max, .. } => Some(*max),
            _ => None,
        });
        lengths.min()
    }

    /// `fields` by lower-case name, with `bucket` and the final `key`.
    pub fn check(&self, fields: &BTreeMap<String, String>, size: u64) -> S3Result<()> {
        for condition in &self.conditions {
            condition.check(fields, size)?;
        }
        for name in fields.keys().filter(|name| !is_exempt(name)) {
            if !self.conditions.iter().any(|condition| condition.names(name)) {
                return Err(denied(&format!("Extra input fields: {name}")));
            }
        }
        Ok(())
    }
}

/// S3: these need no condition.
fn is_exempt(name: &str) -> bool {
    matches!(name, "x-amz-signature" | "file" | "policy" | "bucket" | "submit") || name.starts_with("x-ignore-")
}

impl Condition {
    fn names(&self, name: &str) -> bool {
        match self {
            Condition::Equals { field, .. } | Condition::StartsWith { field, .. } => field == name,
            Condition::Length { .. } => false,
        }
    }

    fn check(&self, fields: &BTreeMap<String, String>, size: u64) -> S3Result<()> {
        let given = |field: &str| fields.get(field).map(String::as_str).unwrap_or_default();
        match self {
            Condition::Equals { field, value } if given(field) != value => {
                Err(denied(&format!("Policy Condition failed: [\"eq\", \"${field}\", \"{value}\"]")))
            }
            Condition::StartsWith { field, prefix } if !starts_with(field, given(field), prefix) => {
                Err(denied(&format!("Policy Condition failed: [\"starts-with\", \"${field}\", \"{prefix}\"]")))
            }
            Condition::Length { max, .. } if size > *max => {
                Err(s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size of {max} bytes."))
            }
            Condition::Length { min, .. } if size < *min => Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size of {min} bytes."
            )),
            _ => Ok(()),
        }
    }
}

/// S3: of a comma-separated content type each must match.
fn starts_with(field: &str, value: &str, prefix: &str) -> bool {
    if field == "content-type" && value.contains(',') {
        return value.split(',').all(|one| one.trim().starts_with(prefix));
    }
    value.starts_with(prefix)
}

fn parse_condition(value: &Value, conditions: &mut Vec<Condition>) -> S3Result<()> {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let value = value.as_str().ok_or_else(|| invalid("A condition's value must be a string."))?;
                conditions.push(Condition::Equals { field: field.to_ascii_lowercase(), value: value.to_owned() });
            }
            Ok(())
        }
        Value::Array(items) => {
            let [operator, left, right] = items.as_slice() else { return Err(invalid("A condition has three items.")) };
            let operator = operator.as_str().unwrap_or_default().to_ascii_lowercase();
            conditions.push(parse_triple(&operator, left, right)?);
            Ok(())
        }
        _ => Err(invalid("A condition is an object or an array.")),
    }
}

fn parse_triple(operator: &str, left: &Value, right: &Value) -> S3Result<Condition> {
    if operator == "content-length-range" {
        let (min, max) =
            bytes_of(left).zip(bytes_of(right)).ok_or_else(|| invalid("A content-length-range has two numbers."))?;
        return Ok(Condition::Length { min, max });
    }
    let field = left.as_str().and_then(|text| text.strip_prefix('$')).map(str::to_ascii_lowercase);
    let (field, value) = field.zip(right.as_str()).ok_or_else(|| invalid("A condition names a $field and a text."))?;
    match operator {
        "eq" => Ok(Condition::Equals { field, value: value.to_owned() }),
        "starts-with" => Ok(Condition::StartsWith { field, prefix: value.to_owned() }),
        _ => Err(invalid("A condition is eq, starts-with or content-length-range.")),
    }
}

fn bytes_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn invalid(why: &str) -> S3Error {
    s3_error!(InvalidPolicyDocument, "Invalid Policy: {why}")
}

fn denied(why: &str) -> S3Error {
    s3_error!(AccessDenied, "Invalid according to Policy: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(conditions: &str) -> Policy {
        let json = format!("{{\"expiration\": \"2030-01-01T00:00:00Z\", \"conditions\": {conditions}}}");
        Policy::parse(json.as_bytes()).expect("a good policy")
    }

    fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_condition_must_hold() {
        let policy = policy(
            r#"[{"bucket": "b"}, ["eq", "$key", "k"], ["starts-with", "$Content-Type", "image/"], ["content-length-range", 1, "10"]]"#,
        );
        let good = fields(&[("bucket", "b"), ("key", "k"), ("content-type", "image/png")]);
        assert!(policy.check(&good, 10).is_ok());
        assert!(policy.check(&good, 0).is_err() && policy.check(&good, 11).is_err());
        for (name, value) in [("bucket", "c"), ("key", "kk"), ("content-type", "text/html")] {
            let mut bad = good.clone();
            bad.insert(name.to_owned(), value.to_owned());
            assert!(policy.check(&bad, 5).is_err(), "{name}");
            bad.remove(name);
            assert!(policy.check(&bad, 5).is_err(), "without {name}");
        }
        assert_eq!(policy.size_max(), Some(10));
    }

    #[test]
    fn a_field_that_no_condition_names_is_refused() {
        let policy = policy(r#"[["starts-with", "$key", ""]]"#);
        assert!(policy.check(&fields(&[("key", "k"), ("x-ignore-me", "1"), ("x-amz-signature", "s")]), 1).is_ok());
        assert!(policy.check(&fields(&[("key", "k"), ("acl", "private")]), 1).is_err());
    }

    #[test]
    fn malformed_policies_are_refused() {
        for json in [
            "{}",
            r#"{"expiration": "soon", "conditions": []}"#,
            r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [["like", "$key", "x"]]}"#,
            r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "key", "x"]]}"#,
            r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 5]]}"#,
            r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": ["x"]}"#,
        ] {
            assert!(Policy::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
