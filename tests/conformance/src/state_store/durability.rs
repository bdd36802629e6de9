//! What a crash may take of the state: nothing synced or before it, and of the rest only what came last.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;

/// S1: and everything before it, lazy or not.
pub async fn a_synced_set_survives_a_crash_with_all_before_it(backend: Backend) {
    let job = job("a", 1);
    let lazy = ChangeSet::new()
        .with(Change::InsertJob(Box::new(job.clone())))
        .with(Change::InsertTask(plan_task(&job)))
        .with(Change::Emit(event(1)));
    backend.state.commit(lazy, Durability::Lazy).await.expect("commit");
    let update = set([Change::UpdateJob(Box::new(next_rev(&job))), Change::Emit(event(2))]);
    let last = backend.state.commit(update, Durability::Synced).await.expect("commit").last_event;

    let backend = backend.crash().await;
    assert_eq!(backend.state.job(&job.id).await.expect("job"), Some(next_rev(&job)));
    assert_eq!(backend.state.task(&plan_task(&job).id).await.expect("task"), Some(plan_task(&job)));
    assert!(Some(backend.state.last_event().await.expect("last event")) >= last);
    assert_eq!(backend.state.events_after(0, 10).await.expect("events").len(), 2);
}

/// S1: a crash takes whole sets, the last ones.
pub async fn what_a_crash_takes_is_what_came_last(backend: Backend) {
    let first = job("a", 1);
    stored_job(&backend, &first, &[]).await;
    let mut job = first;
    for n in 0..10 {
        job = next_rev(&job);
        let set = set([Change::UpdateJob(Box::new(job.clone())), new_file(file(&format!("{n}"), 1))]);
        backend.state.commit(set, Durability::Lazy).await.expect("commit");
    }
    let backend = backend.crash().await;
    let sets = backend.state.job(&job.id).await.expect("job").expect("it was synced").rev - 1;
    let files = backend.state.files(&FileQuery { limit: 100, ..FileQuery::default() }).await.expect("files").items;
    let expected: Vec<_> = (0..sets).map(|n| file(&format!("{n}"), 1)).collect();
    assert_eq!(files, expected, "a set is there that another one before it is not, or half of one");
}

/// S7: the object and its set stand or fall together.
pub async fn a_crash_does_not_part_an_object_from_its_set(backend: Backend) {
    let backend = with_bucket(backend).await;
    if !backend.state.publishes() {
        return;
    }
    for n in 0..5 {
        let content = bytes(2 * 1024 * 1024, n);
        let staged = staged(&backend, &content).await;
        let (etag, size) = (staged.etag.clone(), staged.size);
        let publication = Publication {
            bucket: bucket(),
            key: key(&format!("{n}")),
            attributes: Default::default(),
            etag,
            size,
            replaces_only: None,
            source: PublicationSource::Staged(staged),
        };
        let set = set([Change::Publish(publication), new_file(file(&format!("{n}"), 1))]);
        backend.state.commit(set, Durability::Lazy).await.expect("commit");
    }
    let backend = backend.crash().await;
    let files = backend.state.files(&FileQuery { limit: 100, ..FileQuery::default() }).await.expect("files").items;
    let names: Vec<String> = files.iter().map(|f| f.key.as_str().to_owned()).collect();
    assert_eq!(keys(&backend).await, names);
    for (n, name) in names.iter().enumerate() {
        assert!(get(&backend, name).await.expect("get") == bytes(2 * 1024 * 1024, n as u64));
    }
}
