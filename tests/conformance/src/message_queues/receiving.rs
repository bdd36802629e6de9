//! Claims: exclusive while they last, counted, limited, and no older than the retention.

use super::*;
use futures::future::join_all;
use std::collections::BTreeSet;

/// M3
pub async fn of_sixteen_receivers_each_message_goes_to_one(backend: Backend) {
    with_queue(&backend).await;
    for n in 0..60 {
        send(&backend, &n.to_string()).await;
    }
    let backend = &backend;
    let receivers = (0..16).map(|n| async move {
        let mut mine = Vec::new();
        loop {
            let got = receive(backend, n % 5 + 1).await;
            if got.is_empty() {
                return mine;
            }
            mine.extend(got);
        }
    });
    let all: Vec<ReceivedMessage> = join_all(receivers).await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = all.iter().map(|m| m.id.clone()).collect();
    assert_eq!((all.len(), ids.len()), (60, 60), "a message was received twice or not at all");
    assert_eq!(how_many(backend).await, (0, 60, 0));
}

/// M1, M3
pub async fn what_is_not_deleted_comes_again_and_is_counted(backend: Backend) {
    with_queue(&backend).await;
    let id = send(&backend, "x").await;
    for receives in 1..=4 {
        let got = receive_one(&backend).await;
        assert_eq!((&got.id, got.receives, got.first_received_at), (&id, receives, crate::samples::time()));
        backend.outside.pass(VISIBILITY - TICK).await;
        assert!(receive(&backend, 10).await.is_empty(), "its visibility has not ended");
        backend.outside.pass(TICK).await;
    }
}

/// M15
pub async fn a_clock_that_is_set_moves_no_visibility_and_no_delay(backend: Backend) {
    with_queue(&backend).await;
    let id = send(&backend, "x").await;
    receive_one(&backend).await;
    let late = NewMessage { delay: Some(VISIBILITY * 2), ..NewMessage::of("late") };
    backend.messages.send(&queue(), vec![late]).await.expect("send");
    for millis in [3_600_000, -2 * 3_600_000] {
        backend.outside.set_clock(millis).await;
        assert!(receive(&backend, 10).await.is_empty(), "set by {millis} ms");
    }
    backend.outside.pass(VISIBILITY - TICK).await;
    assert!(receive(&backend, 10).await.is_empty());
    backend.outside.pass(TICK).await;
    assert_eq!(receive_one(&backend).await.id, id);
    backend.outside.set_clock(-3_600_000).await;
    backend.outside.pass(VISIBILITY).await;
    assert_eq!(receive(&backend, 10).await.len(), 2);
}

/// M3
pub async fn a_receiver_may_say_how_long(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let long = Receive { visibility: Some(VISIBILITY * 3), ..wanted(1) };
    assert_eq!(backend.messages.receive(&queue(), long).await.expect("receive").len(), 1);
    backend.outside.pass(VISIBILITY * 2).await;
    assert!(receive(&backend, 1).await.is_empty());
    backend.outside.pass(VISIBILITY).await;
    let none = Receive { visibility: Some(Duration::ZERO), ..wanted(10) };
    for receives in 2..5 {
        let got = backend.messages.receive(&queue(), none).await.expect("receive");
        assert_eq!(
            got.iter().map(|m| m.receives).collect::<Vec<_>>(),
            [receives],
            "once in a call, and visible at once"
        );
    }
}

/// M3: the queue's own visibility.
pub async fn settings_hold_from_now_on(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let settings = MessageQueueSettings { visibility: VISIBILITY * 2, ..Default::default() };
    backend.messages.set_queue(&queue(), &settings).await.expect("set");
    receive_one(&backend).await;
    backend.outside.pass(VISIBILITY).await;
    assert!(receive(&backend, 1).await.is_empty());
    backend.outside.pass(VISIBILITY).await;
    receive_one(&backend).await;
}

/// M1
pub async fn those_visible_longest_come_first(backend: Backend) {
    with_queue(&backend).await;
    for body in ["a", "b", "c"] {
        send(&backend, body).await;
        backend.outside.pass(TICK).await;
    }
    let bodies: Vec<String> = receive(&backend, 2).await.into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["a", "b"]);
    backend.outside.pass(VISIBILITY).await;
    assert_eq!(receive_one(&backend).await.body, "c", "what came back waits behind what never came");
}

/// M9
pub async fn what_is_past_its_retention_is_not_received(backend: Backend) {
    let retention = Duration::from_secs(60);
    create(&backend, "orders", MessageQueueSettings { retention, ..Default::default() }).await;
    send(&backend, "old").await;
    backend.outside.pass(retention - TICK).await;
    send(&backend, "new").await;
    backend.outside.pass(TICK).await;
    let bodies: Vec<String> = receive(&backend, 10).await.into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["new"]);
}

/// M9
pub async fn tidying_removes_what_is_old_and_nothing_else(backend: Backend) {
    let retention = Duration::from_secs(60);
    create(&backend, "orders", MessageQueueSettings { retention, ..Default::default() }).await;
    for _ in 0..5 {
        send(&backend, "old").await;
    }
    receive_one(&backend).await;
    backend.outside.pass(retention / 2).await;
    send(&backend, "new").await;
    assert_eq!(counts(&backend).await.oldest_at, Some(crate::samples::time()));
    assert_eq!(backend.messages.tidy(100).await.expect("tidy"), 0);
    backend.outside.pass(retention / 2).await;
    assert_eq!(backend.messages.tidy(3).await.expect("tidy"), 3, "bounded");
    assert_eq!(backend.messages.tidy(100).await.expect("tidy"), 2);
    assert_eq!(how_many(&backend).await, (1, 0, 0));
    assert_eq!(counts(&backend).await.oldest_at, Some(crate::samples::time().plus(retention / 2)));
}

/// M10
pub async fn only_so_many_messages_are_in_flight(backend: Backend) {
    with_queue(&backend).await;
    let long = Receive { visibility: Some(VISIBILITY * 100), ..wanted(10) };
    let full = backend.in_flight_max / 10;
    for _ in 0..=full {
        backend.messages.send(&queue(), vec![NewMessage::of("x"); 10]).await.expect("send");
    }
    let mut last = Vec::new();
    for _ in 0..full {
        last = backend.messages.receive(&queue(), long).await.expect("there is room");
    }
    assert!(matches!(backend.messages.receive(&queue(), long).await, Err(MessageError::OverLimit)));
    for message in &last {
        delete(&backend, message).await;
    }
    assert_eq!(backend.messages.receive(&queue(), long).await.expect("there is room again").len(), 10);
}
