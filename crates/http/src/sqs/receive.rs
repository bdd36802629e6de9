//! ReceiveMessage: waits as long as asked, and ends at once when a message comes or the door closes.

use super::errors::Refusal;
use super::input::{self, Whole, need};
use super::{Call, attributes, urls};
use filemill_core::limits::{MESSAGE_BATCH_MAX, MESSAGE_VISIBILITY_MAX, MESSAGE_WAIT_MAX};
use filemill_core::message::ReceivedMessage;
use filemill_core::ports::Receive;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessage {
    queue_url: Option<String>,
    max_number_of_messages: Option<Whole>,
    visibility_timeout: Option<Whole>,
    wait_time_seconds: Option<Whole>,
    /// The older name of the next.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

impl ReceiveMessage {
    fn wanted(&self) -> Result<Receive, Refusal> {
        let max = self
            .max_number_of_messages
            .map_or(Ok(1), |n| n.within("MaxNumberOfMessages", 1..=i64::try_from(MESSAGE_BATCH_MAX).unwrap_or(10)))?;
        let visibility = self.visibility_timeout.map(|s| s.seconds("VisibilityTimeout", MESSAGE_VISIBILITY_MAX));
        let wait = self.wait_time_seconds.map(|s| s.seconds("WaitTimeSeconds", MESSAGE_WAIT_MAX));
        let max = u32::try_from(max).unwrap_or(1);
        Ok(Receive { max, visibility: visibility.transpose()?, wait: wait.transpose()? })
    }
}

pub async fn receive(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let wish: ReceiveMessage = input::read(body)?;
    let queue = urls::queue_of(&need(wish.queue_url.clone(), "QueueUrl")?)?;
    let receiving = call.queues.receive(&queue, wish.wanted()?);
    let messages = call.stop.run_until_cancelled(receiving).await.unwrap_or_else(|| Ok(Vec::new()))?;
    if messages.is_empty() {
        return Ok(json!({}));
    }
    let shown: Vec<Value> = messages.into_iter().map(|message| show(&call, &wish, message)).collect();
    Ok(json!({ "Messages": shown }))
}

fn show(call: &Call<'_>, wish: &ReceiveMessage, message: ReceivedMessage) -> Value {
    let system = system_attributes(call, wish, &message);
    let given = attributes::select(message.attributes, &wish.message_attribute_names);
    let mut shown = Map::new();
    shown.insert("MessageId".into(), message.id.to_string().into());
    shown.insert("ReceiptHandle".into(), message.receipt.to_string().into());
    shown.insert("MD5OfBody".into(), attributes::md5_hex(message.body.as_bytes()).into());
    shown.insert("Body".into(), message.body.into());
    if !system.is_empty() {
        shown.insert("Attributes".into(), system.into());
    }
    if let Some(md5) = attributes::md5_of(&given) {
        shown.insert("MD5OfMessageAttributes".into(), md5.into());
        shown.insert("MessageAttributes".into(), attributes::show(&given).into());
    }
    shown.into()
}

fn system_attributes(call: &Call<'_>, wish: &ReceiveMessage, message: &ReceivedMessage) -> Map<String, Value> {
    let mut all = vec![
        ("SenderId", super::ACCOUNT.to_owned()),
        ("SentTimestamp", message.sent_at.as_millis().to_string()),
        ("ApproximateReceiveCount", message.receives.to_string()),
        ("ApproximateFirstReceiveTimestamp", message.first_received_at.as_millis().to_string()),
    ];
    if let Some(source) = &message.given_up_by {
        all.push(("DeadLetterQueueSourceArn", urls::arn(call.region, source)));
    }
    let wanted = || wish.attribute_names.iter().chain(&wish.message_system_attribute_names);
    let is_wanted = |name: &str| wanted().any(|wanted| wanted == "All" || wanted == name);
    all.into_iter().filter(|(name, _)| is_wanted(name)).map(|(name, text)| (name.to_owned(), text.into())).collect()
}
