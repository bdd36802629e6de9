//! Message queues and what travels in them, with the semantics and limits of SQS's standard queues.
//!
//! A message queue is for programs outside: they send, receive and delete. It has nothing to do with the named lanes of
//! tasks that rules call `queue`.

use crate::limits;
use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// 1 to 80 of `a-z A-Z 0-9 _ -`, as in SQS. A name that ends in `.fifo` is none: there are no FIFO queues.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageQueueName(Arc<str>);

impl MessageQueueName {
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if (1..=limits::MESSAGE_QUEUE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(MessageQueueName(text.into()));
        }
        let shown: String = text.chars().take(100).collect();
        Err(match text.strip_suffix(".fifo") {
            Some(_) => format!("{shown:?} names a FIFO queue; there are standard queues only"),
            None => format!("{shown:?} is not a queue name: use 1 to 80 letters, digits, hyphens and underscores"),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageQueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageQueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageQueueName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        MessageQueueName::parse(&text).map_err(D::Error::custom)
    }
}

/// SQS's attributes of a queue that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageQueueSettings {
    /// How long a received message stays invisible, unless the receiver says otherwise.
    pub visibility: Duration,
    pub retention: Duration,
    /// Before a sent message can be received, unless the sender says otherwise.
    pub delay: Duration,
    /// How long a receive waits that does not say.
    pub wait: Duration,
    /// Of one message: body, attribute names, types and values.
    pub message_bytes_max: u32,
    pub redrive: Option<Redrive>,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    pub dead_letters: MessageQueueName,
    pub receives_max: u32,
}

impl Default for MessageQueueSettings {
    fn default() -> Self {
        MessageQueueSettings {
            visibility: limits::MESSAGE_VISIBILITY_DEFAULT,
            retention: limits::MESSAGE_RETENTION_DEFAULT,
            delay: Duration::ZERO,
            wait: Duration::ZERO,
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
            redrive: None,
        }
    }
}

