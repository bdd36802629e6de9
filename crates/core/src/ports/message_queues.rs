//! Queues of messages for programs outside, as SQS's standard queues: at least once, in no promised order.
//!
//! Clauses:
//! * M1 a message that was sent can be received until it is deleted, purged or past its retention; at least once.
//! * M2 when `send` returns, its messages are on disk; those of one call are stored all or none.
//! * M3 a receive is a lease: the message is invisible for the visibility time, and its receive count rises at the claim.
//!   It may be lazy: a crash takes the claim back with its count, never the message.
//! * M4 receipts are fenced: each receive has a token of its own, and only the newest deletes the message or moves its
//!   visibility. An older one deletes nothing and is no error, as SQS has it; to change visibility with it is
//!   `NotInFlight`. The newest still deletes when its visibility has ended, as long as nobody received the message again.
//! * M5 when `delete_messages` returns, the messages are gone from disk. Deleting twice is no error.
//! * M6 `change_visibility` moves the end to that long from now; zero makes the message visible at once.
//! * M7 a message is not received before its delay, or else the queue's, is over.
//! * M8 a message that would be received more often than its queue's redrive policy says goes to the dead-letter queue
//!   instead: with its id, body, attributes and sending time, counted anew. Retention there counts from the move (SQS
//!   counts from the sending, so that letters die young). Where that queue is gone, the message is received as before.
//! * M9 what is past its queue's retention is not received; `tidy` removes it.
//! * M10 at most [`MESSAGES_IN_FLIGHT_MAX`](crate::limits::MESSAGES_IN_FLIGHT_MAX) messages of a queue are in flight;
//!   beyond them `receive` answers `OverLimit`.
//! * M11 `purge` and `delete_queue` take all messages at once, those in flight too; older receipts are void, also in a
//!   queue that is made again under the name.
//! * M12 a receive that waits returns as soon as a message is visible, and empty when its time is over.
//! * M13 a queue is created once: the same settings again are no error, others are `Conflict`. A dead-letter queue must be
//!   there when it is named.
//! * M14 a message longer than its queue allows is `Invalid`, and so is an empty batch or one of more than ten.
//! * M15 when the store's clock is set, visibility times and delays keep what is left of them.

use super::BoxError;
use crate::message::{
    MessageCounts, MessageId, MessageQueueInfo, MessageQueueName, MessageQueueSettings, NewMessage, Receipt,
    ReceivedMessage,
};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
pub trait MessageQueues: Send + Sync {
    async fn create_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError>;
    async fn message_queue(&self, name: &MessageQueueName) -> Result<MessageQueueInfo, MessageError>;
    /// By name.
    async fn message_queues(&self, query: &ListMessageQueues) -> Result<Vec<MessageQueueInfo>, MessageError>;
    async fn set_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError>;
    async fn delete_queue(&self, name: &MessageQueueName) -> Result<(), MessageError>;
    async fn purge(&self, name: &MessageQueueName) -> Result<(), MessageError>;
    async fn message_counts(&self, name: &MessageQueueName) -> Result<MessageCounts, MessageError>;

    /// The ids, in the order of the messages.
    async fn send(&self, queue: &MessageQueueName, messages: Vec<NewMessage>) -> Result<Vec<MessageId>, MessageError>;

    async fn receive(&self, queue: &MessageQueueName, wanted: Receive) -> Result<Vec<ReceivedMessage>, MessageError>;

    async fn delete_messages(&self, queue: &MessageQueueName, receipts: &[Receipt]) -> Result<(), MessageError>;

    /// An answer for each, in their order.
    async fn change_visibility(
        &self,
        queue: &MessageQueueName,
        changes: &[(Receipt, Duration)],
    ) -> Result<Vec<Visibility>, MessageError>;

    /// Removes what is past its retention, and what purged and deleted queues left. Answers how many messages.
    async fn tidy(&self, limit: u32) -> Result<u64, MessageError>;
}

#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// At most ten.
    pub max: u32,
    /// `None`: the queue's.
    pub visibility: Option<Duration>,
    /// `None`: the queue's.
    pub wait: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
pub struct ListMessageQueues {
    pub prefix: String,
    /// Only those whose dead letters go here.
    pub dead_letters: Option<MessageQueueName>,
    pub after: Option<MessageQueueName>,
    pub limit: u32,
}

impl ListMessageQueues {
    /// As far as the name tells.
    pub fn finds_name(&self, name: &MessageQueueName) -> bool {
        name.as_str().starts_with(&self.prefix) && self.after.as_ref().is_none_or(|after| name > after)
    }

    /// Whatever its limit.
    pub fn finds(&self, queue: &MessageQueueInfo) -> bool {
        let letters = queue.settings.redrive.as_ref().map(|redrive| &redrive.dead_letters);
        self.finds_name(&queue.name) && (self.dead_letters.is_none() || letters == self.dead_letters.as_ref())
    }
}

/// What became of a wish to move a message's visibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Moved,
    /// The message is visible, or gone, or was received by another.
    NotInFlight,
}

#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("there is no message queue {0}")]
    NotFound(MessageQueueName),
    #[error("message queue {0} exists with other settings")]
    Conflict(MessageQueueName),
    /// Something in the call is wrong.
    #[error("{0}")]
    Invalid(String),
    #[error("too many messages of the queue are in flight; delete what was worked")]
    OverLimit,
    /// Try again later. What was asked for may have been done.
    #[error("the message queues are unavailable")]
    Unavailable(#[source] BoxError),
    #[error("the message queues are corrupt: {0}")]
    Corrupt(String),
}

/// M14, for adapters.
pub fn check_batch(messages: &[NewMessage], settings: &MessageQueueSettings) -> Result<(), String> {
    check_batch_size(messages.len())?;
    let max = u64::from(settings.message_bytes_max);
    match messages.iter().map(NewMessage::bytes).find(|bytes| *bytes > max) {
        Some(bytes) => Err(format!("a message has {bytes} bytes with its attributes; the queue takes {max}")),
        None => Ok(()),
    }
}

pub fn check_batch_size(count: usize) -> Result<(), String> {
    match count {
        1..=crate::limits::MESSAGE_BATCH_MAX => Ok(()),
        other => Err(format!("a batch has 1 to {} entries, not {other}", crate::limits::MESSAGE_BATCH_MAX)),
    }
}
