//! The engine on the memory adapter, fault-free: each command and each way that a job can go, end to end.
//! Faults, crashes and races are `tests/sim`'s.

mod service;

use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::checksum::Checksums;
use filemill_core::job::JobStatus;
use filemill_core::ports::{BlobStore, FileQuery, JobQuery, Precondition};
use filemill_core::rule::RuleSet;
use filemill_core::upload::UploadStatus;
use filemill_engine::{Chance, CommandError, Compute, Engine, EngineConfig, Interest, NewUpload, Ports, Registry};
use filemill_memory::{FaultPlan, MemoryOptions, MemoryStore, SimClock, Snapshot};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use service::{Service, bucket, build, started};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn hello() -> serde_json::Value {
    json!({
        "id": "hello", "from": "uploads", "process": { "kind": "lines.prefix", "text": "> " },
        "output": { "bucket": "results" }, "retry": { "attempts": 2, "backoff": "1s..1s" },
    })
}

fn sed(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, byte) in input.iter().enumerate() {
        if i == 0 || input[i - 1] == b'\n' {
            out.extend_from_slice(b"> ");
        }
        out.push(*byte);
    }
    out
}

#[tokio::test(start_paused = true)]
async fn a_small_file_becomes_a_result_in_one_lease() {
    for publishes in [true, false] {
        let service = started(vec![hello()], publishes, &[]).await;
        service.put("a/b.txt", Bytes::from_static(b"one\n\ntwo")).await;
        let jobs = service.ended("a/b.txt").await;
        assert_eq!((jobs[0].status, jobs[0].attempts, jobs[0].chunks_done), (JobStatus::Completed, 1, 1));
        assert_eq!(service.result("a/b.txt"), &b"> one\n> \n> two"[..]);
        let output = jobs[0].output.clone().expect("an output");
        let object = service.store.head(&output.bucket, &output.key).await.expect("the object");
        assert_eq!(object.reference(), output, "the job tells the result's true size and tag");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_file_is_cut_and_put_together_exactly() {
    for publishes in [true, false] {
        let service = started(vec![hello()], publishes, &[]).await;
        let content: Vec<u8> =
            (0..3_000_000u32).map(|i| if i % 61 == 0 { b'\n' } else { b'a' + (i % 26) as u8 }).collect();
        service.put("big", content.clone().into()).await;
        let jobs = service.ended("big").await;
        assert_eq!((jobs[0].status, jobs[0].chunks_total(), jobs[0].chunks_done), (JobStatus::Completed, 5, 5));
        assert!(service.result("big") == sed(&content));
        assert_eq!(jobs[0].bytes_in, content.len() as u64);
        let output = jobs[0].output.clone().expect("an output");
        let object = service.store.head(&output.bucket, &output.key).await.expect("the object");
        assert_eq!(object.reference(), output);
        assert!(service.store.snapshot().multiparts.is_empty(), "no parts are left");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_gives_an_empty_result() {
    let service = started(vec![hello()], true, &[]).await;
    service.put("empty", Bytes::new()).await;
    assert_eq!(service.ended("empty").await[0].status, JobStatus::Completed);
    assert_eq!(service.result("empty"), Bytes::new());
}

#[tokio::test(start_paused = true)]
async fn a_large_input_without_output_bytes_gives_an_empty_result() {
    let mut rule = hello();
    rule["process"]["text"] = "".into();
    let service = started(vec![rule], true, &[]).await;
    let content = vec![b'\n'; 2_000_000];
    service.put("newlines", content.clone().into()).await;
    assert_eq!(service.ended("newlines").await[0].status, JobStatus::Completed);
    assert!(service.result("newlines") == content);
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_a_promise_until_its_object_arrives() {
    let service = started(vec![hello()], true, &[]).await;
    let new = NewUpload {
        filename: "x.txt".into(),
        rule: Some(serde_json::from_value(json!("hello")).expect("a name")),
        options: json!({ "text": "# " }).as_object().expect("an object").clone(),
        metadata: json!({ "order": 7 }).as_object().expect("an object").clone(),
        ..NewUpload::default()
    };
    let ticket = service.engine.create_upload(&Principal::service(), new).await.expect("an upload");
    let files = service
        .engine
        .files(&Principal::service(), FileQuery { limit: 10, ..FileQuery::default() })
        .await
        .expect("files");
    assert!(files.items.is_empty(), "a promise is not a file");
    service.put(&ticket.upload.key, Bytes::from_static(b"x")).await;
    let jobs = service.ended(&ticket.upload.key).await;
    assert_eq!(jobs[0].upload.as_ref(), Some(&ticket.upload.id));
    assert_eq!(jobs[0].metadata["order"], 7);
    assert_eq!(service.result(&ticket.upload.key), &b"# x"[..]);
    let upload = service.engine.upload(&Principal::service(), &ticket.upload.id).await.expect("the upload");
    assert_eq!(upload.status, UploadStatus::Received);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_rule_takes_only_the_upload_that_names_it() {
    let mut rule = hello();
    rule["enabled"] = false.into();
    let service = started(vec![rule], true, &[]).await;
    service.put("unasked", Bytes::from_static(b"x")).await;
    let new = NewUpload {
        filename: "asked".into(),
        rule: Some(serde_json::from_value(json!("hello")).expect("a name")),
        ..NewUpload::default()
    };
    let ticket = service.engine.create_upload(&Principal::service(), new).await.expect("an upload");
    service.put(&ticket.upload.key, Bytes::from_static(b"x")).await;
    assert_eq!(service.ended(&ticket.upload.key).await[0].status, JobStatus::Completed);
    let all =
        service.engine.jobs(&Principal::service(), JobQuery { limit: 10, ..JobQuery::default() }).await.expect("jobs");
    assert_eq!(all.items.len(), 1, "the other object came first and started nothing");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_nobody_keeps_expires() {
    let service = started(vec![hello()], true, &[]).await;
    let new = NewUpload { filename: "x".into(), ..NewUpload::default() };
    let promised = tokio::time::Instant::now();
    let ticket = service.engine.create_upload(&Principal::service(), new).await.expect("an upload");
    let mut listener = service.engine.listen(Some(0)).await.expect("listener");
    let event = listener.next().await.expect("the feed goes on").expect("an event");
    // a quarter of an hour is its link's, ten minutes are for what is on its way, and a sweep comes along
    let (kept, minute) = (promised.elapsed(), Duration::from_secs(60));
    assert!((25 * minute..26 * minute).contains(&kept), "{kept:?}");
    assert_eq!((event.event.kind.as_str(), event.event.upload.as_ref()), ("upload.expired", Some(&ticket.upload.id)));
    let upload = service.engine.upload(&Principal::service(), &ticket.upload.id).await.expect("the upload");
    assert_eq!(upload.status, UploadStatus::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_upload_request_says_what_is_wrong() {
    let service = started(vec![hello()], true, &[]).await;
    let name = |n: &str| serde_json::from_value(json!(n)).expect("a name");
    let options = json!({ "text": 5 }).as_object().expect("an object").clone();
    let cases: Vec<(NewUpload, &str)> = vec![
        (NewUpload::default(), "filename"),
        (NewUpload { filename: "k".repeat(1024), ..NewUpload::default() }, "filename"),
        (NewUpload { filename: "x".into(), bucket: Some(bucket("nowhere")), ..NewUpload::default() }, "bucket"),
        (NewUpload { filename: "x".into(), rule: Some(name("nope")), ..NewUpload::default() }, "rule"),
        (NewUpload { filename: "x".into(), options: options.clone(), ..NewUpload::default() }, "options"),
        (NewUpload { filename: "x".into(), rule: Some(name("hello")), options, ..NewUpload::default() }, "text"),
        (NewUpload { filename: "x".into(), size: Some(6 << 40), ..NewUpload::default() }, "size"),
        (
            NewUpload {
                filename: "x".into(),
                mode: filemill_core::upload::UploadMode::Multipart,
                ..NewUpload::default()
            },
            "size",
        ),
    ];
    for (new, word) in cases {
        let error = service.engine.create_upload(&Principal::service(), new.clone()).await.expect_err(word);
        assert!(error.to_string().contains(word), "{error}: {new:?}");
    }
    assert!(service.store.snapshot().uploads.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_saw_a_result_finds_it_in_the_list_of_files() {
    let (engine, store) = build(vec![hello()], true, &[]);
    engine.prepare().await.expect("buckets");
    // its announcement is still waiting: nothing else runs here
    let service = Service { engine, store, stops: CancellationToken::new().drop_guard() };
    service.put("new", Bytes::from_static(b"x")).await;
    let files = service
        .engine
        .files(&Principal::service(), FileQuery { limit: 10, ..FileQuery::default() })
        .await
        .expect("files");
    assert_eq!(files.items.iter().map(|file| file.key.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_file_removes_record_and_bytes() {
    let service = started(vec![hello()], true, &[]).await;
    let object = service.put("gone", Bytes::from_static(b"x")).await;
    service.ended("gone").await;
    let id = filemill_core::ids::FileId::of(&object.bucket, &object.key);
    service.engine.delete_file(&Principal::service(), &id).await.expect("deleted");
    assert!(matches!(
        service.engine.file(&Principal::service(), &id).await,
        Err(CommandError::NotFound { what: "file", .. })
    ));
    assert!(service.store.head(&object.bucket, &object.key).await.is_err());
    assert!(
        service.engine.delete_file(&Principal::service(), &id).await.is_err(),
        "a second time there is nothing to delete"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_starts_nothing_and_can_be_retried() {
    let (engine, store) = build(vec![hello()], true, &[]);
    engine.prepare().await.expect("buckets");
    let service = Service { engine: engine.clone(), store, stops: CancellationToken::new().drop_guard() };
    service.put("k", Bytes::from_static(b"x")).await;
    // nothing works yet: the job is born by hand and cancelled while it waits
    let stop = CancellationToken::new();
    let ingested = engine.clone();
    let mut listener = engine.listen(Some(0)).await.expect("listener");
    let token = stop.clone();
    let run = tokio::spawn(async move { ingested.run(token).await });
    while listener.next().await.expect("feed").expect("event").event.kind.as_str() != "job.completed" {}
    stop.cancel();
    run.await.expect("the engine stops");
    let job = service.ended("k").await.remove(0);
    let refused = engine.cancel_job(&Principal::service(), &job.id).await.expect_err("a completed job stays completed");
    assert!(matches!(refused, CommandError::Conflict { code: "not_cancellable", .. }), "{refused}");
    let refused = engine.retry_job(&Principal::service(), &job.id).await.expect_err("a completed job is not retried");
    assert!(matches!(refused, CommandError::Conflict { code: "not_retryable", .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_input_ends_the_older_job_and_the_newest_result_stays() {
    let service = started(vec![hello()], true, &[]).await;
    service.put("k", Bytes::from_static(b"old")).await;
    service.put("k", Bytes::from_static(b"new")).await;
    let jobs = service.ended("k").await;
    assert!(jobs.iter().any(|j| j.status == JobStatus::Completed));
    assert_eq!(service.result("k"), &b"> new"[..]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_key_cannot_be_made_fails_with_the_reason() {
    let mut rule = hello();
    rule["output"]["key"] = "{key}{key}".into();
    let service = started(vec![rule], true, &[]).await;
    service.put(&"k".repeat(600), Bytes::from_static(b"x")).await;
    let jobs = service.ended(&"k".repeat(600)).await;
    assert_eq!(jobs[0].status, JobStatus::Failed);
    assert_eq!(jobs[0].failure.as_ref().expect("a reason").code, "output_key");
    let refused =
        service.engine.retry_job(&Principal::service(), &jobs[0].id).await.expect_err("it would only do harm");
    assert!(matches!(refused, CommandError::Conflict { code: "not_retryable", .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_result_bucket_is_gone_fails_with_the_reason() {
    for content in [Bytes::from_static(b"x"), Bytes::from(vec![b'x'; 3_000_000])] {
        let service = started(vec![hello()], true, &[]).await;
        service.store.delete_bucket(&bucket("results")).await.expect("an empty bucket");
        service.put("k", content).await;
        let jobs = service.ended("k").await;
        assert_eq!(jobs[0].failure.as_ref().expect("a reason").code, "store_changed", "{:?}", jobs[0]);
    }
}

/// However many a job loses in a row, they say nothing about its result.
#[tokio::test(start_paused = true)]
async fn lost_races_do_not_fail_a_job() {
    let service = started(vec![hello()], true, &[]).await;
    service.store.set_faults(FaultPlan { seed: 1, publish_conflict: 0.9, ..FaultPlan::none() });
    for n in 0..10 {
        let name = format!("{n}");
        service.put(&name, vec![b'x'; 1_500_000].into()).await;
        let job = service.ended(&name).await.remove(0);
        assert_eq!((job.status, job.chunks_done), (JobStatus::Completed, 3), "{job:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_parts_were_replaced_fails_with_the_reason() {
    let service = started(vec![hello()], true, &[]).await;
    let store = service.store.clone();
    // looks between any two turns of the others: yielding would look only when none of them is ready
    tokio::spawn(poll_fn(move |context| {
        let Snapshot { mut chunks, jobs, .. } = store.snapshot();
        let Some(chunk) = chunks.pop() else {
            context.waker().wake_by_ref();
            return Poll::Pending;
        };
        let mut stage = store.stage(None).expect("stage");
        stage.write_all(&[b'y'; 700_000]).expect("bytes are taken");
        let (upload, staged) = (jobs[0].gathering().expect("a multipart upload"), stage.finish().expect("staged"));
        let number = chunk.part.expect("a part").number;
        let replaces = store.put_part(&upload, number, staged, None, Checksums::default());
        replaces.now_or_never().expect("at once").expect("another part");
        Poll::Ready(())
    }));
    service.put("k", vec![b'x'; 12 * 700_000].into()).await;
    let job = service.ended("k").await.remove(0);
    let failure = job.failure.as_ref().expect("a reason");
    assert_eq!(failure.code, "result_refused", "{job:?}");
    assert!(failure.message.ends_with("(tried 2 times)"), "{failure:?}");
    assert!(service.store.head(&bucket("results"), &service::key("k")).await.is_err(), "nothing is visible");
}

#[tokio::test(start_paused = true)]
async fn an_older_job_neither_runs_again_nor_gives_a_newer_result_as_its_own() {
    let service = started(vec![hello()], true, &[]).await;
    service.put("k", Bytes::from_static(b"old")).await;
    let old = service.ended("k").await.remove(0);
    service.engine.result_link(&Principal::service(), &old.id).await.expect("its own result");
    service.store.delete_bucket(&bucket("results")).await.expect_err("it holds a result");
    service.put("k", Bytes::from_static(b"new")).await;
    let mut listener = service.engine.listen(Some(0)).await.expect("listener");
    for _ in 0..2 {
        while listener.next().await.expect("feed").expect("event").event.kind.as_str() != "job.completed" {}
    }
    let refused = service.engine.result_link(&Principal::service(), &old.id).await.err().expect("another's result");
    assert!(matches!(refused, CommandError::Conflict { code: "no_result", .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_version_that_was_replaced_is_not_retried() {
    let service = started(vec![hello()], true, &[]).await;
    service.store.delete_bucket(&bucket("results")).await.expect("an empty bucket");
    service.put("k", Bytes::from_static(b"the same")).await;
    let failed = service.ended("k").await.remove(0);
    service.store.create_bucket(&bucket("results")).await.expect("again");
    service.put("k", Bytes::from_static(b"the same")).await;
    let mut listener = service.engine.listen(Some(0)).await.expect("listener");
    while listener.next().await.expect("feed").expect("event").event.kind.as_str() != "job.completed" {}
    let refused = service
        .engine
        .retry_job(&Principal::service(), &failed.id)
        .await
        .expect_err("the newer version has its own job");
    assert!(matches!(refused, CommandError::Conflict { code: "not_retryable", .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_removed_input_fails_its_job_with_the_reason() {
    let service = started(vec![hello()], true, &[]).await;
    let object = service.put("k", Bytes::from_static(b"x")).await;
    service.store.delete(&object.bucket, &object.key, Precondition::None).await.expect("deleted");
    // either the job never was (the removal was seen first) or it says that its input is gone
    let query = JobQuery { limit: 10, ..JobQuery::default() };
    let mut listener = service.engine.listen(Some(0)).await.expect("listener");
    while listener.next().await.expect("feed").expect("event").event.kind.as_str() != "file.removed" {}
    for job in service.engine.jobs(&Principal::service(), query.clone()).await.expect("jobs").items {
        let job = service.ended(&job.input.key).await.remove(0);
        assert_eq!(job.failure.expect("a reason").code, "input_gone");
    }
}

#[tokio::test(start_paused = true)]
async fn every_job_that_ends_is_counted_once_however_it_ends() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counts_here = metrics::set_default_local_recorder(&recorder);
    let counted = |status: &str| {
        let text = recorder.handle().render();
        let line = format!("filemill_jobs_total{{rule=\"hello\",status=\"{status}\"}} ");
        text.lines().find_map(|l| l.strip_prefix(&line)).map_or(0, |count| count.parse::<u32>().expect("a count"))
    };
    let mut rule = hello();
    rule["output"]["key"] = "{key}{key}".into();
    let service = started(vec![rule], true, &[]).await;
    service.put("done", Bytes::from_static(b"x")).await;
    service.ended("done").await;
    let too_long = "k".repeat(600);
    service.put(&too_long, Bytes::from_static(b"x")).await;
    service.ended(&too_long).await;
    assert_eq!(["completed", "failed", "cancelled"].map(counted), [1, 1, 0], "one of them was born failed");

    for name in ["cancelled", "replaced", "removed"] {
        service.put(name, Bytes::from_static(b"x")).await;
    }
    // work waits, orders do not
    service.store.set_room(Some(0));
    let mut listener = service.engine.listen(None).await.expect("listener");
    while service.store.snapshot().jobs.len() < 5 {
        listener.next().await.expect("feed").expect("event");
    }
    let waiting = JobQuery { key: Some("cancelled".into()), limit: 1, ..JobQuery::default() };
    let job = service.engine.jobs(&Principal::service(), waiting).await.expect("jobs").items.remove(0);
    service.engine.cancel_job(&Principal::service(), &job.id).await.expect("cancelled");
    service.store.delete(&bucket("uploads"), &service::key("removed"), Precondition::None).await.expect("deleted");
    service.ended("removed").await;
    assert_eq!(["completed", "failed", "cancelled"].map(counted), [1, 2, 1]);
    service.store.set_room(None);
    service.put("replaced", Bytes::from_static(b"y")).await;
    service.ended("replaced").await;
    let of_snapshot = |status| service.store.snapshot().jobs.iter().filter(|job| job.status == status).count();
    let there = [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled].map(of_snapshot);
    assert_eq!(["completed", "failed", "cancelled"].map(|status| counted(status) as usize), there);
}

#[tokio::test(start_paused = true)]
async fn delete_source_removes_the_input_after_the_result() {
    let mut rule = hello();
    rule["delete_source"] = true.into();
    let service = started(vec![rule], true, &[]).await;
    let object = service.put("k", Bytes::from_static(b"x")).await;
    let mut listener = service.engine.listen(Some(0)).await.expect("listener");
    while listener.next().await.expect("feed").expect("event").event.kind.as_str() != "file.removed" {}
    assert!(service.store.head(&object.bucket, &object.key).await.is_err());
    assert_eq!(service.result("k"), &b"> x"[..]);
}

/// Of two rules on one object the faster one must not take the input away from the slower, or from one that failed.
#[tokio::test(start_paused = true)]
async fn delete_source_waits_for_all_jobs_of_the_object() {
    let (mut deleting, mut other) = (hello(), hello());
    deleting["delete_source"] = true.into();
    other["id"] = "other".into();
    other["output"]["key"] = "other/{key}".into();
    let name = "k".repeat(1020);
    for (name, is_kept) in [("k", false), (name.as_str(), true)] {
        let service = started(vec![deleting.clone(), other.clone()], true, &[]).await;
        let object = service.put(name, Bytes::from_static(b"x")).await;
        let jobs = service.ended(name).await;
        // the second name is too long for the other rule's key
        assert_eq!(jobs.iter().any(|j| j.status == JobStatus::Failed), is_kept, "{jobs:?}");
        let mut listener = service.engine.listen(Some(0)).await.expect("listener");
        let removed = async {
            while listener.next().await.expect("feed").expect("event").event.kind.as_str() != "file.removed" {}
        };
        let is_removed = tokio::time::timeout(Duration::from_secs(600), removed).await.is_ok();
        assert_eq!(is_removed, !is_kept);
        assert_eq!(service.store.head(&object.bucket, &object.key).await.is_ok(), is_kept);
        assert!(jobs.iter().filter(|j| j.status == JobStatus::Completed).count() == if is_kept { 1 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_each_stored_event_once_and_in_order() {
    let service = started(vec![hello()], true, &[]).await;
    let mut live = service.engine.listen(None).await.expect("listener");
    for name in ["a", "b", "c"] {
        service.put(name, Bytes::from_static(b"x")).await;
        service.ended(name).await;
    }
    let mut replay = service.engine.listen(Some(0)).await.expect("listener");
    let interest = Interest::default();
    let (mut heard, mut replayed) = (Vec::new(), Vec::new());
    let last = service.store.snapshot().events.last().expect("events").0;
    for (listener, list) in [(&mut live, &mut heard), (&mut replay, &mut replayed)] {
        while list.last() != Some(&last) {
            let event = listener.next().await.expect("feed").expect("event");
            assert!(interest.takes(&event.event));
            list.extend(event.seq);
        }
    }
    assert_eq!(heard, replayed);
    assert!(heard.is_sorted_by(|a, b| a < b));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_cannot_run_is_refused_when_loaded() {
    let clock = Arc::new(SimClock::new());
    let store = Arc::new(MemoryStore::new(clock.clone(), MemoryOptions::default()));
    let ports = Ports {
        blobs: store.clone(),
        state: store.clone(),
        queue: store.clone(),
        messages: store,
        notifier: Arc::new(filemill_core::ports::NoNotifier),
        clock,
        processors: Registry::new(filemill_processors::ALL.iter().copied()),
        compute: Compute::Inline,
        chance: Chance::from_seed(1),
    };
    for (path, value, says) in [
        ("/process/kind", json!("nope"), "no processor"),
        ("/process/text", json!(5), "expected a string"),
        ("/output/bucket", json!("uploads"), "overwrite its own input"),
    ] {
        let mut rule = hello();
        *rule.pointer_mut(path).expect(path) = value;
        let rules = RuleSet::new(vec![serde_json::from_value(rule).expect("a rule")]).expect("rules");
        let config = EngineConfig::new("w".into(), bucket("uploads"), rules);
        let error = Engine::new(ports.clone(), config).err().expect("refused");
        assert!(error.to_string().contains(says), "{error}");
    }
    let mut circle = hello();
    circle["output"] = json!({ "bucket": "uploads", "key": "done/{key}" });
    circle["max_generation"] = 2.into();
    let rules = RuleSet::new(vec![serde_json::from_value(circle).expect("a rule")]).expect("rules");
    let error = Engine::new(ports, EngineConfig::new("w".into(), bucket("uploads"), rules)).err().expect("refused");
    assert!(error.to_string().contains("can start it again"), "{error}");
}

/// The store has room for a claim and none for what the step makes: given back as often as it takes, and never counted.
#[tokio::test(start_paused = true)]
async fn work_without_room_waits_and_no_attempt_is_counted() {
    for (publishes, room) in [(true, 5), (false, 5), (true, 0)] {
        let service = started(vec![hello()], publishes, &[]).await;
        let content: Bytes = "a line\n".repeat(300_000).into();
        service.put("large", content.clone()).await;
        service.put("small", "a line\n".into()).await;
        service.store.set_room(Some(room));
        let calls = service.store.calls();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(service.store.calls() - calls < 3000, "it spins");
        service.store.set_room(None);
        for (name, tasks) in [("large", 3 + 2), ("small", 1)] {
            let job = service.ended(name).await.remove(0);
            assert_eq!((job.status, job.attempts), (JobStatus::Completed, tasks), "{name}: {:?}", job.failure);
        }
        assert!(service.result("large") == sed(&content));
    }
}
