//! Actions about queues: create, find, list, look, change, empty, delete.

use super::errors::Refusal;
use super::input::{self, Whole, need};
use super::{Call, settings, urls};
use filemill_core::limits::MESSAGE_QUEUES_MAX;
use filemill_core::message::{MessageQueueName, MessageQueueSettings};
use filemill_core::ports::{ListMessageQueues, MessageError};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueue {
    queue_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "tags")]
    tags: Map<String, Value>,
}

/// Attributes that are not given do not matter where the queue exists, as with SQS.
pub async fn create(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let wish: CreateQueue = input::read(body)?;
    let name = named(wish.queue_name)?;
    if !wish.tags.is_empty() {
        return Err(Refusal::unsupported("Queues have no tags here; leave them out."));
    }
    let settings = settings::apply(MessageQueueSettings::default(), &wish.attributes, &name)?;
    let creation = call.queues.create_queue(&name, &settings);
    let created = match call.queues.message_queue(&name).await {
        Err(MessageError::NotFound(_)) => {
            call.noted("message_queue.create", &name, json!(wish.attributes), creation).await?
        }
        // nothing is made, so there is nothing to note
        Ok(_) => creation.await,
        Err(e) => return Err(e.into()),
    };
    match created {
        Err(MessageError::Conflict(_)) => {
            let there = call.queues.message_queue(&name).await?.settings;
            if settings::apply(there.clone(), &wish.attributes, &name)? != there {
                return Err(MessageError::Conflict(name).into());
            }
        }
        Err(MessageError::NotFound(missing)) => return Err(no_dead_letters(&missing)),
        other => other?,
    }
    Ok(json!({ "QueueUrl": urls::url(&call.base_url, &name) }))
}

fn no_dead_letters(name: &MessageQueueName) -> Refusal {
    Refusal::attribute_value(format!("RedrivePolicy: there is no queue {name}; create the dead-letter queue first."))
}

fn named(name: Option<String>) -> Result<MessageQueueName, Refusal> {
    MessageQueueName::parse(&need(name, "QueueName")?).map_err(Refusal::invalid)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueUrl {
    queue_name: Option<String>,
}

pub async fn get_url(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let name = named(input::read::<GetQueueUrl>(body)?.queue_name)?;
    call.queues.message_queue(&name).await?;
    Ok(json!({ "QueueUrl": urls::url(&call.base_url, &name) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    queue_name_prefix: Option<String>,
    queue_url: Option<String>,
    next_token: Option<String>,
    max_results: Option<Whole>,
}

pub async fn list(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let wish: List = input::read(body)?;
    let query = ListMessageQueues { prefix: wish.queue_name_prefix.clone().unwrap_or_default(), ..query_of(&wish)? };
    page(&call, query, wish.max_results.is_some(), "QueueUrls").await
}

pub async fn list_sources(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let wish: List = input::read(body)?;
    let letters = urls::queue_of(&need(wish.queue_url.clone(), "QueueUrl")?)?;
    call.queues.message_queue(&letters).await?;
    let query = ListMessageQueues { dead_letters: Some(letters), ..query_of(&wish)? };
    // lower case: that is how SQS spells this one
    page(&call, query, wish.max_results.is_some(), "queueUrls").await
}

fn query_of(wish: &List) -> Result<ListMessageQueues, Refusal> {
    let max = i64::try_from(MESSAGE_QUEUES_MAX).unwrap_or(i64::MAX);
    let limit = wish.max_results.map_or(Ok(max), |n| n.within("MaxResults", 1..=max))?;
    let bad_token = |_| Refusal::invalid("NextToken is none that an earlier page gave.");
    let after = wish.next_token.as_deref().map(MessageQueueName::parse).transpose().map_err(bad_token)?;
    Ok(ListMessageQueues { after, limit: u32::try_from(limit).unwrap_or(1), ..ListMessageQueues::default() })
}

/// A token is given only to who asked for pages.
async fn page(call: &Call<'_>, query: ListMessageQueues, paged: bool, field: &str) -> Result<Value, Refusal> {
    let found = call.queues.message_queues(&query).await?;
    let urls: Vec<String> = found.iter().map(|info| urls::url(&call.base_url, &info.name)).collect();
    let mut answer = Map::new();
    let last = found.last().filter(|_| paged && found.len() == query.limit as usize);
    if let Some(last) = last {
        answer.insert("NextToken".into(), last.name.as_str().into());
    }
    answer.insert(field.into(), urls.into());
    Ok(answer.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

fn of_queue(body: &[u8]) -> Result<(MessageQueueName, OfQueue), Refusal> {
    let mut wish: OfQueue = input::read(body)?;
    let name = urls::queue_of(&need(wish.queue_url.take(), "QueueUrl")?)?;
    Ok((name, wish))
}

pub async fn get_attributes(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let (name, wish) = of_queue(body)?;
    let info = call.queues.message_queue(&name).await?;
    let counts = call.queues.message_counts(&name).await?;
    let attributes = settings::describe(&info, counts, call.now, call.region, &wish.attribute_names)?;
    Ok(if attributes.is_empty() { json!({}) } else { json!({ "Attributes": attributes }) })
}

pub async fn set_attributes(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let (name, wish) = of_queue(body)?;
    let there = call.queues.message_queue(&name).await?.settings;
    let settings = settings::apply(there, &wish.attributes, &name)?;
    let setting = call.queues.set_queue(&name, &settings);
    match call.noted("message_queue.set", &name, json!(wish.attributes), setting).await? {
        Err(MessageError::NotFound(missing)) if missing != name => Err(no_dead_letters(&missing)),
        other => Ok(other.map(|()| json!({}))?),
    }
}

pub async fn delete(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let name = of_queue(body)?.0;
    call.queues.message_queue(&name).await?;
    call.noted("message_queue.delete", &name, Value::Null, call.queues.delete_queue(&name)).await??;
    Ok(json!({}))
}

pub async fn purge(call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
    let name = of_queue(body)?.0;
    call.queues.message_queue(&name).await?;
    call.noted("message_queue.purge", &name, Value::Null, call.queues.purge(&name)).await??;
    Ok(json!({}))
}
