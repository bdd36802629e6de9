//! What is sent: whole batches, within bounds, as it was, not before its delay.

use super::*;
use bytes::Bytes;
use std::collections::BTreeSet;

fn attribute(data_type: &str, value: AttributeValue) -> MessageAttribute {
    MessageAttribute { data_type: data_type.into(), value }
}

/// M1
pub async fn a_message_comes_as_it_was_sent(backend: Backend) {
    with_queue(&backend).await;
    let attributes = MessageAttributes::from([
        ("kind".into(), attribute("String", AttributeValue::Text("zip é".into()))),
        ("Size".into(), attribute("Number.int", AttributeValue::Text("12".into()))),
        ("raw".into(), attribute("Binary", AttributeValue::Binary(Bytes::from_static(b"\0\xff")))),
    ]);
    let sent = NewMessage { body: "{\"é\": \"\u{1F600}\\n\"}\n\t".into(), attributes, delay: None };
    let ids = backend.messages.send(&queue(), vec![sent.clone()]).await.expect("send");
    let got = receive_one(&backend).await;
    assert_eq!((&got.id, &got.body, &got.attributes), (&ids[0], &sent.body, &sent.attributes));
    assert_eq!((got.sent_at, got.first_received_at, got.receives), (crate::samples::time(), crate::samples::time(), 1));
    assert_eq!(got.given_up_by, None);
}

/// M2
pub async fn every_message_of_a_batch_has_its_own_id(backend: Backend) {
    with_queue(&backend).await;
    let batch: Vec<NewMessage> = (0..10).map(|i| NewMessage::of(format!("m{i}"))).collect();
    let ids = backend.messages.send(&queue(), batch).await.expect("send");
    let got = receive(&backend, 10).await;
    let expected: BTreeSet<_> = ids.iter().enumerate().map(|(i, id)| (id.clone(), format!("m{i}"))).collect();
    assert_eq!(expected.len(), 10);
    assert_eq!(got.into_iter().map(|m| (m.id, m.body)).collect::<BTreeSet<_>>(), expected);
}

/// M2, M14
pub async fn a_batch_with_one_message_too_long_is_not_sent_at_all(backend: Backend) {
    create(&backend, "orders", MessageQueueSettings { message_bytes_max: 1024, ..Default::default() }).await;
    let fits = NewMessage::of("x".repeat(1024));
    let mut too_long = NewMessage::of("x".repeat(1020));
    too_long.attributes.insert("a".into(), attribute("String", AttributeValue::Text("b".into())));
    assert_eq!(too_long.bytes(), 1028);
    let outcome = backend.messages.send(&queue(), vec![fits.clone(), too_long]).await;
    assert!(matches!(outcome, Err(MessageError::Invalid(_))), "{outcome:?}");
    assert_eq!(how_many(&backend).await, (0, 0, 0));
    backend.messages.send(&queue(), vec![fits]).await.expect("it fits");
}

/// M14
pub async fn a_batch_has_one_to_ten_entries(backend: Backend) {
    with_queue(&backend).await;
    for count in [0, 11] {
        let batch = vec![NewMessage::of("x"); count];
        assert!(matches!(backend.messages.send(&queue(), batch).await, Err(MessageError::Invalid(_))));
        let receipts = vec![Receipt { message: 1, token: 1 }; count];
        let deleted = backend.messages.delete_messages(&queue(), &receipts).await;
        assert!(matches!(deleted, Err(MessageError::Invalid(_))));
        let max = u32::try_from(count).expect("few");
        assert!(matches!(backend.messages.receive(&queue(), wanted(max)).await, Err(MessageError::Invalid(_))));
    }
}

/// M14
pub async fn the_longest_message_is_a_mebibyte(backend: Backend) {
    with_queue(&backend).await;
    let longest = "é".repeat(512 * 1024);
    send(&backend, &longest).await;
    assert!(receive_one(&backend).await.body == longest);
    let outcome = backend.messages.send(&queue(), vec![NewMessage::of(longest + "x")]).await;
    assert!(matches!(outcome, Err(MessageError::Invalid(_))));
}

/// M7
pub async fn a_delayed_message_waits_for_its_time(backend: Backend) {
    let delay = Duration::from_secs(10);
    create(&backend, "orders", MessageQueueSettings { delay, ..Default::default() }).await;
    send(&backend, "the queue's delay").await;
    let longer = NewMessage { delay: Some(delay * 2), ..NewMessage::of("its own") };
    let none = NewMessage { delay: Some(Duration::ZERO), ..NewMessage::of("none") };
    backend.messages.send(&queue(), vec![longer, none]).await.expect("send");
    assert_eq!(how_many(&backend).await, (1, 0, 2));
    assert_eq!(receive_one(&backend).await.body, "none");
    backend.outside.pass(delay - TICK).await;
    assert!(receive(&backend, 10).await.is_empty());
    backend.outside.pass(TICK).await;
    assert_eq!(receive_one(&backend).await.body, "the queue's delay");
    backend.outside.pass(delay).await;
    assert_eq!(receive_one(&backend).await.body, "its own");
}

/// M1
pub async fn nothing_is_sent_to_a_queue_that_is_not_there(backend: Backend) {
    let outcome = backend.messages.send(&queue(), vec![NewMessage::of("x")]).await;
    assert!(matches!(outcome, Err(MessageError::NotFound(_))), "{outcome:?}");
}