impl MessageQueueSettings {
    /// `own` is the queue that the settings are for. The error names SQS's attribute and what it may be.
    pub fn check(&self, own: &MessageQueueName) -> Result<(), (&'static str, String)> {
        let within = |name, value: Duration, range: std::ops::RangeInclusive<Duration>| {
            let (low, high) = (range.start().as_secs(), range.end().as_secs());
            let told = || (name, format!("{} seconds; use {low} to {high}", value.as_secs()));
            range.contains(&value).then_some(()).ok_or_else(told)
        };
        within("VisibilityTimeout", self.visibility, Duration::ZERO..=limits::MESSAGE_VISIBILITY_MAX)?;
        let retention = limits::MESSAGE_RETENTION_MIN..=limits::MESSAGE_RETENTION_MAX;
        within("MessageRetentionPeriod", self.retention, retention)?;
        within("DelaySeconds", self.delay, Duration::ZERO..=limits::MESSAGE_DELAY_MAX)?;
        within("ReceiveMessageWaitTimeSeconds", self.wait, Duration::ZERO..=limits::MESSAGE_WAIT_MAX)?;
        if !(limits::MESSAGE_BYTES_MAX_MIN..=limits::MESSAGE_BYTES_MAX).contains(&self.message_bytes_max) {
            let (low, high) = (limits::MESSAGE_BYTES_MAX_MIN, limits::MESSAGE_BYTES_MAX);
            return Err(("MaximumMessageSize", format!("{} bytes; use {low} to {high}", self.message_bytes_max)));
        }
        let Some(redrive) = &self.redrive else { return Ok(()) };
        if !(1..=limits::MESSAGE_RECEIVES_MAX).contains(&redrive.receives_max) {
            let told =
                format!("maxReceiveCount is {}; use 1 to {}", redrive.receives_max, limits::MESSAGE_RECEIVES_MAX);
            return Err(("RedrivePolicy", told));
        }
        if redrive.dead_letters == *own {
            return Err(("RedrivePolicy", "a queue cannot be its own dead-letter queue".into()));
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageQueueInfo {
    pub name: MessageQueueName,
    pub settings: MessageQueueSettings,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
}

/// A message's name for good, through a move to a dead-letter queue too. Looks like a UUID, as SQS's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// Of a store's number that is never given twice and the time of its sending.
    pub fn of(queue: &MessageQueueName, number: u64, sent_at: Timestamp) -> Self {
        let mut hash = Sha256::new();
        hash.update(number.to_be_bytes());
        hash.update(sent_at.as_millis().to_be_bytes());
        hash.update(queue.as_str().as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        // RFC 9562: version 8 (made by a rule of our own), variant 10
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        MessageId(id)
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        MessageId(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = hex::encode(self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMessage {
    pub body: String,
    pub attributes: MessageAttributes,
    /// `None`: the queue's.
    pub delay: Option<Duration>,
}

pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// `data_type` is `String`, `Number` or `Binary`, perhaps with a label behind a dot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageAttribute {
    pub data_type: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeValue {
    Text(String),
    Binary(#[serde(with = "base64_text")] Bytes),
}

impl NewMessage {
    pub fn of(body: impl Into<String>) -> Self {
        NewMessage { body: body.into(), ..NewMessage::default() }
    }

    /// What counts against a queue's limit: body, attribute names, types and values.
    pub fn bytes(&self) -> u64 {
        let of_attribute = |(name, a): (&String, &MessageAttribute)| name.len() + a.data_type.len() + a.value.len();
        (self.body.len() + self.attributes.iter().map(of_attribute).sum::<usize>()) as u64
    }
}

impl AttributeValue {
    fn len(&self) -> usize {
        match self {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        }
    }
}

/// A message that was handed out. Whoever holds its receipt may delete it, or say how long it stays invisible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    pub id: MessageId,
    pub receipt: Receipt,
    pub body: String,
    pub attributes: MessageAttributes,
    pub sent_at: Timestamp,
    pub first_received_at: Timestamp,
    /// This time included.
    pub receives: u32,
    /// The queue that gave it up, in a dead-letter queue.
    pub given_up_by: Option<MessageQueueName>,
}

/// Which message, and which of its receives. Both numbers are the store's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    pub message: u64,
    pub token: u64,
}

impl Receipt {
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return None;
        }
        let number = |part: &str| u64::from_str_radix(part, 16).ok();
        Some(Receipt { message: number(&text[..16])?, token: number(&text[16..])? })
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.message, self.token)
    }
}

/// What is in a queue now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// Could be received.
    pub visible: u64,
    /// Received and neither deleted nor visible again.
    pub in_flight: u64,
    /// Sent with a delay that is not over.
    pub delayed: u64,
    /// When the oldest came into this queue.
    pub oldest_at: Option<Timestamp>,
}

mod base64_text {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &Bytes, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MessageQueueName {
        MessageQueueName::parse(text).expect(text)
    }

    #[test]
    fn queue_names_follow_sqs() {
        for good in ["a", "Orders_2-b", &"q".repeat(80)] {
            assert!(MessageQueueName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a.b", "a/b", "é", &"q".repeat(81)] {
            assert!(MessageQueueName::parse(bad).is_err(), "{bad}");
        }
        assert!(MessageQueueName::parse("a.fifo").is_err_and(|e| e.contains("FIFO")));
    }

    #[test]
    fn a_receipt_survives_its_text() {
        let receipt = Receipt { message: 1 << 40, token: u64::MAX };
        assert_eq!(Receipt::parse(&receipt.to_string()), Some(receipt));
        for bad in ["", "00", &"g".repeat(32), &"A".repeat(32), &"é".repeat(16), &"0".repeat(33)] {
            assert_eq!(Receipt::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn message_ids_look_like_uuids_and_differ() {
        let at = Timestamp::from_millis(1);
        let id = MessageId::of(&name("a"), 1, at);
        assert_ne!(id, MessageId::of(&name("a"), 2, at));
        assert_eq!(id.to_string().len(), 36);
        assert_eq!(id.to_string().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(id, MessageId::from_bytes(*id.as_bytes()));
    }

    #[test]
    fn settings_outside_of_sqs_bounds_are_refused_by_name() {
        let seconds = Duration::from_secs;
        let base = MessageQueueSettings::default;
        let redrive = |to: &str, receives_max| Some(Redrive { dead_letters: name(to), receives_max });
        assert_eq!(base().check(&name("a")), Ok(()));
        for (wrong, attribute) in [
            (MessageQueueSettings { visibility: seconds(43_201), ..base() }, "VisibilityTimeout"),
            (MessageQueueSettings { retention: seconds(59), ..base() }, "MessageRetentionPeriod"),
            (MessageQueueSettings { retention: seconds(1_209_601), ..base() }, "MessageRetentionPeriod"),
            (MessageQueueSettings { delay: seconds(901), ..base() }, "DelaySeconds"),
            (MessageQueueSettings { wait: seconds(21), ..base() }, "ReceiveMessageWaitTimeSeconds"),
            (MessageQueueSettings { message_bytes_max: 1023, ..base() }, "MaximumMessageSize"),
            (MessageQueueSettings { redrive: redrive("a", 1), ..base() }, "RedrivePolicy"),
            (MessageQueueSettings { redrive: redrive("b", 0), ..base() }, "RedrivePolicy"),
            (MessageQueueSettings { redrive: redrive("b", 1001), ..base() }, "RedrivePolicy"),
        ] {
            assert_eq!(wrong.check(&name("a")).map_err(|(attribute, _)| attribute), Err(attribute));
        }
    }
}
