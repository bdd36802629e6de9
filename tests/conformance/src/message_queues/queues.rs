//! Queues: created, listed, changed, purged, deleted.

use super::*;

async fn names(backend: &Backend, query: &ListMessageQueues) -> Vec<String> {
    let found = backend.messages.message_queues(query).await.expect("list");
    found.iter().map(|info| info.name.to_string()).collect()
}

/// M13
pub async fn a_message_queue_is_created_once(backend: Backend) {
    let settings = MessageQueueSettings { delay: Duration::from_secs(5), ..Default::default() };
    for _ in 0..2 {
        backend.messages.create_queue(&queue(), &settings).await.expect("the same again is no error");
    }
    let other = backend.messages.create_queue(&queue(), &MessageQueueSettings::default()).await;
    assert!(matches!(other, Err(MessageError::Conflict(_))), "{other:?}");
    let info = backend.messages.message_queue(&queue()).await.expect("it is there");
    assert_eq!((info.settings, info.created_at), (settings, crate::samples::time()));
}

/// M13
pub async fn every_setting_comes_back_as_it_was_set(backend: Backend) {
    create(&backend, "letters", MessageQueueSettings::default()).await;
    with_queue(&backend).await;
    backend.outside.pass(TICK).await;
    let settings = MessageQueueSettings {
        visibility: Duration::from_secs(1),
        retention: Duration::from_secs(61),
        delay: Duration::from_secs(3),
        wait: Duration::from_secs(4),
        message_bytes_max: 2048,
        redrive: Some(Redrive { dead_letters: name("letters"), receives_max: 7 }),
    };
    backend.messages.set_queue(&queue(), &settings).await.expect("set");
    let info = backend.messages.message_queue(&queue()).await.expect("it is there");
    assert_eq!(info.settings, settings);
    assert!(info.changed_at > info.created_at);
}

/// M13
pub async fn impossible_settings_are_refused(backend: Backend) {
    with_queue(&backend).await;
    let too_long = MessageQueueSettings { visibility: Duration::from_secs(43_201), ..Default::default() };
    let redrive = Some(Redrive { dead_letters: name("nowhere"), receives_max: 1 });
    let nowhere = MessageQueueSettings { redrive, ..Default::default() };
    for (settings, other) in [(too_long, "a"), (nowhere, "b")] {
        let set = backend.messages.set_queue(&queue(), &settings).await;
        let created = backend.messages.create_queue(&name(other), &settings).await;
        for outcome in [set, created] {
            assert!(matches!(outcome, Err(MessageError::Invalid(_) | MessageError::NotFound(_))), "{outcome:?}");
        }
    }
    assert_eq!(names(&backend, &ListMessageQueues { limit: 10, ..Default::default() }).await, ["orders"]);
}

/// M13
pub async fn message_queues_are_listed_by_name_in_pages(backend: Backend) {
    for queue in ["b-2", "a", "b-1", "c", "b_"] {
        create(&backend, queue, MessageQueueSettings::default()).await;
    }
    let all = ListMessageQueues { limit: 10, ..Default::default() };
    assert_eq!(names(&backend, &all).await, ["a", "b-1", "b-2", "b_", "c"]);
    let first = ListMessageQueues { prefix: "b".into(), limit: 2, ..Default::default() };
    assert_eq!(names(&backend, &first).await, ["b-1", "b-2"]);
    let second = ListMessageQueues { after: Some(name("b-2")), ..first };
    assert_eq!(names(&backend, &second).await, ["b_"]);
}

/// M11
pub async fn a_purged_queue_is_empty_at_once(backend: Backend) {
    with_queue(&backend).await;
    for n in 0..5 {
        send(&backend, &n.to_string()).await;
    }
    let in_flight = receive_one(&backend).await;
    backend.messages.purge(&queue()).await.expect("purge");
    assert_eq!(counts(&backend).await, MessageCounts::default());
    backend.outside.pass(VISIBILITY).await;
    assert!(receive(&backend, 10).await.is_empty());
    delete(&backend, &in_flight).await;
    send(&backend, "after").await;
    assert_eq!(receive_one(&backend).await.body, "after");
    assert_eq!(backend.messages.tidy(100).await.expect("tidy"), 5, "what it left goes in the background");
    assert_eq!(how_many(&backend).await, (0, 1, 0));
}

/// M11
pub async fn a_deleted_queue_takes_its_messages_with_it(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let got = receive_one(&backend).await;
    backend.messages.delete_queue(&queue()).await.expect("delete");
    for outcome in [
        backend.messages.receive(&queue(), wanted(1)).await.map(drop),
        backend.messages.delete_messages(&queue(), &[got.receipt]).await,
        backend.messages.change_visibility(&queue(), &[(got.receipt, TICK)]).await.map(drop),
        backend.messages.message_counts(&queue()).await.map(drop),
        backend.messages.message_queue(&queue()).await.map(drop),
        backend.messages.purge(&queue()).await,
        backend.messages.delete_queue(&queue()).await,
        backend.messages.set_queue(&queue(), &MessageQueueSettings::default()).await,
    ] {
        assert!(matches!(outcome, Err(MessageError::NotFound(_))), "{outcome:?}");
    }
    with_queue(&backend).await;
    assert_eq!(counts(&backend).await, MessageCounts::default(), "another queue of the same name");
    assert_eq!(backend.messages.tidy(100).await.expect("tidy"), 1);
}
