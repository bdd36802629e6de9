//! The `MessageQueues` of the memory adapter: plain tables and one bell for everybody.
//!
//! By plan a claimed message is visible again before its time (`lease_loss`) and messages come in any order.

use crate::store::MemoryStore;
use crate::world::{Counter, World};
use async_trait::async_trait;
use filemill_core::limits::MESSAGE_QUEUES_MAX;
use filemill_core::message::*;
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use std::time::Duration;

/// Another `serial` than before is another queue, whatever its name.
#[derive(Clone, Debug)]
pub(crate) struct QueueRow {
    pub info: MessageQueueInfo,
    pub serial: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct MessageRow {
    pub id: MessageId,
    pub message: NewMessage,
    pub sent_at: Timestamp,
    pub entered_at: Timestamp,
    pub visible_at: Timestamp,
    pub receives: u32,
    pub token: u64,
    pub first_received_at: Option<Timestamp>,
    pub given_up_by: Option<MessageQueueName>,
}

#[derive(Default)]
struct Received {
    messages: Vec<ReceivedMessage>,
    gave_up: bool,
}

/// Serial of the queue, number of the message.
pub(crate) type MessageKey = (u64, u64);

impl World {
    fn queue(&self, name: &MessageQueueName) -> Result<QueueRow, MessageError> {
        self.tables.message_queues.get(name).cloned().ok_or_else(|| MessageError::NotFound(name.clone()))
    }

    fn messages_of(&self, serial: u64) -> impl Iterator<Item = (&MessageKey, &MessageRow)> {
        self.tables.messages.range((serial, 0)..=(serial, u64::MAX))
    }

