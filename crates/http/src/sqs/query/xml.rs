//! JSON outputs and refusals as XML.
//!
//! Whatever a text holds, the document is well-formed, and a reader gets back the text that was written.

use crate::sqs::actions::Action;
use crate::sqs::errors::Refusal;
use bytes::Bytes;
use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde_json::{Map, Value};
use std::io;

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// The name of all in JSON, and of one in XML.
const LISTS: &[(&str, &str)] = &[
    ("QueueUrls", "QueueUrl"),
    ("queueUrls", "QueueUrl"),
    ("Messages", "Message"),
    ("Failed", "BatchResultErrorEntry"),
];
/// Each has a `Name` and a `Value`.
const MAPS: &[(&str, &str)] = &[("Attributes", "Attribute"), ("MessageAttributes", "MessageAttribute")];

type Xml = Writer<Vec<u8>>;

pub fn answer(action: Action, output: &Value, request_id: &str) -> Bytes {
    let name = action.name();
    document(&format!("{name}Response"), |xml| {
        if action.has_result() {
            let result = xml.create_element(format!("{name}Result"));
            result.write_inner_content(|xml| output.as_object().map_or(Ok(()), |output| fields(xml, name, output)))?;
        }
        let metadata = xml.create_element("ResponseMetadata");
        metadata.write_inner_content(|xml| text(xml, "RequestId", request_id)).map(|_| ())
    })
}

pub fn refusal(refusal: &Refusal, request_id: &str) -> Bytes {
    document("ErrorResponse", |xml| {
        let error = xml.create_element("Error");
        error.write_inner_content(|xml| {
            text(xml, "Type", refusal.side())?;
            text(xml, "Code", refusal.query_code)?;
            text(xml, "Message", &refusal.message)?;
            xml.create_element("Detail").write_empty().map(|_| ())
        })?;
        text(xml, "RequestId", request_id)
    })
}

fn document(root: &str, content: impl FnOnce(&mut Xml) -> io::Result<()>) -> Bytes {
    let mut xml = Writer::new(Vec::new());
    let write = || -> io::Result<()> {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.create_element(root).with_attribute(("xmlns", NAMESPACE)).write_inner_content(content)?;
        Ok(())
    };
    write().expect("memory takes what is written");
    xml.into_inner().into()
}

fn fields(xml: &mut Xml, action: &str, all: &Map<String, Value>) -> io::Result<()> {
    all.iter().try_for_each(|(name, value)| field(xml, action, name, value))
}

fn field(xml: &mut Xml, action: &str, name: &str, value: &Value) -> io::Result<()> {
    let one = |names: &[(&'static str, &'static str)]| names.iter().find(|(all, _)| *all == name).map(|(_, one)| *one);
    match value {
        Value::Array(items) if name == "Successful" => {
            let one = format!("{action}ResultEntry");
            items.iter().try_for_each(|item| field(xml, action, &one, item))
        }
        Value::Array(items) => items.iter().try_for_each(|item| field(xml, action, one(LISTS).unwrap_or(name), item)),
        Value::Object(all) => match one(MAPS) {
            Some(one) => all.iter().try_for_each(|(key, value)| pair(xml, action, one, key, value)),
            None => xml.create_element(name).write_inner_content(|xml| fields(xml, action, all)).map(|_| ()),
        },
        Value::String(value) => text(xml, name, value),
        Value::Null => Ok(()),
        number_or_truth => text(xml, name, &number_or_truth.to_string()),
    }
}

fn pair(xml: &mut Xml, action: &str, one: &str, key: &str, value: &Value) -> io::Result<()> {
    let pair = xml.create_element(one);
    pair.write_inner_content(|xml| {
        text(xml, "Name", key)?;
        field(xml, action, "Value", value)
    })?;
    Ok(())
}

fn text(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::from_escaped(escaped(text)))?;
    Ok(())
}

/// A bare carriage return would be read as a line feed, and the digest of the message would not fit (XML 1.0, 2.11).
/// No message that was sent here holds what XML cannot carry; a notice may, and then the others still get through.
fn escaped(text: &str) -> String {
    let is_no_xml =
        |c: char| matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}');
    partial_escape(text).replace(is_no_xml, "\u{FFFD}").replace('\r', "&#13;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

    fn shown(action: Action, output: &Value) -> String {
        String::from_utf8(answer(action, output, "7").to_vec()).expect("UTF-8")
    }

    #[test]
    fn lists_and_maps_are_repeated_elements() {
        let attributes = json!({ "a": { "DataType": "String", "StringValue": "<&>" } });
        let message = json!({ "Body": "b", "Attributes": { "SenderId": "1" }, "MessageAttributes": attributes });
        let inner = "<Message><Body>b</Body><Attribute><Name>SenderId</Name><Value>1</Value></Attribute>\
            <MessageAttribute><Name>a</Name><Value><DataType>String</DataType><StringValue>&lt;&amp;&gt;</StringValue>\
            </Value></MessageAttribute></Message><Message><Body>c</Body></Message>";
        assert_eq!(
            shown(Action::ReceiveMessage, &json!({ "Messages": [message, { "Body": "c" }] })),
            format!(
                "{HEAD}<ReceiveMessageResponse xmlns=\"{NAMESPACE}\"><ReceiveMessageResult>{inner}\
                 </ReceiveMessageResult><ResponseMetadata><RequestId>7</RequestId></ResponseMetadata>\
                 </ReceiveMessageResponse>"
            )
        );
        let batch = json!({ "Successful": [{ "Id": "a" }], "Failed": [{ "Id": "b", "SenderFault": true }] });
        let batch = shown(Action::DeleteMessageBatch, &batch);
        let entries = "<DeleteMessageBatchResult><DeleteMessageBatchResultEntry><Id>a</Id></DeleteMessageBatchResultEntry>\
            <BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault></BatchResultErrorEntry>";
        assert!(batch.contains(entries), "{batch}");
        let urls = shown(Action::ListDeadLetterSourceQueues, &json!({ "queueUrls": ["x", "y"] }));
        assert!(urls.contains("Result><QueueUrl>x</QueueUrl><QueueUrl>y</QueueUrl></"), "{urls}");
    }

    /// botocore fails where a result is missing that its model has.
    #[test]
    fn an_empty_result_is_there_where_sqs_has_one() {
        assert!(shown(Action::ListQueues, &json!({})).contains("<ListQueuesResult>"));
        assert!(!shown(Action::PurgeQueue, &json!({})).contains("Result"));
    }

    #[test]
    fn a_refusal_tells_side_code_and_message() {
        let xml = refusal(&Refusal::missing("<Queue>"), "7");
        let text = "<Error><Type>Sender</Type><Code>MissingParameter</Code><Message>The request must contain the parameter \
            &lt;Queue&gt;.</Message><Detail/></Error><RequestId>7</RequestId></ErrorResponse>";
        assert_eq!(xml, format!("{HEAD}<ErrorResponse xmlns=\"{NAMESPACE}\">{text}"));
    }

    #[test]
    fn what_a_parser_would_change_or_refuse_is_written_so_that_it_does_not() {
        assert_eq!(escaped("a\r\nb\t]]>"), "a&#13;\nb\t]]&gt;");
        assert_eq!(
            escaped("\0\u{1f}\u{b}\u{fffe}\u{ffff}\u{fffd}é\u{10ffff}"),
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}é\u{10ffff}"
        );
    }
}
