//! A queue's attributes: SQS's names and texts, into settings and back.

use super::errors::Refusal;
use super::urls;
use filemill_core::message::{MessageCounts, MessageQueueInfo, MessageQueueName, MessageQueueSettings, Redrive};
use filemill_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Lays the given attributes over the settings and checks the whole.
pub fn apply(
    mut settings: MessageQueueSettings,
    given: &BTreeMap<String, String>,
    own: &MessageQueueName,
) -> Result<MessageQueueSettings, Refusal> {
    for (name, text) in given {
        match name.as_str() {
            "VisibilityTimeout" => settings.visibility = seconds(name, text)?,
            "MessageRetentionPeriod" => settings.retention = seconds(name, text)?,
            "DelaySeconds" => settings.delay = seconds(name, text)?,
            "ReceiveMessageWaitTimeSeconds" => settings.wait = seconds(name, text)?,
            "MaximumMessageSize" => settings.message_bytes_max = number(name, text)?,
            "RedrivePolicy" => settings.redrive = redrive(text)?,
            "FifoQueue" if text == "false" => {}
            "FifoQueue" | "ContentBasedDeduplication" | "DeduplicationScope" | "FifoThroughputLimit" => {
                return Err(Refusal::unsupported("FIFO queues are not offered; there are standard queues only."));
            }
            "Policy"
            | "KmsMasterKeyId"
            | "KmsDataKeyReusePeriodSeconds"
            | "SqsManagedSseEnabled"
            | "RedriveAllowPolicy" => {
                return Err(Refusal::unsupported(format!("The attribute {name} is not offered here; leave it out.")));
            }
            _ => return Err(Refusal::attribute_name(format!("Unknown attribute {name}."))),
        }
    }
    settings.check(own).map_err(|(name, why)| Refusal::attribute_value(format!("{name}: {why}")))?;
    Ok(settings)
}

fn number(name: &str, text: &str) -> Result<u32, Refusal> {
    text.parse().map_err(|_| Refusal::attribute_value(format!("{name}: {text:?} is not a whole number")))
}

fn seconds(name: &str, text: &str) -> Result<Duration, Refusal> {
    number(name, text).map(|seconds| Duration::from_secs(seconds.into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: Value,
}

/// An empty text takes the policy away.
fn redrive(text: &str) -> Result<Option<Redrive>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |why: &dyn std::fmt::Display| Refusal::attribute_value(format!("RedrivePolicy: {why}"));
    let policy: RedrivePolicy = serde_json::from_str(text).map_err(|e| wrong(&e))?;
    let count = match &policy.max_receive_count {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|n| u32::try_from(n).ok()),
    };
    let receives_max = count.ok_or_else(|| wrong(&"maxReceiveCount is not a whole number"))?;
    let dead_letters = urls::queue_of_arn(&policy.dead_letter_target_arn).map_err(|e| wrong(&e))?;
    Ok(Some(Redrive { dead_letters, receives_max }))
}

/// Those that were asked for, in SQS's words. The age is ours: SQS has it as a metric only.
pub fn describe(
    info: &MessageQueueInfo,
    counts: MessageCounts,
    now: Timestamp,
    region: &str,
    wanted: &[String],
) -> Result<Map<String, Value>, Refusal> {
    let settings = &info.settings;
    let age = counts.oldest_at.map_or(0, |oldest| now.since(oldest).as_secs());
    let mut all = vec![
        ("QueueArn", urls::arn(region, &info.name)),
        ("CreatedTimestamp", info.created_at.as_secs().to_string()),
        ("LastModifiedTimestamp", info.changed_at.as_secs().to_string()),
        ("VisibilityTimeout", settings.visibility.as_secs().to_string()),
        ("MessageRetentionPeriod", settings.retention.as_secs().to_string()),
        ("DelaySeconds", settings.delay.as_secs().to_string()),
        ("ReceiveMessageWaitTimeSeconds", settings.wait.as_secs().to_string()),
        ("MaximumMessageSize", settings.message_bytes_max.to_string()),
        ("ApproximateNumberOfMessages", counts.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
        ("ApproximateAgeOfOldestMessage", age.to_string()),
    ];
    if let Some(redrive) = &settings.redrive {
        let arn = urls::arn(region, &redrive.dead_letters);
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": redrive.receives_max });
        all.push(("RedrivePolicy", policy.to_string()));
    }
    check_wanted(wanted)?;
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == "All" || wanted == name);
    Ok(all.into_iter().filter(|(name, _)| is_wanted(name)).map(|(name, text)| (name.to_owned(), text.into())).collect())
}

/// What may be asked for. Where a queue has no such attribute it is left out, as SQS does.
const ASKABLE: &[&str] = &[
    "All",
    "RedrivePolicy",
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "MaximumMessageSize",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateAgeOfOldestMessage",
    "Policy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
];

fn check_wanted(wanted: &[String]) -> Result<(), Refusal> {
    match wanted.iter().find(|name| !ASKABLE.contains(&name.as_str())) {
        Some(name) => Err(Refusal::attribute_name(format!("Unknown attribute {name}."))),
        None => Ok(()),
    }
}
