//! Message queues are receivers as any other, and the engine sends to them itself.

use super::*;
use filemill_core::message::{AttributeValue, MessageQueueName, MessageQueueSettings};
use filemill_core::ports::{MessageQueues, Receive};
use serde_json::Value;

fn name() -> MessageQueueName {
    MessageQueueName::parse("told").expect("a name")
}

async fn told() -> Service {
    service(&[Receiver::Queue { name: name() }], always(|_, _| panic!("nobody else is told"))).await
}

/// The documents of all messages, each with its id beside it.
async fn received(service: &Service) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let wanted = Receive { max: 10, visibility: Some(HOUR), wait: None };
        let messages = service.store.receive(&name(), wanted).await.expect("a queue");
        if messages.is_empty() {
            return all;
        }
        for message in messages {
            let document: Value = serde_json::from_str(&message.body).expect("JSON");
            for (attribute, field) in [("event_id", "id"), ("event_type", "type")] {
                let AttributeValue::Text(text) = &message.attributes[attribute].value else { panic!("no text") };
                assert_eq!(document[field], text.as_str());
            }
            all.push(document);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_gets_each_notice_once() {
    let service = told().await;
    for nth in 0..20 {
        service.put(&format!("{nth}.json")).await;
    }
    service.put("1.bad").await;
    service.until(MINUTE).await;
    let got = received(&service).await;
    let all = service.all().await;
    let ids = |kind| got.iter().filter(move |one| one["type"] == kind).map(|one| one["id"].to_string());
    assert_eq!((got.len(), ids("job.completed").count(), ids("job.failed").count()), (21, 20, 1), "{got:?}");
    assert!(all.iter().all(|d| d.status == DeliveryStatus::Delivered && d.receiver.kind() == "queue"), "{all:?}");
    let told: std::collections::BTreeSet<String> = got.iter().map(|one| one["id"].to_string()).collect();
    assert_eq!(told, all.iter().map(|d| format!("\"{}\"", d.notice.id)).collect());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_removed_gets_everything_once_it_is_there_again() {
    let service = told().await;
    service.store.delete_queue(&name()).await.expect("it was there");
    for nth in 0..20 {
        service.put(&format!("{nth}.json")).await;
    }
    service.until(10 * MINUTE).await;
    let waiting = service.all().await;
    assert!(waiting.iter().all(|d| d.status == DeliveryStatus::Pending), "{waiting:?}");
    service.store.create_queue(&name(), &MessageQueueSettings::default()).await.expect("made");
    service.until(11 * MINUTE).await;
    assert_eq!(received(&service).await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_a_queue_never_takes_is_dead_and_says_why() {
    let service = told().await;
    let short = MessageQueueSettings { message_bytes_max: 1024, ..MessageQueueSettings::default() };
    service.store.set_queue(&name(), &short).await.expect("set");
    service.put(&format!("{}.json", "x".repeat(500))).await;
    service.until(MINUTE).await;
    let delivery = service.all().await.remove(0);
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Dead, 1));
    let error = delivery.last_error.expect("an error");
    assert!(error.contains("the queue takes 1024"), "{error}");
}
