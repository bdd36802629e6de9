//! The older protocol of the SQS door: good forms of every action, spoilt before they are signed. Whatever comes, the answer
//! is a document that older clients can read.

use super::{Raw, Site};
use crate::hearing::{Subject, hear};
use crate::spoiler::Spoiler;
use crate::sqs_client::{Request, SECRET, encoded};
use serde_json::Value;

#[rustfmt::skip]
const FORM_WORDS: &[&str] = &[
    "&Action=", "&Version=", "QueueUrl", "MessageBody=", "Attribute.", "Attribute.1.Name=", ".1.", ".0", ".01", ".10.",
    ".4294967296.", ".Name=", ".Value=", ".Value.StringValue=", ".Key", "AttributeName=", "AttributeNames=", "Entries=",
    "MessageAttribute.1.Value.StringListValue.1=", "SendMessageBatchRequestEntry.", "RequestEntry.1.Id=", "Tag.1.",
    "..", ".", "&", "&&", "=", "==", "+", "%", "%0", "%00", "%0D", "%3C%26", "%ff", "%c3", "%ED%A0%80", "%EF%BF%BF", ";",
    "<", "]]>",
];

#[test]
fn forms_of_actions() {
    hear::<Forms>("forms_of_actions");
}

struct Forms(Site);

impl Forms {
    fn request(&self, body: String, path: &str) -> Request {
        Request { body, path: path.to_owned(), ..self.0.door.form(&[]) }
    }

    /// The answer must be a document that older clients can read.
    async fn exchange(&mut self, raw: &Raw) -> Result<(u16, String), String> {
        let answer = self.0.wire.exchange(&raw.head, &raw.body).await?;
        if answer.tells(SECRET) {
            return Err("the answer tells the secret".to_owned());
        }
        let text = String::from_utf8(answer.body).map_err(|e| e.to_string())?;
        let mut reader = quick_xml::Reader::from_str(&text);
        loop {
            match reader.read_event().map_err(|e| format!("{e}: {text}"))? {
                quick_xml::events::Event::Eof => break,
                event if !event.iter().all(|b| matches!(b, b'\t' | b'\n' | b' '..)) => {
                    return Err(format!("the answer has a character that XML has not: {text:?}"));
                }
                _ => {}
            }
        }
        if text.starts_with("<?xml") { Ok((answer.status, text)) } else { Err(format!("the answer is no XML: {text}")) }
    }
}

/// As older SDKs write an input.
fn form_of(action: &str, input: &Value) -> String {
    let mut all = vec![("Action".to_owned(), action.to_owned()), ("Version".to_owned(), "2012-11-05".to_owned())];
    flatten(&format!("{action}RequestEntry"), "", input, &mut all);
    // a number that took the place of this 0 would make later receivers wait
    let waits = all.iter().position(|(_, text)| text == "ReceiveMessageWaitTimeSeconds");
    waits.map(|at| all.drain(at..at + 2));
    encoded(&all.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

fn flatten(entry: &str, before: &str, value: &Value, all: &mut Vec<(String, String)>) {
    let Value::Object(fields) = value else {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return all.push((before.trim_end_matches('.').to_owned(), text));
    };
    for (name, value) in fields {
        let one = if name == "Entries" { entry } else { name.trim_end_matches('s') };
        match value {
            Value::Array(items) => {
                let items = (1..).zip(items);
                items.for_each(|(n, item)| flatten(entry, &format!("{before}{one}.{n}."), item, all));
            }
            Value::Object(pairs) if name.ends_with("Attributes") => {
                for (n, (key, value)) in (1..).zip(pairs) {
                    all.push((format!("{before}{one}.{n}.Name"), key.clone()));
                    flatten(entry, &format!("{before}{one}.{n}.Value."), value, all);
                }
            }
            value => flatten(entry, &format!("{before}{name}."), value, all),
        }
    }
}

impl Subject for Forms {
    type Request = Raw;

    async fn open() -> Self {
        Forms(Site::open().await)
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let good = self.0.good_ones();
        let (action, input) = spoiler.one(&good);
        let good = form_of(action, input);
        let mut body = spoiler.text(&good, FORM_WORDS, 300 << 10);
        if body.contains("WaitTimeSeconds") {
            body = good;
        }
        let path = *spoiler.one(&["/", "/000000000000/orders"]);
        let request = self.request(body, path);
        Raw { head: request.head().into_bytes(), body: request.body.into_bytes() }
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        self.exchange(raw).await.map(|(status, _)| status)
    }

    async fn good(&mut self) -> Result<(), String> {
        self.0.renew().await?;
        for (action, input) in self.0.good_ones() {
            let request = self.request(form_of(action, &input), "/");
            let raw = Raw { head: request.head().into_bytes(), body: request.body.into_bytes() };
            match self.exchange(&raw).await? {
                (200, text) if text.contains(&format!("<{action}Response ")) && !text.contains("<Code>") => {}
                (status, text) => return Err(format!("{action}: {status} {text}")),
            }
        }
        self.0.renew().await
    }
}