    /// M13
    fn check_settings(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError> {
        settings.check(name).map_err(|(what, why)| MessageError::Invalid(format!("{what}: {why}")))?;
        settings.redrive.as_ref().map_or(Ok(()), |redrive| self.queue(&redrive.dead_letters).map(drop))
    }

    fn create_message_queue(
        &mut self,
        name: &MessageQueueName,
        settings: &MessageQueueSettings,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        self.check_settings(name, settings)?;
        match self.tables.message_queues.get(name) {
            Some(there) if there.info.settings == *settings => return Ok(()),
            Some(_) => return Err(MessageError::Conflict(name.clone())),
            None if self.tables.message_queues.len() >= MESSAGE_QUEUES_MAX => {
                return Err(MessageError::Invalid("too many message queues".into()));
            }
            None => {}
        }
        let settings = settings.clone();
        let info = MessageQueueInfo { name: name.clone(), settings, created_at: now, changed_at: now };
        let row = QueueRow { info, serial: self.next(Counter::Message) };
        self.set(|t| &mut t.message_queues, name.clone(), Some(row));
        Ok(())
    }

    fn set_message_queue(
        &mut self,
        name: &MessageQueueName,
        settings: &MessageQueueSettings,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        let mut row = self.queue(name)?;
        self.check_settings(name, settings)?;
        row.info.settings = settings.clone();
        row.info.changed_at = now;
        self.set(|t| &mut t.message_queues, name.clone(), Some(row));
        Ok(())
    }

    /// M11
    fn purge_queue(&mut self, name: &MessageQueueName) -> Result<(), MessageError> {
        let serial = self.next(Counter::Message);
        let row = QueueRow { serial, ..self.queue(name)? };
        self.set(|t| &mut t.message_queues, name.clone(), Some(row));
        Ok(())
    }

    fn send_messages(
        &mut self,
        name: &MessageQueueName,
        messages: Vec<NewMessage>,
        now: Timestamp,
    ) -> Result<Vec<MessageId>, MessageError> {
        let queue = self.queue(name)?;
        check_batch(&messages, &queue.info.settings).map_err(MessageError::Invalid)?;
        let mut ids = Vec::new();
        for message in messages {
            let number = self.next(Counter::Message);
            let id = MessageId::of(name, number, now);
            let visible_at = now.plus(message.delay.unwrap_or(queue.info.settings.delay));
            let row = MessageRow {
                id: id.clone(),
                message,
                sent_at: now,
                entered_at: now,
                visible_at,
                receives: 0,
                token: 0,
                first_received_at: None,
                given_up_by: None,
            };
            self.set(|t| &mut t.messages, (queue.serial, number), Some(row));
            ids.push(id);
        }
        Ok(ids)
    }

    fn receive_messages(
        &mut self,
        name: &MessageQueueName,
        wanted: Receive,
        in_flight_max: u64,
        now: Timestamp,
    ) -> Result<Received, MessageError> {
        let queue = self.queue(name)?;
        let settings = &queue.info.settings;
        if self.in_flight(queue.serial, now) + u64::from(wanted.max) > in_flight_max {
            return Err(MessageError::OverLimit);
        }
        let letters = settings.redrive.as_ref().and_then(|r| Some((r.receives_max, self.queue(&r.dead_letters).ok()?)));
        let visible = self.messages_of(queue.serial).filter(|(_, row)| row.visible_at <= now);
        let mut visible: Vec<_> = visible.map(|(key, row)| (*key, row.clone())).collect();
        visible.sort_by_key(|(key, row)| (row.visible_at, *key));
        if self.dice.roll(self.plan.reorder) {
            self.dice.shuffle(&mut visible);
        }
        let visibility = wanted.visibility.unwrap_or(settings.visibility);
        let mut received = Received::default();
        for (key, row) in visible {
            if received.messages.len() == wanted.max as usize {
                break;
            }
            match &letters {
                _ if row.entered_at.plus(settings.retention) <= now => drop(self.set(|t| &mut t.messages, key, None)),
                Some((max, to)) if row.receives >= *max => {
                    self.give_up(key, row, to.serial, name, now);
                    received.gave_up = true;
                }
                _ => received.messages.push(self.claim_message(key, row, visibility, now)),
            }
        }
        Ok(received)
    }

    fn in_flight(&self, serial: u64, now: Timestamp) -> u64 {
        self.messages_of(serial).filter(|(_, row)| row.visible_at > now && row.receives > 0).count() as u64
    }

    /// M8
    fn give_up(&mut self, key: MessageKey, row: MessageRow, to: u64, by: &MessageQueueName, now: Timestamp) {
        self.set(|t| &mut t.messages, key, None);
        let given_up_by = Some(by.clone());
        let fresh = MessageRow { entered_at: now, visible_at: now, receives: 0, token: 0, given_up_by, ..row };
        let number = self.next(Counter::Message);
        let fresh = MessageRow { first_received_at: None, ..fresh };
        self.set(|t| &mut t.messages, (to, number), Some(fresh));
    }

    /// M3, M4
    fn claim_message(
        &mut self,
        key: MessageKey,
        mut row: MessageRow,
        visibility: Duration,
        now: Timestamp,
    ) -> ReceivedMessage {
        row.token = self.next(Counter::Message);
        row.receives += 1;
        row.visible_at = now.plus(self.dice.wait(self.plan.lease_loss, visibility).unwrap_or(visibility));
        let first_received_at = *row.first_received_at.get_or_insert(now);
        self.set(|t| &mut t.messages, key, Some(row.clone()));
        ReceivedMessage {
            id: row.id,
            receipt: Receipt { message: key.1, token: row.token },
            body: row.message.body,
            attributes: row.message.attributes,
            sent_at: row.sent_at,
            first_received_at,
            receives: row.receives,
            given_up_by: row.given_up_by,
        }
    }

    /// The message that this receipt is the newest of.
    fn held_message(&self, serial: u64, receipt: Receipt) -> Option<(MessageKey, MessageRow)> {
        let key = (serial, receipt.message);
        let row = self.tables.messages.get(&key)?;
        (row.receives > 0 && row.token == receipt.token).then(|| (key, row.clone()))
    }

    fn move_visibility(&mut self, serial: u64, receipt: Receipt, until: Timestamp, now: Timestamp) -> Visibility {
        match self.held_message(serial, receipt) {
            Some((key, row)) if row.visible_at > now => {
                self.set(|t| &mut t.messages, key, Some(MessageRow { visible_at: until, ..row }));
                Visibility::Moved
            }
            _ => Visibility::NotInFlight,
        }
    }

    fn tidy_messages(&mut self, limit: u32, now: Timestamp) -> u64 {
        let oldest_of = |serial: u64| {
            let queue = self.tables.message_queues.values().find(|queue| queue.serial == serial);
            queue.map(|queue| now.minus(queue.info.settings.retention))
        };
        let is_over = |key: &MessageKey, row: &MessageRow| oldest_of(key.0).is_none_or(|o| row.entered_at <= o);
        let over = self.tables.messages.iter().filter(|(key, row)| is_over(key, row)).map(|(key, _)| *key);
        let over: Vec<MessageKey> = over.take(limit as usize).collect();
        for key in &over {
            self.set(|t| &mut t.messages, *key, None);
        }
        over.len() as u64
    }

    fn message_counts(&self, name: &MessageQueueName, now: Timestamp) -> Result<MessageCounts, MessageError> {
        let queue = self.queue(name)?;
        let rows = || self.messages_of(queue.serial).map(|(_, row)| row);
        Ok(MessageCounts {
            visible: rows().filter(|row| row.visible_at <= now).count() as u64,
            in_flight: self.in_flight(queue.serial, now),
            delayed: rows().filter(|row| row.visible_at > now && row.receives == 0).count() as u64,
            oldest_at: rows().map(|row| row.entered_at).min(),
        })
    }

    fn list_queues(&self, query: &ListMessageQueues) -> Vec<MessageQueueInfo> {
        let infos = self.tables.message_queues.values().map(|queue| &queue.info);
        infos.filter(|info| query.finds(info)).take(query.limit as usize).cloned().collect()
    }

    /// When a message of the queue becomes visible, the past included.
    fn next_message(&self, name: &MessageQueueName) -> Option<Timestamp> {
        let queue = self.tables.message_queues.get(name)?;
        self.messages_of(queue.serial).map(|(_, row)| row.visible_at).min()
    }
}

#[async_trait]
impl MessageQueues for MemoryStore {
    async fn create_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError> {
        let create = |w: &mut World, now| w.create_message_queue(name, settings, now);
        self.write("create_queue", Durability::Synced, create).await
    }

