//! A message's attributes: SQS's JSON into ours and back, checked, and their MD5 as clients compute it.

use super::errors::Refusal;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use filemill_core::limits::MESSAGE_ATTRIBUTES_MAX;
use filemill_core::message::{AttributeValue, MessageAttribute, MessageAttributes};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// SQS: of a name, and of a data type with its label.
const NAME_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Given {
    data_type: Option<String>,
    string_value: Option<String>,
    binary_value: Option<String>,
}

pub fn read(given: BTreeMap<String, Given>) -> Result<MessageAttributes, Refusal> {
    if given.len() > MESSAGE_ATTRIBUTES_MAX {
        let count = given.len();
        return Err(Refusal::invalid(format!(
            "A message has at most {MESSAGE_ATTRIBUTES_MAX} attributes, not {count}."
        )));
    }
    given.into_iter().map(|(name, given)| one(&name, given).map(|attribute| (name, attribute))).collect()
}

fn one(name: &str, given: Given) -> Result<MessageAttribute, Refusal> {
    let wrong = |why: &str| Refusal::invalid(format!("Message attribute {name:?}: {why}."));
    check_name(name).map_err(wrong)?;
    let data_type = given.data_type.unwrap_or_default();
    let kind = data_type.split('.').next().unwrap_or_default();
    if data_type.len() > NAME_BYTES_MAX {
        return Err(wrong("its DataType has more than 256 bytes"));
    }
    let value = match (kind, given.string_value, given.binary_value) {
        ("String" | "Number", Some(text), None) if !text.is_empty() => {
            check_text(&text).map_err(|why| wrong(&why))?;
            AttributeValue::Text(text)
        }
        ("Binary", None, Some(text)) if !text.is_empty() => {
            AttributeValue::Binary(STANDARD.decode(text).map_err(|_| wrong("its BinaryValue is not base64"))?.into())
        }
        ("String" | "Number", ..) => return Err(wrong("it needs a StringValue, not empty, and nothing else")),
        ("Binary", ..) => return Err(wrong("it needs a BinaryValue, not empty, and nothing else")),
        _ => return Err(wrong("its DataType must be String, Number or Binary")),
    };
    if let ("Number", AttributeValue::Text(text)) = (kind, &value)
        && !text.trim().parse::<f64>().is_ok_and(f64::is_finite)
    {
        return Err(wrong("its StringValue is not a number"));
    }
    Ok(MessageAttribute { data_type, value })
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let lower = name.to_ascii_lowercase();
    match () {
        () if !(1..=NAME_BYTES_MAX).contains(&name.len()) => Err("its name must have 1 to 256 bytes"),
        () if !name.bytes().all(fits) => Err("its name may have letters, digits, hyphens, underscores and dots"),
        () if name.starts_with('.') || name.ends_with('.') || name.contains("..") => {
            Err("its name must not begin or end with a dot or have two in a row")
        }
        () if lower.starts_with("aws.") || lower.starts_with("amazon.") => {
            Err("names that begin with AWS. or Amazon. are reserved")
        }
        () => Ok(()),
    }
}

/// SQS: the characters of XML 1.0.
pub fn check_text(text: &str) -> Result<(), String> {
    let is_refused =
        |c: &char| !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    match text.chars().find(is_refused) {
        Some(c) => Err(format!("it holds the character U+{:04X}, which SQS does not take", u32::from(c))),
        None => Ok(()),
    }
}

/// Those whose names were asked for: `All`, `.*`, a name, or a beginning with `.*` behind it.
pub fn select(attributes: MessageAttributes, wanted: &[String]) -> MessageAttributes {
    let is_wanted = |name: &str| {
        wanted.iter().any(|wanted| match wanted.strip_suffix(".*") {
            Some(beginning) => name.starts_with(beginning),
            None => wanted == "All" || wanted == name,
        })
    };
    attributes.into_iter().filter(|(name, _)| is_wanted(name)).collect()
}

pub fn show(attributes: &MessageAttributes) -> Map<String, Value> {
    let shown = |attribute: &MessageAttribute| match &attribute.value {
        AttributeValue::Text(text) => json!({ "DataType": attribute.data_type, "StringValue": text }),
        AttributeValue::Binary(bytes) => {
            json!({ "DataType": attribute.data_type, "BinaryValue": STANDARD.encode(bytes) })
        }
    };
    attributes.iter().map(|(name, attribute)| (name.clone(), shown(attribute))).collect()
}

pub fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// SQS developer guide, "Calculating the MD5 message digest for message attributes": sorted by name; length and bytes of
/// name, type and value, with one byte for the kind of value.
pub fn md5_of(attributes: &MessageAttributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut hash = Md5::new();
    let field = |hash: &mut Md5, bytes: &[u8]| {
        hash.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(bytes);
    };
    for (name, MessageAttribute { data_type, value }) in attributes {
        field(&mut hash, name.as_bytes());
        field(&mut hash, data_type.as_bytes());
        let (kind, bytes) = match value {
            AttributeValue::Text(text) => (1u8, text.as_bytes()),
            AttributeValue::Binary(bytes) => (2u8, &bytes[..]),
        };
        hash.update([kind]);
        field(&mut hash, bytes);
    }
    Some(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(data_type: &str, string: Option<&str>, binary: Option<&str>) -> Given {
        let text = |text: &str| text.to_owned();
        Given { data_type: Some(text(data_type)), string_value: string.map(text), binary_value: binary.map(text) }
    }

    #[test]
    fn attributes_are_checked_one_by_one() {
        for good in [
            given("String", Some("é"), None),
            given("Number.x", Some("-1.5e3"), None),
            given("Binary", None, Some("AA==")),
        ] {
            assert!(one("a.b-C_1", good).is_ok());
        }
        for bad in [
            given("String", None, None),
            given("String", Some(""), None),
            given("String", Some("a\u{1}"), None),
            given("String", Some("a"), Some("AA==")),
            given("Number", Some("one"), None),
            given("Number", Some("NaN"), None),
            given("Binary", None, Some("?")),
            given("Text", Some("a"), None),
            given(&format!("String.{}", "x".repeat(250)), Some("a"), None),
        ] {
            assert!(one("a", bad).is_err());
        }
        for name in ["", ".a", "a.", "a..b", "a b", "é", "AWS.x", "amazon.x", &"n".repeat(257)] {
            assert!(one(name, given("String", Some("a"), None)).is_err(), "{name}");
        }
    }

    #[test]
    fn attributes_are_selected_by_name_and_beginning() {
        let all = read(["a.one", "a.two", "b"].map(|n| (n.to_owned(), given("String", Some("x"), None))).into());
        let all = all.expect("good attributes");
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
            select(all.clone(), &wanted).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names(&["All"]).len(), 3);
        assert_eq!(names(&[".*"]).len(), 3);
        assert_eq!(names(&["a.*"]), ["a.one", "a.two"]);
        assert_eq!(names(&["b", "c"]), ["b"]);
        assert!(names(&[]).is_empty());
    }
}
