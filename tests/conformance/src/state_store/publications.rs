//! `Publish`: the result becomes visible in the set that completes its job, or not at all.

use super::refuses_whole_as;
use crate::backend::Backend;
use crate::samples::*;
use filemill_core::etag::Etag;
use filemill_core::ids::{JobId, KeyId};
use filemill_core::object::{Attributes, BucketName, Origin};
use filemill_core::ports::*;

fn attributes() -> Attributes {
    let origin = Origin { job: JobId::of("b", "k", "1", "r", time()), generation: 1, original: None };
    Attributes { content_type: Some("text/plain".into()), origin: Some(origin), ..Attributes::default() }
}

fn publication(name: &str, staged: Staged) -> Publication {
    let (etag, size) = (staged.etag.clone(), staged.size);
    let source = PublicationSource::Staged(staged);
    Publication { bucket: bucket(), key: key(name), attributes: attributes(), etag, size, replaces_only: None, source }
}

fn gathering(upload: &MultipartRef, parts: &[PartInfo]) -> Publication {
    Publication {
        bucket: upload.bucket.clone(),
        key: upload.key.clone(),
        attributes: attributes(),
        etag: Etag::of_parts(parts.iter().map(|p| &p.etag)),
        size: parts.iter().map(|p| p.size).sum(),
        replaces_only: None,
        source: PublicationSource::Multipart { id: upload.id.clone(), parts: parts.iter().map(named).collect() },
    }
}

/// S7: elsewhere it is refused. True: go on with the case.
async fn publishes(backend: &Backend) -> bool {
    if backend.state.publishes() {
        return true;
    }
    let staged = staged(backend, b"x").await;
    let set = set([Change::Emit(event(1)), Change::Publish(publication("a", staged))]);
    let refused = backend.state.commit(set, Durability::Synced).await;
    assert!(matches!(refused, Err(StateError::Invalid(_))), "{refused:?}");
    assert_eq!(backend.state.last_event().await.expect("last event"), 0);
    false
}

/// S7
pub async fn staged_bytes_are_published_with_the_set(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    for length in [0, 10, 70_000, 2 * 1024 * 1024] {
        let content = bytes(length, 1);
        let publication = publication("a", staged(&backend, &content).await);
        let (etag, size) = (publication.etag.clone(), publication.size);
        let committed = commit(&backend, [Change::Publish(publication), Change::Emit(event(1))]).await.expect("commit");
        let info = committed.published.first().expect("an object").clone();
        assert_eq!((info.key.as_str(), &info.etag, info.size, &info.attributes), ("a", &etag, size, &attributes()));
        assert_eq!(backend.blobs.head(&bucket(), &key("a")).await.expect("head"), info);
        assert!(get(&backend, "a").await.expect("get") == content);
        let announced = all_announcements(&backend).await.pop().expect("it is announced");
        assert_eq!(
            (announced.etag, announced.sequencer, announced.origin),
            (etag, info.sequencer, attributes().origin)
        );
    }
}

/// S7
pub async fn parts_are_published_with_the_set_and_the_upload_ends(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    let upload = begin(&backend, "a").await;
    let contents = [bytes(part_length(&backend), 1), bytes(part_length(&backend), 2), bytes(7, 3)];
    let mut parts = Vec::new();
    for (nth, content) in contents.iter().enumerate() {
        parts.push(put_part(&backend, &upload, nth as u32 + 1, content).await);
    }
    let committed = commit(&backend, [Change::Publish(gathering(&upload, &parts))]).await.expect("commit");
    let info = committed.published.first().expect("an object").clone();
    assert_eq!(info.etag, Etag::of_parts(parts.iter().map(|p| &p.etag)));
    assert!(get(&backend, "a").await.expect("get") == contents.concat());
    let ended = backend.blobs.multipart(&upload).await.map(|m| m.begun_at);
    assert!(matches!(ended, Err(BlobError::NotFound(Missing::Upload))), "{ended:?}");
    assert_eq!(all_announcements(&backend).await.len(), 1);
}

/// S7
pub async fn a_result_and_its_rejects_are_published_together(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    let both = async |last: &str| {
        let result = publication("a", staged(&backend, b"result").await);
        let rejects = publication(last, staged(&backend, b"rejects").await);
        commit(&backend, [Change::Publish(result), Change::Publish(rejects)]).await
    };
    let made = both("a.rejects").await.expect("commit").published;
    assert_eq!(made.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["a", "a.rejects"]);
    assert_eq!(get(&backend, "a").await.expect("get"), b"result");
    assert_eq!(get(&backend, "a.rejects").await.expect("get"), b"rejects");
    assert_eq!(all_announcements(&backend).await.len(), 2);
    let twice = both("a").await.map(|c| c.published.len());
    assert!(matches!(twice, Err(StateError::Invalid(_))), "one object is named twice: {twice:?}");
}

