//! What a receipt is good for: DeleteMessage and ChangeMessageVisibility, alone and in batches.

use super::batch::{self, Answers};
use super::errors::Refusal;
use super::input::{self, Whole, need};
use super::{Call, urls};
use filemill_core::limits::MESSAGE_VISIBILITY_MAX;
use filemill_core::message::{MessageQueueName, Receipt};
use filemill_core::named;
use filemill_core::ports::Visibility;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfMessage {
    queue_url: Option<String>,
    id: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    queue_url: Option<String>,
    #[serde(default, deserialize_with = "named::each")]
    entries: Vec<OfMessage>,
}

impl OfMessage {
    fn receipt(&self) -> Result<Receipt, Refusal> {
        let text = need(self.receipt_handle.clone(), "ReceiptHandle")?;
        Receipt::parse(&text).ok_or_else(Refusal::receipt)
    }

    fn change(&self) -> Result<(Receipt, Duration), Refusal> {
        let visibility = self.visibility_timeout.ok_or_else(|| Refusal::missing("VisibilityTimeout"))?;
        Ok((self.receipt()?, visibility.seconds("VisibilityTimeout", MESSAGE_VISIBILITY_MAX)?))
    }
}

fn one(body: &[u8]) -> Result<(MessageQueueName, OfMessage), Refusal> {
    let mut wish: OfMessage = input::read(body)?;
    let queue = urls::queue_of(&need(wish.queue_url.take(), "QueueUrl")?)?;
    Ok((queue, wish))
}

/// Entries that can be used, with their ids.
type Good<T> = Vec<(String, T)>;

/// The others have failed already.
fn many<T>(
    body: &[u8],
    read: fn(&OfMessage) -> Result<T, Refusal>,
) -> Result<(MessageQueueName, Good<T>, Answers), Refusal> {
    let wish: Batch = input::read(body)?;
    let queue = urls::queue_of(&need(wish.queue_url, "QueueUrl")?)?;
    batch::check(wish.entries.iter().map(|entry| entry.id.as_deref().unwrap_or_default()))?;
    let (mut good, mut answers) = (Vec::new(), Answers::default());
    for entry in wish.entries {
        let id = entry.id.clone().unwrap_or_default();
        match read(&entry) {
            Ok(value) => good.push((id, value)),
            Err(refusal) => answers.fail(&id, &refusal),
        }
    }
    Ok((queue, good, answers))
}

pub async fn delete(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let (queue, wish) = one(body)?;
    call.queues.delete_messages(&queue, &[wish.receipt()?]).await?;
    Ok(json!({}))
}

pub async fn delete_batch(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let (queue, good, mut answers) = many(body, OfMessage::receipt)?;
    if !good.is_empty() {
        let receipts: Vec<Receipt> = good.iter().map(|(_, receipt)| *receipt).collect();
        call.queues.delete_messages(&queue, &receipts).await?;
    }
    answers.successful.extend(good.iter().map(|(id, _)| json!({ "Id": id })));
    Ok(answers.into_value())
}

pub async fn change_visibility(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let (queue, wish) = one(body)?;
    match call.queues.change_visibility(&queue, &[wish.change()?]).await?.first() {
        Some(Visibility::Moved) => Ok(json!({})),
        _ => Err(Refusal::not_in_flight()),
    }
}

pub async fn change_visibility_batch(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let (queue, good, mut answers) = many(body, OfMessage::change)?;
    if good.is_empty() {
        return Ok(answers.into_value());
    }
    let changes: Vec<_> = good.iter().map(|(_, change)| *change).collect();
    let outcomes = call.queues.change_visibility(&queue, &changes).await?;
    for ((id, _), outcome) in good.iter().zip(outcomes) {
        match outcome {
            Visibility::Moved => answers.successful.push(json!({ "Id": id })),
            Visibility::NotInFlight => answers.fail(id, &Refusal::not_in_flight()),
        }
    }
    Ok(answers.into_value())
}