    async fn message_queue(&self, name: &MessageQueueName) -> Result<MessageQueueInfo, MessageError> {
        self.read("message_queue", |w, _| Ok(w.queue(name)?.info)).await
    }

    async fn message_queues(&self, query: &ListMessageQueues) -> Result<Vec<MessageQueueInfo>, MessageError> {
        self.read("message_queues", |w, _| Ok(w.list_queues(query))).await
    }

    async fn set_queue(&self, name: &MessageQueueName, settings: &MessageQueueSettings) -> Result<(), MessageError> {
        self.write("set_queue", Durability::Synced, |w, now| w.set_message_queue(name, settings, now)).await
    }

    async fn delete_queue(&self, name: &MessageQueueName) -> Result<(), MessageError> {
        let delete = |w: &mut World, _| {
            w.queue(name)?;
            w.set(|t| &mut t.message_queues, name.clone(), None);
            Ok(())
        };
        self.write("delete_queue", Durability::Synced, delete).await?;
        self.mailed.notify_waiters();
        Ok(())
    }

    async fn purge(&self, name: &MessageQueueName) -> Result<(), MessageError> {
        self.write("purge", Durability::Synced, |w, _| w.purge_queue(name)).await
    }

    async fn message_counts(&self, name: &MessageQueueName) -> Result<MessageCounts, MessageError> {
        self.read("message_counts", |w, now| w.message_counts(name, now)).await
    }

    async fn send(&self, queue: &MessageQueueName, messages: Vec<NewMessage>) -> Result<Vec<MessageId>, MessageError> {
        let send = |w: &mut World, now| w.send_messages(queue, messages, now);
        let sent = self.write("send", Durability::Synced, send).await;
        self.mailed.notify_waiters();
        sent
    }

    async fn receive(&self, queue: &MessageQueueName, wanted: Receive) -> Result<Vec<ReceivedMessage>, MessageError> {
        check_batch_size(wanted.max as usize).map_err(MessageError::Invalid)?;
        let wait = wanted.wait.unwrap_or(self.message_queue(queue).await?.settings.wait);
        let end = self.clock.elapsed() + wait;
        loop {
            let mailed = self.mailed.notified();
            tokio::pin!(mailed);
            mailed.as_mut().enable();
            let receive =
                |w: &mut World, now| w.receive_messages(queue, wanted, self.options.messages_in_flight_max, now);
            let received = self.write("receive", Durability::Lazy, receive).await;
            let Received { messages, gave_up } = received?;
            if gave_up || !messages.is_empty() {
                // what one claims, others see again later, and dead letters are visible at once
                self.mailed.notify_waiters();
            }
            let left = end.saturating_sub(self.clock.elapsed());
            if !messages.is_empty() || left.is_zero() {
                return Ok(messages);
            }
            let next = self.world().next_message(queue).map_or(left, |at| at.since(self.now()).min(left));
            tokio::select! {
                biased;
                () = &mut mailed => {}
                () = self.clock.sleep(next) => {}
            }
        }
    }

    async fn delete_messages(&self, queue: &MessageQueueName, receipts: &[Receipt]) -> Result<(), MessageError> {
        check_batch_size(receipts.len()).map_err(MessageError::Invalid)?;
        let delete = |w: &mut World, _| {
            let serial = w.queue(queue)?.serial;
            for receipt in receipts {
                if let Some((key, _)) = w.held_message(serial, *receipt) {
                    w.set(|t| &mut t.messages, key, None);
                }
            }
            Ok(())
        };
        self.write("delete_messages", Durability::Synced, delete).await
    }

    async fn change_visibility(
        &self,
        queue: &MessageQueueName,
        changes: &[(Receipt, Duration)],
    ) -> Result<Vec<Visibility>, MessageError> {
        check_batch_size(changes.len()).map_err(MessageError::Invalid)?;
        let change = |w: &mut World, now: Timestamp| {
            let serial = w.queue(queue)?.serial;
            Ok(changes
                .iter()
                .map(|(r, visibility)| w.move_visibility(serial, *r, now.plus(*visibility), now))
                .collect())
        };
        let moved = self.write("change_visibility", Durability::Lazy, change).await;
        self.mailed.notify_waiters();
        moved
    }

    async fn tidy(&self, limit: u32) -> Result<u64, MessageError> {
        self.write("tidy", Durability::Lazy, |w, now| Ok(w.tidy_messages(limit, now))).await
    }
}
