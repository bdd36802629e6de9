//! Receipts: the newest alone deletes a message or moves its visibility.

use super::*;

async fn change(backend: &Backend, message: &ReceivedMessage, visibility: Duration) -> Visibility {
    let changed = backend.messages.change_visibility(&queue(), &[(message.receipt, visibility)]).await;
    changed.expect("change").pop().expect("an answer")
}

/// M5
pub async fn a_deleted_message_is_gone_and_deleting_twice_is_no_error(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let got = receive_one(&backend).await;
    for _ in 0..2 {
        delete(&backend, &got).await;
    }
    backend.outside.pass(VISIBILITY).await;
    assert!(receive(&backend, 10).await.is_empty());
    assert_eq!(counts(&backend).await, MessageCounts::default());
}

/// M4
pub async fn an_older_receipt_deletes_nothing(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let first = receive_one(&backend).await;
    backend.outside.pass(VISIBILITY).await;
    let second = receive_one(&backend).await;
    assert_ne!(first.receipt, second.receipt);
    delete(&backend, &first).await;
    assert_eq!(how_many(&backend).await, (0, 1, 0), "the second receiver still works on it");
    delete(&backend, &second).await;
    assert_eq!(how_many(&backend).await, (0, 0, 0));
}

/// M4
pub async fn the_newest_receipt_deletes_after_its_end_too(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let got = receive_one(&backend).await;
    backend.outside.pass(VISIBILITY * 2).await;
    delete(&backend, &got).await;
    assert!(receive(&backend, 10).await.is_empty());
}

/// M4
pub async fn a_receipt_of_nothing_harms_nobody(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let got = receive_one(&backend).await;
    let Receipt { message, token } = got.receipt;
    let strange = [
        Receipt { message: 0, token: 0 },
        Receipt { message, token: 0 },
        Receipt { message: message + 1, token },
        Receipt { message: u64::MAX, token: u64::MAX },
    ];
    backend.messages.delete_messages(&queue(), &strange).await.expect("no error");
    assert_eq!(how_many(&backend).await, (0, 1, 0));
}

/// M4: a message that was never received cannot be deleted by guessing.
pub async fn what_was_never_received_cannot_be_deleted(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "a").await;
    send(&backend, "b").await;
    let a = receive_one(&backend).await;
    let guesses: Vec<Receipt> = (0..5).map(|d| Receipt { message: a.receipt.message + d, token: 0 }).collect();
    backend.messages.delete_messages(&queue(), &guesses).await.expect("no error");
    assert_eq!(how_many(&backend).await, (1, 1, 0));
}

/// M4, M6
pub async fn only_the_newest_receipt_moves_visibility(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let first = receive_one(&backend).await;
    assert_eq!(change(&backend, &first, VISIBILITY * 3).await, Visibility::Moved);
    backend.outside.pass(VISIBILITY * 2).await;
    assert!(receive(&backend, 10).await.is_empty(), "it was moved out");
    backend.outside.pass(VISIBILITY).await;
    assert_eq!(change(&backend, &first, VISIBILITY).await, Visibility::NotInFlight, "it is visible");
    let second = receive_one(&backend).await;
    assert_eq!(change(&backend, &first, Duration::ZERO).await, Visibility::NotInFlight, "another has it");
    assert!(receive(&backend, 10).await.is_empty());
    delete(&backend, &second).await;
    assert_eq!(change(&backend, &second, VISIBILITY).await, Visibility::NotInFlight, "it is gone");
}

/// M6
pub async fn zero_gives_a_message_back_at_once(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let got = receive_one(&backend).await;
    assert_eq!(change(&backend, &got, Duration::ZERO).await, Visibility::Moved);
    assert_eq!(receive_one(&backend).await.receives, 2);
}
