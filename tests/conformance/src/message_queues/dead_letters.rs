//! Redrive: what was received too often goes to the dead-letter queue, once, and lives there by that queue's rules.

use super::*;

async fn with_letters(backend: &Backend, receives_max: u32, retention: Duration) {
    create(backend, "letters", MessageQueueSettings { retention, ..Default::default() }).await;
    let redrive = Some(Redrive { dead_letters: name("letters"), receives_max });
    create(backend, "orders", MessageQueueSettings { redrive, ..Default::default() }).await;
}

async fn receive_in_vain(backend: &Backend, times: u32) {
    for turn in 1..=times {
        assert_eq!(receive_one(backend).await.receives, turn);
        backend.outside.pass(VISIBILITY).await;
    }
}

/// M8
pub async fn a_message_received_too_often_becomes_a_dead_letter(backend: Backend) {
    with_letters(&backend, 3, Duration::from_secs(86_400)).await;
    let sent = NewMessage {
        attributes: [(
            "k".into(),
            MessageAttribute { data_type: "String".into(), value: AttributeValue::Text("v".into()) },
        )]
        .into(),
        ..NewMessage::of("poison")
    };
    let id = backend.messages.send(&queue(), vec![sent.clone()]).await.expect("send").pop().expect("an id");
    receive_in_vain(&backend, 3).await;
    assert!(receive_from(&backend, "letters", 1).await.is_empty(), "three receives are allowed");
    assert!(receive(&backend, 10).await.is_empty(), "a fourth would exceed them");
    let letter = receive_from(&backend, "letters", 10).await.pop().expect("a dead letter");
    assert_eq!((letter.id, letter.body, letter.attributes), (id, sent.body, sent.attributes));
    assert_eq!((letter.sent_at, letter.receives, letter.given_up_by), (crate::samples::time(), 1, Some(queue())));
    backend.outside.pass(VISIBILITY).await;
    assert!(receive(&backend, 10).await.is_empty(), "it does not come back");
}

/// M8
pub async fn retention_of_dead_letters_counts_from_the_move(backend: Backend) {
    let retention = Duration::from_secs(60);
    with_letters(&backend, 3, retention).await;
    send(&backend, "poison").await;
    receive_in_vain(&backend, 3).await;
    assert!(receive(&backend, 1).await.is_empty());
    backend.outside.pass(retention - TICK).await;
    assert_eq!(receive_from(&backend, "letters", 1).await.len(), 1, "sent long ago, a letter for less than a minute");
    backend.outside.pass(VISIBILITY).await;
    assert!(receive_from(&backend, "letters", 1).await.is_empty(), "now it is old");
}

/// M8
pub async fn dead_letters_make_room_for_the_living(backend: Backend) {
    with_letters(&backend, 1, Duration::from_secs(86_400)).await;
    for n in 0..20 {
        send(&backend, &format!("poison {n}")).await;
    }
    assert_eq!(receive(&backend, 10).await.len() + receive(&backend, 10).await.len(), 20);
    backend.outside.pass(VISIBILITY).await;
    send(&backend, "alive").await;
    let bodies: Vec<String> = receive(&backend, 5).await.into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["alive"]);
    let letters = backend.messages.message_counts(&name("letters")).await.expect("counts");
    assert_eq!(letters.visible, 20);
}

/// M8: with a claim that ends at once, too.
pub async fn behind_dead_letters_a_claim_of_no_time_finds_the_living(backend: Backend) {
    with_letters(&backend, 1, Duration::from_secs(86_400)).await;
    for n in 0..2 {
        send(&backend, &format!("poison {n}")).await;
    }
    assert_eq!(receive(&backend, 10).await.len(), 2);
    backend.outside.pass(VISIBILITY + TICK).await;
    send(&backend, "alive").await;
    let at_once = Receive { visibility: Some(Duration::ZERO), ..wanted(1) };
    let got = backend.messages.receive(&queue(), at_once).await.expect("receive");
    assert_eq!(got.iter().map(|m| m.body.as_str()).collect::<Vec<_>>(), ["alive"]);
}

/// M8
pub async fn without_its_letter_box_a_message_is_received_as_before(backend: Backend) {
    with_letters(&backend, 1, Duration::from_secs(86_400)).await;
    send(&backend, "poison").await;
    backend.messages.delete_queue(&name("letters")).await.expect("delete");
    receive_in_vain(&backend, 3).await;
}

/// M13
pub async fn the_sources_of_a_dead_letter_queue_are_found(backend: Backend) {
    with_letters(&backend, 1, Duration::from_secs(86_400)).await;
    create(&backend, "other", MessageQueueSettings::default()).await;
    let query = ListMessageQueues { dead_letters: Some(name("letters")), limit: 10, ..Default::default() };
    let sources = backend.messages.message_queues(&query).await.expect("list");
    assert_eq!(sources.into_iter().map(|q| q.name).collect::<Vec<_>>(), [queue()]);
}
