//! The suite of `MessageQueues`, by subject, with short forms of the calls that most cases make.

mod dead_letters;
mod durability;
mod queues;
mod receipts;
mod receiving;
mod sending;
mod waiting;

pub use dead_letters::*;
pub use durability::*;
pub use queues::*;
pub use receipts::*;
pub use receiving::*;
pub use sending::*;
pub use waiting::*;

use crate::backend::Backend;
use filemill_core::message::*;
use filemill_core::ports::*;
use std::time::Duration;

const VISIBILITY: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(1);

fn name(text: &str) -> MessageQueueName {
    MessageQueueName::parse(text).expect(text)
}

fn queue() -> MessageQueueName {
    name("orders")
}

async fn create(backend: &Backend, queue: &str, settings: MessageQueueSettings) {
    backend.messages.create_queue(&name(queue), &settings).await.expect("create");
}

async fn with_queue(backend: &Backend) {
    create(backend, "orders", MessageQueueSettings::default()).await;
}

async fn send(backend: &Backend, body: &str) -> MessageId {
    let ids = backend.messages.send(&queue(), vec![NewMessage::of(body)]).await.expect("send");
    ids.into_iter().next().expect("an id")
}

fn wanted(max: u32) -> Receive {
    Receive { max, visibility: None, wait: Some(Duration::ZERO) }
}

async fn receive_from(backend: &Backend, queue: &str, max: u32) -> Vec<ReceivedMessage> {
    backend.messages.receive(&name(queue), wanted(max)).await.expect("receive")
}

async fn receive(backend: &Backend, max: u32) -> Vec<ReceivedMessage> {
    receive_from(backend, "orders", max).await
}

async fn receive_one(backend: &Backend) -> ReceivedMessage {
    receive(backend, 1).await.pop().expect("a message")
}

async fn delete(backend: &Backend, message: &ReceivedMessage) {
    backend.messages.delete_messages(&queue(), &[message.receipt]).await.expect("delete");
}

async fn counts(backend: &Backend) -> MessageCounts {
    backend.messages.message_counts(&queue()).await.expect("counts")
}

async fn how_many(backend: &Backend) -> (u64, u64, u64) {
    let MessageCounts { visible, in_flight, delayed, .. } = counts(backend).await;
    (visible, in_flight, delayed)
}
