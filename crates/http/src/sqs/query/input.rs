//! Flat parameters into the JSON input of an action: `MessageAttribute.1.Value.DataType=String` into `MessageAttributes`.
//!
//! Names that are in no table go on as they are: an action says what it does not know, or passes over it, in either
//! protocol.

use super::form::shown;
use crate::sqs::actions::Action;
use crate::sqs::errors::Refusal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringListValue.1` has seven.
const PARTS_MAX: usize = 8;

/// The name of one in a form, and of all in JSON.
const LISTS: &[(&str, &str)] = &[
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
];

/// As [`LISTS`], and what the key is called. The value is `Value`.
const MAPS: &[(&str, &str, &str)] = &[
    ("Attribute", "Attributes", "Name"),
    ("MessageAttribute", "MessageAttributes", "Name"),
    ("MessageSystemAttribute", "MessageSystemAttributes", "Name"),
    ("Tag", "tags", "Key"),
];

const ENTRIES: &str = "Entries";

/// What the dots in names make of a form.
#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    parts: BTreeMap<String, Node>,
}

pub fn read(action: Action, given: BTreeMap<String, String>) -> Result<Map<String, Value>, Refusal> {
    let mut root = Node::default();
    for (name, text) in given {
        let parts: Vec<&str> = name.splitn(PARTS_MAX + 1, '.').collect();
        if parts.len() > PARTS_MAX || parts.contains(&"") {
            return Err(wrong(&name, "this is no name of a parameter"));
        }
        let place = parts.into_iter().fold(&mut root, |node, part| node.parts.entry(part.to_owned()).or_default());
        place.text = Some(text);
    }
    fields(root.parts, &format!("{}RequestEntry", action.name()))
}

fn fields(parts: BTreeMap<String, Node>, entry: &str) -> Result<Map<String, Value>, Refusal> {
    let mut fields = Map::new();
    for (name, node) in parts {
        let list = LISTS.iter().find(|(one, _)| *one == name).map(|(_, all)| *all);
        if let Some(all) = list.or((name == entry).then_some(ENTRIES)) {
            fields.insert(all.into(), items(&name, node, entry)?.into());
        } else if let Some((_, all, key)) = MAPS.iter().find(|(one, ..)| *one == name) {
            fields.insert((*all).into(), pairs(&name, node, key, entry)?.into());
        } else if !is_plural(&name) {
            fields.insert(name.clone(), value(&name, node, entry)?);
        } else if node.text.as_deref() != Some("") || !node.parts.is_empty() {
            // empty: that is how botocore says that a list has nothing in it
            return Err(wrong(&name, "one by one, by the name of one and its number: AttributeName.1"));
        }
    }
    Ok(fields)
}

fn is_plural(name: &str) -> bool {
    name == ENTRIES || LISTS.iter().any(|(_, all)| *all == name) || MAPS.iter().any(|(_, all, _)| *all == name)
}

fn value(name: &str, node: Node, entry: &str) -> Result<Value, Refusal> {
    match node.text {
        Some(text) if node.parts.is_empty() => Ok(text.into()),
        Some(_) => Err(wrong(name, "it has a value and parts with values")),
        None => Ok(fields(node.parts, entry)?.into()),
    }
}

/// `AttributeName.1=All`, or `AttributeName=All` of scripts that were written by hand.
fn items(name: &str, node: Node, entry: &str) -> Result<Vec<Value>, Refusal> {
    match node.text {
        Some(_) if !node.parts.is_empty() => Err(wrong(name, "it has a value and parts with values")),
        Some(text) if text.is_empty() => Ok(Vec::new()),
        Some(text) => Ok(vec![text.into()]),
        None => numbered(name, node.parts)?.into_values().map(|item| value(name, item, entry)).collect(),
    }
}

/// `Attribute.1.Name=x&Attribute.1.Value=y`, or without the number where there is one only.
fn pairs(name: &str, node: Node, key: &str, entry: &str) -> Result<Map<String, Value>, Refusal> {
    let mut pairs = Map::new();
    if let Some(text) = node.text {
        let is_nothing = text.is_empty() && node.parts.is_empty();
        return if is_nothing { Ok(pairs) } else { Err(wrong(name, "it has no value itself; its parts do")) };
    }
    let all = if node.parts.contains_key(key) { BTreeMap::from([(1, node)]) } else { numbered(name, node.parts)? };
    for (number, mut item) in all {
        let missing = |part: &str| Refusal::missing(&format!("{name}.{number}.{part}"));
        let text = item.parts.remove(key).and_then(|node| node.text).ok_or_else(|| missing(key))?;
        let given = item.parts.remove("Value").ok_or_else(|| missing("Value"))?;
        if pairs.contains_key(&text) {
            return Err(wrong(name, &format!("{:?} is given twice", shown(&text))));
        }
        pairs.insert(text, value(name, given, entry)?);
    }
    Ok(pairs)
}

/// By number, not as text: 10 comes after 9. Numbers may be left out.
fn numbered(name: &str, parts: BTreeMap<String, Node>) -> Result<BTreeMap<u32, Node>, Refusal> {
    let number = |text: &str| text.parse().ok().filter(|n: &u32| *n > 0 && n.to_string() == text);
    let of = |(text, node): (String, Node)| match number(&text) {
        Some(number) => Ok((number, node)),
        None => Err(wrong(&format!("{name}.{text}"), "a number from 1 on must follow the name")),
    };
    parts.into_iter().map(of).collect()
}

fn wrong(name: &str, why: &str) -> Refusal {
    Refusal::malformed_form(format!("{}: {why}.", shown(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_all(action: Action, given: &[(&str, &str)]) -> Result<Value, Refusal> {
        let given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        read(action, given.collect()).map(Value::from)
    }

    #[test]
    fn lists_maps_and_entries_become_what_actions_take() {
        for (action, given, input) in [
            (
                Action::ListQueues,
                &[("QueueNamePrefix", "a"), ("MaxResults", "7")][..],
                json!({ "MaxResults": "7", "QueueNamePrefix": "a" }),
            ),
            (
                Action::CreateQueue,
                &[
                    ("QueueName", "q"),
                    ("Attribute.1.Name", "DelaySeconds"),
                    ("Attribute.1.Value", ""),
                    ("Tag.3.Key", "k"),
                    ("Tag.3.Value", "v"),
                ],
                json!({ "Attributes": { "DelaySeconds": "" }, "QueueName": "q", "tags": { "k": "v" } }),
            ),
            (
                Action::SendMessage,
                &[
                    ("MessageBody", "a.b"),
                    ("MessageAttribute.1.Name", "x.y"),
                    ("MessageAttribute.1.Value.DataType", "Binary"),
                    ("MessageAttribute.1.Value.BinaryValue", "AA=="),
                    ("MessageSystemAttribute.1.Name", "AWSTraceHeader"),
                    ("MessageSystemAttribute.1.Value.StringValue", "t"),
                ],
                json!({
                    "MessageAttributes": { "x.y": { "BinaryValue": "AA==", "DataType": "Binary" } },
                    "MessageBody": "a.b",
                    "MessageSystemAttributes": { "AWSTraceHeader": { "StringValue": "t" } },
                }),
            ),
            (
                Action::SendMessageBatch,
                &[
                    ("SendMessageBatchRequestEntry.2.Id", "b"),
                    ("SendMessageBatchRequestEntry.1.Id", "a"),
                    ("SendMessageBatchRequestEntry.1.MessageAttribute.1.Name", "n"),
                    ("SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue", "1"),
                ],
                json!({ "Entries": [{ "Id": "a", "MessageAttributes": { "n": { "StringValue": "1" } } }, { "Id": "b" }] }),
            ),
            // another action's entries are none of this one's
            (
                Action::DeleteMessageBatch,
                &[("SendMessageBatchRequestEntry.1.Id", "a"), ("DeleteMessageBatchRequestEntry.1.Id", "b")],
                json!({ "Entries": [{ "Id": "b" }], "SendMessageBatchRequestEntry": { "1": { "Id": "a" } } }),
            ),
            // as botocore says that there is nothing, and as people write that there is one
            (Action::SendMessageBatch, &[("Entries", "")], json!({})),
            (Action::GetQueueAttributes, &[("AttributeNames", "")], json!({})),
            (Action::GetQueueAttributes, &[("AttributeName", "All")], json!({ "AttributeNames": ["All"] })),
            (Action::GetQueueAttributes, &[("AttributeName", "")], json!({ "AttributeNames": [] })),
            (
                Action::SetQueueAttributes,
                &[("Attribute.Name", "DelaySeconds"), ("Attribute.Value", "1")],
                json!({ "Attributes": { "DelaySeconds": "1" } }),
            ),
        ] {
            assert_eq!(read_all(action, given).expect("good"), input, "{given:?}");
        }
    }

    #[test]
    fn numbers_are_numbers_and_may_be_left_out() {
        let names = (1..=12).rev().map(|n| (format!("AttributeName.{}", n * 1000), n.to_string()));
        let input = read(Action::ReceiveMessage, names.collect()).expect("good");
        let order: Vec<String> = (1..=12).map(|n: u32| n.to_string()).collect();
        assert_eq!(input["AttributeNames"], json!(order));
    }

    #[test]
    fn what_has_two_meanings_or_none_is_refused() {
        for bad in [
            &[("a..b", "")][..],
            &[(".a", "")],
            &[("a.", "")],
            &[("", "")],
            &[("a.b.c.d.e.f.g.h.i", "")],
            &[("AttributeName.0", "All")],
            &[("AttributeName.01", "All")],
            &[("AttributeName.-1", "All")],
            &[("AttributeName.x", "All")],
            &[("AttributeName.4294967296", "All")],
            &[("AttributeName", "All"), ("AttributeName.1", "All")],
            &[("AttributeNames", "All")],
            &[("Entries.1.Id", "a")],
            &[("MessageBody", "a"), ("MessageBody.1", "b")],
            &[("Attribute", "a")],
            &[("Attribute.1.Name", "a")],
            &[("Attribute.1.Value", "a")],
            &[
                ("Attribute.1.Name", "a"),
                ("Attribute.1.Value", "b"),
                ("Attribute.2.Name", "a"),
                ("Attribute.2.Value", "b"),
            ],
        ] {
            assert!(read_all(Action::SendMessageBatch, bad).is_err(), "{bad:?}");
        }
    }
}
