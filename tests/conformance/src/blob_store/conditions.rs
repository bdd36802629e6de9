//! Conditions on writes: decided in the step that writes, so of many at once one wins.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::etag::Etag;
use filemill_core::object::ObjectInfo;
use filemill_core::ports::*;
use futures::future::join_all;

const WRITERS: usize = 16;

fn on_condition(condition: Precondition) -> PutObject {
    PutObject { condition, ..put_of("a") }
}

fn is_refused(outcome: &Result<ObjectInfo, BlobError>) -> bool {
    matches!(outcome, Err(BlobError::Conflict(BlobConflict::Precondition)))
}

async fn one_of_many_wins(backend: &Backend, condition: Precondition) {
    let writers = (0..WRITERS).map(|n| {
        let condition = condition.clone();
        async move {
            let content = bytes(10 + n * 9000, n as u64);
            let staged = staged(backend, &content).await;
            backend.blobs.put(on_condition(condition), staged, Durability::Synced).await
        }
    });
    let outcomes = join_all(writers).await;
    let winners: Vec<usize> = (0..WRITERS).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|o| is_refused(o)).count(), WRITERS - 1, "{outcomes:?}");
    let winner = winners[0];
    assert!(get(backend, "a").await.expect("get") == bytes(10 + winner * 9000, winner as u64), "another's bytes");
}

/// B5
pub async fn of_sixteen_creators_one_wins(backend: Backend) {
    let backend = with_bucket(backend).await;
    one_of_many_wins(&backend, Precondition::IfAbsent).await;
    assert_eq!(all_announcements(&backend).await.len(), 1, "only the winner is announced");
}

/// B5
pub async fn of_sixteen_who_replace_the_same_version_one_wins(backend: Backend) {
    let backend = with_bucket(backend).await;
    let before = put(&backend, "a", b"before").await;
    one_of_many_wins(&backend, Precondition::IfMatch(before.etag)).await;
}

/// B5
pub async fn of_sixteen_who_complete_as_creators_one_wins(backend: Backend) {
    let backend = with_bucket(backend).await;
    let backend = &backend;
    let writers = (0..WRITERS).map(|n| async move {
        let upload = begin(backend, "a").await;
        let part = put_part(backend, &upload, 1, format!("writer {n}").as_bytes()).await;
        let complete = CompleteMultipart { condition: Precondition::IfAbsent, ..completion(vec![named(&part)]) };
        backend.blobs.complete_multipart(&upload, complete).await
    });
    let outcomes = join_all(writers).await;
    let winners: Vec<usize> = (0..WRITERS).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|o| is_refused(o)).count(), WRITERS - 1, "{outcomes:?}");
    assert_eq!(get(backend, "a").await.expect("get"), format!("writer {}", winners[0]).as_bytes());
}

/// B1, B5
pub async fn a_refused_put_changes_nothing(backend: Backend) {
    let backend = with_bucket(backend).await;
    let before = put(&backend, "a", b"before").await;
    acknowledge_all(&backend).await;
    for condition in [Precondition::IfAbsent, Precondition::IfMatch(Etag::new("another"))] {
        let refused = backend.blobs.put(on_condition(condition), inline(b"after"), Durability::Synced).await;
        assert!(is_refused(&refused), "{refused:?}");
    }
    assert_eq!(backend.blobs.head(&bucket(), &key("a")).await.expect("head"), before);
    assert_eq!(get(&backend, "a").await.expect("get"), b"before");
    assert_eq!(all_announcements(&backend).await, []);
}

/// B5
pub async fn a_matching_put_needs_an_object(backend: Backend) {
    let backend = with_bucket(backend).await;
    let condition = Precondition::IfMatch(Etag::new("any"));
    let missing = backend.blobs.put(on_condition(condition), inline(b"x"), Durability::Synced).await;
    assert!(matches!(missing, Err(BlobError::NotFound(Missing::Object))), "{missing:?}");
    assert_eq!(keys(&backend).await, Vec::<String>::new());
}

/// B5
pub async fn a_copy_keeps_its_condition(backend: Backend) {
    let backend = with_bucket(backend).await;
    let source = put(&backend, "from", b"from").await;
    put(&backend, "a", b"before").await;
    let from = (&bucket(), &key("from"));
    let refused = backend.blobs.copy(on_condition(Precondition::IfAbsent), from, &source.etag).await;
    assert!(is_refused(&refused), "{refused:?}");
    assert_eq!(get(&backend, "a").await.expect("get"), b"before");
}

/// B5
pub async fn a_delete_on_condition_spares_another_version(backend: Backend) {
    let backend = with_bucket(backend).await;
    let info = put(&backend, "a", b"x").await;
    let other = Precondition::IfMatch(Etag::new("another"));
    let refused = backend.blobs.delete(&bucket(), &key("a"), other).await;
    assert!(matches!(refused, Err(BlobError::Conflict(BlobConflict::Precondition))), "{refused:?}");
    assert_eq!(get(&backend, "a").await.expect("get"), b"x");
    let same = Precondition::IfMatch(info.etag.clone());
    backend.blobs.delete(&bucket(), &key("a"), same).await.expect("delete").expect("it was there");
    let gone = backend.blobs.delete(&bucket(), &key("a"), Precondition::IfMatch(info.etag)).await;
    assert!(matches!(gone, Err(BlobError::NotFound(Missing::Object))), "{gone:?}");
}

/// B5: the same bytes sent again are another version.
pub async fn a_delete_of_a_version_spares_the_same_bytes_sent_again(backend: Backend) {
    let backend = with_bucket(backend).await;
    let older = put(&backend, "a", b"x").await;
    let newer = put(&backend, "a", b"x").await;
    let (bucket, key) = (bucket(), key("a"));
    let delete = |sequencer| backend.blobs.delete(&bucket, &key, Precondition::IfSequencer(sequencer));
    let refused = delete(older.sequencer.clone()).await;
    assert!(matches!(refused, Err(BlobError::Conflict(BlobConflict::Precondition))), "{refused:?}");
    delete(newer.sequencer).await.expect("delete").expect("it was there");
    let gone = delete(older.sequencer).await;
    assert!(matches!(gone, Err(BlobError::NotFound(Missing::Object))), "{gone:?}");
}
