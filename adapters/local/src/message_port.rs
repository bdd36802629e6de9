//! The `MessageQueues` port on the local store: sends and deletes are synced, claims are lazy, waits end by a signal.

use crate::message_bells::News;
use crate::message_rows;
use crate::messages::{self, Received};
use crate::store::LocalStore;
use async_trait::async_trait;
use filemill_core::message::*;
use filemill_core::ports::*;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

#[async_trait]
impl MessageQueues for LocalStore {
    async fn create_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError> {
        let (name, settings, counters) = (name.clone(), settings.clone(), Arc::clone(&self.messages));
        self.write(Durability::Synced, move |tx| {
            let id = counters.lock().unwrap_or_else(PoisonError::into_inner).next();
            message_rows::create(tx, &name, &settings, id)
        })
        .await
    }

    async fn message_queue(&self, name: &MessageQueueName) -> Result<MessageQueueInfo, MessageError> {
        self.look(|sql| Ok(message_rows::need(sql, name)?.info))
    }

    async fn message_queues(&self, query: &ListMessageQueues) -> Result<Vec<MessageQueueInfo>, MessageError> {
        let query = query.clone();
        self.read(move |sql| message_rows::list(sql, &query)).await
    }

    async fn set_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError> {
        let (name, settings) = (name.clone(), settings.clone());
        self.write(Durability::Synced, move |tx| message_rows::set(tx, &name, &settings)).await
    }

    async fn delete_queue(&self, name: &MessageQueueName) -> Result<(), MessageError> {
        let name = name.clone();
        self.write(Durability::Synced, move |tx| {
            message_rows::delete(tx, &name)?;
            tx.effects.messages.push(News::gone(&name));
            Ok(())
        })
        .await
    }

    async fn purge(&self, name: &MessageQueueName) -> Result<(), MessageError> {
        let (name, counters) = (name.clone(), Arc::clone(&self.messages));
        self.write(Durability::Synced, move |tx| {
            let id = counters.lock().unwrap_or_else(PoisonError::into_inner).next();
            message_rows::purge(tx, &name, id)
        })
        .await
    }

    async fn message_counts(&self, name: &MessageQueueName) -> Result<MessageCounts, MessageError> {
        let (name, now) = (name.clone(), self.clock.now());
        self.read(move |sql| message_rows::counts(sql, &name, now)).await
    }

    async fn send(&self, queue: &MessageQueueName, messages: Vec<NewMessage>) -> Result<Vec<MessageId>, MessageError> {
        self.blobs.check_room(messages.iter().map(NewMessage::bytes).sum())?;
        let (queue, counters) = (queue.clone(), Arc::clone(&self.messages));
        self.write(Durability::Synced, move |tx| {
            messages::send(tx, &queue, &messages, &mut counters.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }

    async fn receive(&self, queue: &MessageQueueName, wanted: Receive) -> Result<Vec<ReceivedMessage>, MessageError> {
        check_batch_size(wanted.max as usize).map_err(MessageError::Invalid)?;
        let waiter = self.bells.messages.wait_for(queue);
        let mut next = waiter.bell.next.subscribe();
        let began = self.clock.elapsed();
        loop {
            let visible = waiter.bell.visible.notified();
            tokio::pin!(visible);
            // from here on a message is noticed, so looking afterwards misses none
            visible.as_mut().enable();
            next.borrow_and_update();
            let Received { messages, next: known, wait } = self.claim(queue, wanted).await?;
            let left = (began + wanted.wait.unwrap_or(wait)).saturating_sub(self.clock.elapsed());
            if !messages.is_empty() || left.is_zero() {
                return Ok(messages);
            }
            let by_itself = known.map_or(left, |at| at.since(self.clock.now()).min(left));
            tokio::select! {
                () = &mut visible => {}
                _ = next.changed() => {}
                () = self.clock.sleep(by_itself) => {}
            }
        }
    }

    async fn delete_messages(&self, queue: &MessageQueueName, receipts: &[Receipt]) -> Result<(), MessageError> {
        check_batch_size(receipts.len()).map_err(MessageError::Invalid)?;
        let (queue, receipts, counters) = (queue.clone(), receipts.to_vec(), Arc::clone(&self.messages));
        self.write(Durability::Synced, move |tx| {
            messages::delete(tx, &queue, &receipts, &mut counters.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }

    async fn change_visibility(
        &self,
        queue: &MessageQueueName,
        changes: &[(Receipt, Duration)],
    ) -> Result<Vec<Visibility>, MessageError> {
        check_batch_size(changes.len()).map_err(MessageError::Invalid)?;
        let (queue, changes) = (queue.clone(), changes.to_vec());
        self.write(Durability::Lazy, move |tx| messages::change_visibility(tx, &queue, &changes)).await
    }

    async fn tidy(&self, limit: u32) -> Result<u64, MessageError> {
        let counters = Arc::clone(&self.messages);
        self.write(Durability::Lazy, move |tx| {
            messages::tidy(tx, &mut counters.lock().unwrap_or_else(PoisonError::into_inner), limit)
        })
        .await
    }
}

impl LocalStore {
    async fn claim(&self, queue: &MessageQueueName, wanted: Receive) -> Result<Received, MessageError> {
        let (queue, counters) = (queue.clone(), Arc::clone(&self.messages));
        self.write(Durability::Lazy, move |tx| {
            let counters = &mut counters.lock().unwrap_or_else(PoisonError::into_inner);
            messages::receive(tx, &queue, (wanted.max, wanted.visibility), counters)
        })
        .await
    }
}
