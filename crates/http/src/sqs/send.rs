//! SendMessage and SendMessageBatch. An answer means that the message is on disk.

use super::attributes::{self, Given};
use super::batch::{self, Answers};
use super::errors::Refusal;
use super::input::{self, Whole, need};
use super::{Call, urls};
use filemill_core::limits::{MESSAGE_BYTES_MAX, MESSAGE_DELAY_MAX};
use filemill_core::message::{MessageId, MessageQueueName, NewMessage};
use filemill_core::named;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Letter {
    queue_url: Option<String>,
    id: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<Whole>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Given>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, Value>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    queue_url: Option<String>,
    #[serde(default, deserialize_with = "named::each")]
    entries: Vec<Letter>,
}

impl Letter {
    fn into_message(self) -> Result<NewMessage, Refusal> {
        if self.message_deduplication_id.is_some() || self.message_group_id.is_some() {
            let message = "MessageDeduplicationId and MessageGroupId belong to FIFO queues and fair queues, which are not \
                offered here; leave them out.";
            return Err(Refusal::unsupported(message));
        }
        if !self.message_system_attributes.is_empty() {
            return Err(Refusal::unsupported("MessageSystemAttributes are not offered here; leave them out."));
        }
        let body = need(self.message_body, "MessageBody")?;
        attributes::check_text(&body).map_err(|why| Refusal::message_contents(format!("MessageBody: {why}.")))?;
        let delay = self.delay_seconds.map(|s| s.seconds("DelaySeconds", MESSAGE_DELAY_MAX)).transpose()?;
        Ok(NewMessage { body, attributes: attributes::read(self.message_attributes)?, delay })
    }
}

/// What the client compares with what it sent.
struct Digests {
    body: String,
    attributes: Option<String>,
}

impl Digests {
    fn of(message: &NewMessage) -> Self {
        Digests {
            body: attributes::md5_hex(message.body.as_bytes()),
            attributes: attributes::md5_of(&message.attributes),
        }
    }

    fn answer(self, id: &MessageId) -> Map<String, Value> {
        let mut answer = Map::new();
        answer.insert("MessageId".into(), id.to_string().into());
        answer.insert("MD5OfMessageBody".into(), self.body.into());
        if let Some(md5) = self.attributes {
            answer.insert("MD5OfMessageAttributes".into(), md5.into());
        }
        answer
    }
}

pub async fn one(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let mut letter: Letter = input::read(body)?;
    let queue = urls::queue_of(&need(letter.queue_url.take(), "QueueUrl")?)?;
    let message = letter.into_message()?;
    let digests = Digests::of(&message);
    let ids = call.queues.send(&queue, vec![message]).await?;
    let id = ids.first().ok_or_else(|| Refusal::invalid("The message got no id."))?;
    Ok(digests.answer(id).into())
}

/// Entries that are wrong fail alone; the others are sent together.
pub async fn batch(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let wish: Batch = input::read(body)?;
    let queue = urls::queue_of(&need(wish.queue_url, "QueueUrl")?)?;
    batch::check(wish.entries.iter().map(|entry| entry.id.as_deref().unwrap_or_default()))?;
    let mut answers = Answers::default();
    let (mut ids, mut digests, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let max = call.queues.message_queue(&queue).await?.settings.message_bytes_max;
    for mut entry in wish.entries {
        let id = entry.id.take().unwrap_or_default();
        match entry.into_message().and_then(|message| fitting(message, max)) {
            Ok(message) => {
                ids.push(id);
                digests.push(Digests::of(&message));
                messages.push(message);
            }
            Err(refusal) => answers.fail(&id, &refusal),
        }
    }
    let bytes = messages.iter().map(NewMessage::bytes).sum();
    if bytes > u64::from(MESSAGE_BYTES_MAX) {
        return Err(Refusal::batch_too_long(bytes, MESSAGE_BYTES_MAX));
    }
    for ((id, digests), message) in ids.into_iter().zip(digests).zip(sent(&call, &queue, messages).await?) {
        let mut answer = digests.answer(&message);
        answer.insert("Id".into(), id.into());
        answers.successful.push(answer.into());
    }
    Ok(answers.into_value())
}

fn fitting(message: NewMessage, max: u32) -> Result<NewMessage, Refusal> {
    let bytes = message.bytes();
    if bytes > u64::from(max) {
        return Err(Refusal::invalid(format!(
            "The message has {bytes} bytes with its attributes; the queue takes {max}."
        )));
    }
    Ok(message)
}

async fn sent(call: &Call<'_>, queue: &MessageQueueName, messages: Vec<NewMessage>) -> Result<Vec<MessageId>, Refusal> {
    if messages.is_empty() { Ok(Vec::new()) } else { Ok(call.queues.send(queue, messages).await?) }
}
