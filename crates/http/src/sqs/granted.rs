//! The message queues that somebody was given: the others are not there, for whatever is asked of them.

use async_trait::async_trait;
use filemill_core::access::QueueReach;
use filemill_core::message::{
    MessageCounts, MessageId, MessageQueueInfo, MessageQueueName, MessageQueueSettings, NewMessage, Receipt,
    ReceivedMessage,
};
use filemill_core::ports::{ListMessageQueues, MessageError, MessageQueues, Receive, Visibility};
use std::time::Duration;

pub struct Granted<'a> {
    pub all: &'a dyn MessageQueues,
    pub reach: &'a QueueReach,
}

impl Granted<'_> {
    fn of(&self, queue: &MessageQueueName) -> Result<&dyn MessageQueues, MessageError> {
        if self.reach.takes(queue) { Ok(self.all) } else { Err(MessageError::NotFound(queue.clone())) }
    }
}

#[async_trait]
impl MessageQueues for Granted<'_> {
    async fn create_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError> {
        self.of(name)?.create_queue(name, settings).await
    }

    async fn message_queue(&self, name: &MessageQueueName) -> Result<MessageQueueInfo, MessageError> {
        self.of(name)?.message_queue(name).await
    }

    /// A key was given few queues, so they are looked up one by one.
    async fn message_queues(&self, query: &ListMessageQueues) -> Result<Vec<MessageQueueInfo>, MessageError> {
        let QueueReach::Only(queues) = self.reach else { return self.all.message_queues(query).await };
        let mut found = Vec::new();
        for name in queues.iter().filter(|name| query.finds_name(name)) {
            match self.all.message_queue(name).await {
                Ok(queue) if query.finds(&queue) => found.push(queue),
                Ok(_) | Err(MessageError::NotFound(_)) => {}
                Err(e) => return Err(e),
            }
            if found.len() >= query.limit as usize {
                break;
            }
        }
        Ok(found)
    }

    async fn set_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError> {
        self.of(name)?.set_queue(name, settings).await
    }

    async fn delete_queue(&self, name: &MessageQueueName) -> Result<(), MessageError> {
        self.of(name)?.delete_queue(name).await
    }

    async fn purge(&self, name: &MessageQueueName) -> Result<(), MessageError> {
        self.of(name)?.purge(name).await
    }

    async fn message_counts(&self, name: &MessageQueueName) -> Result<MessageCounts, MessageError> {
        self.of(name)?.message_counts(name).await
    }

    async fn send(&self, queue: &MessageQueueName, messages: Vec<NewMessage>) -> Result<Vec<MessageId>, MessageError> {
        self.of(queue)?.send(queue, messages).await
    }

    async fn receive(&self, queue: &MessageQueueName, wanted: Receive) -> Result<Vec<ReceivedMessage>, MessageError> {
        self.of(queue)?.receive(queue, wanted).await
    }

    async fn delete_messages(&self, queue: &MessageQueueName, receipts: &[Receipt]) -> Result<(), MessageError> {
        self.of(queue)?.delete_messages(queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &MessageQueueName,
        changes: &[(Receipt, Duration)],
    ) -> Result<Vec<Visibility>, MessageError> {
        self.of(queue)?.change_visibility(queue, changes).await
    }

    /// A duty of the service, and nothing that a key asks for.
    async fn tidy(&self, limit: u32) -> Result<u64, MessageError> {
        self.all.tidy(limit).await
    }
}
