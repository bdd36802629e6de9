//! Announcements: every visible change, at least once, in an order that sequencers tell, until acknowledged.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ids::JobId;
use filemill_core::object::{Attributes, Origin};
use filemill_core::ports::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// B8
pub async fn every_visible_change_is_announced(backend: Backend) {
    let backend = with_bucket(backend).await;
    let origin = Origin { job: JobId::of("b", "k", "1", "r", time()), generation: 2, original: None };
    let attributes =
        Attributes { content_type: Some("text/plain".into()), origin: Some(origin.clone()), ..Attributes::default() };
    let put_a = PutObject { attributes, ..put_of("a") };
    let first = backend.blobs.put(put_a, inline(b"first"), Durability::Synced).await.expect("put");
    let second = put(&backend, "a", b"second one").await;
    let copy = backend.blobs.copy(put_of("b"), (&bucket(), &key("a")), &second.etag).await.expect("copy");
    let upload = begin(&backend, "c").await;
    let part = put_part(&backend, &upload, 1, b"in parts").await;
    let gathered = backend.blobs.complete_multipart(&upload, completion(vec![named(&part)])).await.expect("complete");
    backend.blobs.delete(&bucket(), &key("a"), Precondition::None).await.expect("delete");

    let mut announced = all_announcements(&backend).await;
    announced.sort_by_key(|a| a.id);
    let found: Vec<_> = announced.iter().map(|a| (a.kind, a.key.as_str())).collect();
    use AnnouncementKind::{Created, Removed};
    assert_eq!(found, [(Created, "a"), (Created, "a"), (Created, "b"), (Created, "c"), (Removed, "a")]);
    for (announcement, info) in announced.iter().zip([&first, &second, &copy, &gathered]) {
        assert_eq!((announcement.size, &announcement.etag), (info.size, &info.etag));
        assert_eq!(announcement.sequencer, info.sequencer);
        assert_eq!(announcement.bucket, bucket());
    }
    assert_eq!(announced[0].content_type.as_deref(), Some("text/plain"));
    assert_eq!(announced[0].origin, Some(origin));
    assert_eq!((&announced[1].content_type, &announced[1].origin), (&None, &None));
}

/// B8
pub async fn sequencers_rise_per_key(backend: Backend) {
    let backend = with_bucket(backend).await;
    let backend = &backend;
    let writers = (0..8).map(|n| async move {
        for turn in 0..4 {
            let name = ["a", "b"][(n + turn) % 2];
            put(backend, name, format!("{n}/{turn}").as_bytes()).await;
            if turn == 2 {
                backend.blobs.delete(&bucket(), &key(name), Precondition::None).await.expect("delete");
            }
        }
    });
    futures::future::join_all(writers).await;
    let mut announced = all_announcements(backend).await;
    announced.sort_by_key(|a| a.id);
    let mut newest = BTreeMap::new();
    for announcement in announced {
        if let Some(before) = newest.insert(announcement.key.clone(), announcement.sequencer.clone()) {
            assert!(before < announcement.sequencer, "{before:?} came before {:?}", announcement.sequencer);
        }
    }
    for name in ["a", "b"] {
        if let Ok(info) = backend.blobs.head(&bucket(), &key(name)).await {
            assert_eq!(newest[&key(name)], info.sequencer, "the newest announcement is of the object that is there");
        }
    }
}

/// B8
pub async fn an_announcement_comes_again_until_it_is_acknowledged(backend: Backend) {
    let backend = with_bucket(backend).await;
    for n in 0..5 {
        put(&backend, &format!("{n}"), b"x").await;
    }
    let first = backend.blobs.announcements(3).await.expect("announcements");
    assert_eq!(first.iter().map(|a| a.key.as_str()).collect::<Vec<_>>(), ["0", "1", "2"], "oldest first");
    assert_eq!(backend.blobs.announcements(3).await.expect("announcements"), first, "the same again");
    backend.blobs.acknowledge(&[first[1].id, first[0].id]).await.expect("acknowledge");
    backend.blobs.acknowledge(&[first[0].id, u64::MAX >> 1]).await.expect("again, and one that never was");
    let left = all_announcements(&backend).await;
    assert_eq!(left.iter().map(|a| a.key.as_str()).collect::<Vec<_>>(), ["2", "3", "4"]);
    assert_eq!(backend.blobs.usage().await.expect("usage").announcements_waiting, 3);
    acknowledge_all(&backend).await;
    assert_eq!(all_announcements(&backend).await, []);
}

/// B8: what changes no object is not announced.
pub async fn only_visible_changes_are_announced(backend: Backend) {
    let backend = with_bucket(backend).await;
    put(&backend, "a", b"x").await;
    acknowledge_all(&backend).await;
    backend.blobs.set_tags(&bucket(), &key("a"), BTreeMap::from([("k".into(), "v".into())])).await.expect("tags");
    let upload = begin(&backend, "b").await;
    put_part(&backend, &upload, 1, b"x").await;
    backend.blobs.abort_multipart(&upload).await.expect("abort");
    backend.blobs.delete(&bucket(), &key("none"), Precondition::None).await.expect("nothing to delete");
    get(&backend, "a").await.expect("get");
    assert_eq!(all_announcements(&backend).await, []);
}

/// B8
pub async fn waiting_ends_when_an_object_was_put(backend: Backend) {
    let backend = with_bucket(backend).await;
    let waiting = async {
        while all_announcements(&backend).await.is_empty() {
            backend.blobs.announced().await;
        }
    };
    let putting = async {
        tokio::task::yield_now().await;
        put(&backend, "a", b"x").await;
    };
    let both = async { futures::join!(waiting, putting) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("the wait ends");
    tokio::time::timeout(Duration::from_secs(20), backend.blobs.announced()).await.expect("one is still there");
}
