//! What a crash takes and what it does not.

use super::*;
use std::collections::BTreeSet;

/// Enough that a crash takes some of them if it takes any.
const MANY: usize = 20;

async fn bodies(backend: &Backend) -> BTreeSet<String> {
    let mut bodies = BTreeSet::new();
    loop {
        let got = receive(backend, 10).await;
        if got.is_empty() {
            return bodies;
        }
        bodies.extend(got.into_iter().map(|m| m.body));
    }
}

/// M2
pub async fn what_was_sent_survives_a_crash(backend: Backend) {
    with_queue(&backend).await;
    for n in 0..MANY {
        send(&backend, &n.to_string()).await;
    }
    let backend = backend.crash().await;
    assert_eq!(bodies(&backend).await, (0..MANY).map(|n| n.to_string()).collect());
}

/// M5
pub async fn what_was_deleted_stays_deleted_after_a_crash(backend: Backend) {
    with_queue(&backend).await;
    for n in 0..=MANY {
        send(&backend, &n.to_string()).await;
    }
    let mut received = receive(&backend, 10).await;
    received.extend(receive(&backend, 10).await);
    for message in &received {
        delete(&backend, message).await;
    }
    let backend = backend.crash().await;
    backend.outside.pass(VISIBILITY).await;
    assert_eq!(bodies(&backend).await, [MANY.to_string()].into());
}

/// M3, M4: a claim that a crash took back gave out a receipt all the same.
pub async fn a_receipt_from_before_a_crash_is_never_another_ones(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let before = receive_one(&backend).await;
    let backend = backend.crash().await;
    backend.outside.pass(VISIBILITY).await;
    let after = receive_one(&backend).await;
    assert_ne!(before.receipt, after.receipt);
    delete(&backend, &before).await;
    assert_eq!(how_many(&backend).await, (0, 1, 0), "the one who has it now keeps it");
}