/// S1, S7
pub async fn a_refused_set_publishes_nothing(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    let missing = next_rev(&job("none", 1));
    let upload = begin(&backend, "parts").await;
    let part = put_part(&backend, &upload, 1, b"content").await;
    for length in [10, 2 * 1024 * 1024] {
        let staged = publication("staged", staged(&backend, &bytes(length, 1)).await);
        for publication in [staged, gathering(&upload, std::slice::from_ref(&part))] {
            let set = [Change::Publish(publication), Change::UpdateJob(Box::new(missing.clone()))];
            let refused = commit(&backend, set).await.map(|c| c.last_event);
            assert!(matches!(refused, Err(StateError::Conflict(_))), "{refused:?}");
        }
    }
    assert_eq!(keys(&backend).await, Vec::<String>::new());
    assert_eq!(all_announcements(&backend).await, []);
    let later = [Change::Publish(gathering(&upload, &[part]))];
    commit(&backend, later).await.expect("the upload is as it was");
    assert_eq!(get(&backend, "parts").await.expect("get"), b"content");
}

/// S7
pub async fn what_is_not_there_cannot_be_published(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    let cannot = async |change: &dyn Fn() -> Change| {
        refuses_whole_as(&backend, change, |e| matches!(e, StateError::Unpublishable(_))).await;
        let lost_race = Change::UpdateJob(Box::new(next_rev(&job("none", 1))));
        let refused = commit(&backend, [change(), lost_race]).await.map(|c| c.last_event);
        assert!(matches!(refused, Err(StateError::Conflict(_))), "conditions come first: {refused:?}");
    };
    let upload = begin(&backend, "a").await;
    let old = put_part(&backend, &upload, 1, b"old").await;
    let new = put_part(&backend, &upload, 1, b"new").await;
    cannot(&|| Change::Publish(gathering(&upload, std::slice::from_ref(&old)))).await;
    let missing = PartInfo { number: 2, ..new.clone() };
    cannot(&|| Change::Publish(gathering(&upload, &[new.clone(), missing.clone()]))).await;
    let aborted = begin(&backend, "b").await;
    let part = put_part(&backend, &aborted, 1, b"x").await;
    backend.blobs.abort_multipart(&aborted).await.expect("abort");
    cannot(&|| Change::Publish(gathering(&aborted, std::slice::from_ref(&part)))).await;
    let nowhere = BucketName::parse("nowhere").expect("a bucket name");
    cannot(&|| Change::Publish(Publication { bucket: nowhere.clone(), ..publication("a", inline(b"x")) })).await;
    commit(&backend, [Change::Publish(gathering(&upload, &[new]))]).await.expect("the part that is there");
}

/// S7
pub async fn a_publication_replaces_an_object(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    let before = put(&backend, "a", &bytes(2 * 1024 * 1024, 1)).await;
    let committed = commit(&backend, [Change::Publish(publication("a", inline(b"new")))]).await.expect("commit");
    assert!(committed.published.first().expect("an object").clone().sequencer > before.sequencer);
    assert_eq!(get(&backend, "a").await.expect("get"), b"new");
}

/// S7
pub async fn a_publication_replaces_what_it_may_and_nothing_else(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    let [own, other] = [1, 2].map(|n| KeyId::new(time(), [n; 10]));
    let by = |owner: Option<&KeyId>, staged| Publication {
        attributes: Attributes { owner: owner.cloned(), ..attributes() },
        replaces_only: owner.cloned(),
        ..publication("a", staged)
    };
    commit(&backend, [Change::Publish(by(Some(&own), inline(b"new")))]).await.expect("nothing is there");
    for (content, size) in [(&b"again"[..], 5), (b"large", 2 * 1024 * 1024)] {
        let content = content.repeat(size / content.len());
        let theirs = by(Some(&other), staged(&backend, &content).await);
        let refused = commit(&backend, [Change::Publish(theirs)]).await.map(|c| c.last_event);
        assert!(matches!(refused, Err(StateError::Unpublishable(Unpublishable::Taken))), "{refused:?}");
        assert_eq!(get(&backend, "a").await.expect("get"), b"new");
    }
    commit(&backend, [Change::Publish(by(Some(&own), inline(b"newer")))]).await.expect("its own");
    commit(&backend, [Change::Publish(by(None, inline(b"newest")))]).await.expect("anybody's");
    let refused = commit(&backend, [Change::Publish(by(Some(&own), inline(b"x")))]).await.map(|c| c.last_event);
    assert!(matches!(refused, Err(StateError::Unpublishable(Unpublishable::Taken))), "nobody's: {refused:?}");
    assert_eq!(get(&backend, "a").await.expect("get"), b"newest");
}

/// S7
pub async fn a_publication_that_lies_about_its_size_is_invalid(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !publishes(&backend).await {
        return;
    }
    let lie = Publication { size: 7, ..publication("a", inline(b"new")) };
    let refused = commit(&backend, [Change::Publish(lie)]).await.map(|c| c.last_event);
    assert!(matches!(refused, Err(StateError::Invalid(_))), "{refused:?}");
    assert_eq!(keys(&backend).await, Vec::<String>::new());
}
