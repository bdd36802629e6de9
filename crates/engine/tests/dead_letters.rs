//! Tasks that give up, what they leave, and how they are put back to work.

mod service;

use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::audit::Actor;
use filemill_core::chunks::Cut;
use filemill_core::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterStatus};
use filemill_core::ids::RedriveId;
use filemill_core::job::{Job, JobStatus};
use filemill_core::limits;
use filemill_core::ports::{
    BlobStore, Chunk, ChunkReport, FileQuery, InputFacts, Precondition, ProcessError, Processor, ProcessorSpec,
    Transform, Work,
};
use filemill_core::redrive::{RedriveManner, RedriveStatus};
use filemill_core::task::TaskError;
use filemill_engine::{CommandError, Engine, NewRedrive};
use filemill_memory::{FaultPlan, MemoryOptions, MemoryStore, SimClock};
use serde_json::{Map, Value, json};
use service::{Service, bucket, engine_on, key, running, started};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Copies its input; a chunk that holds an `X` fails until it is mended.
#[derive(Default)]
struct Fragile {
    mended: AtomicBool,
    chunks_worked_on: AtomicU32,
}

static SPEC: ProcessorSpec =
    ProcessorSpec { kind: Cow::Borrowed("fragile"), summary: Cow::Borrowed("Fails at X."), options: &[] };

impl Processor for &'static Fragile {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        let mends = options.get("mends").is_some_and(|mends| mends == true);
        let worsens = options.get("worsens").is_some_and(|worsens| worsens == true);
        if options.keys().any(|name| name != "mends" && name != "worsens") {
            return Err("there are only the options mends and worsens".into());
        }
        Ok(Box::new(Copying { of: self, mends, worsens }))
    }
}

struct Copying {
    of: &'static Fragile,
    mends: bool,
    worsens: bool,
}

impl Transform for Copying {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Anywhere
    }

    fn process(&self, _chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        self.of.chunks_worked_on.fetch_add(1, Ordering::SeqCst);
        let mut content = Vec::new();
        work.input.read_to_end(&mut content)?;
        if self.worsens {
            return Err(ProcessError::Failed(TaskError::permanent("worse", "it cannot be done at all")));
        }
        if content.contains(&b'X') && !self.mends && !self.of.mended.load(Ordering::SeqCst) {
            return Err(ProcessError::Failed(TaskError::transient("fragile", "there was an X at byte 12")));
        }
        work.output.write_all(&content)?;
        Ok(ChunkReport::default())
    }
}

/// A rule that is fragile, its processor, and the switch that mends it.
fn fragile(attempts: u32) -> (Value, &'static dyn Processor, &'static Fragile) {
    let fragile: &'static Fragile = Box::leak(Box::default());
    let processor: &'static dyn Processor = Box::leak(Box::new(fragile));
    let rule = json!({
        "id": "copy", "from": "uploads", "process": { "kind": "fragile" }, "output": { "bucket": "results" },
        "retry": { "attempts": attempts, "backoff": "1s..1s" },
    });
    (rule, processor, fragile)
}

/// A service with that rule alone.
async fn fragile_service(attempts: u32) -> (Service, &'static Fragile) {
    let (rule, processor, fragile) = fragile(attempts);
    (started(vec![rule], true, &[processor]).await, fragile)
}

/// Five chunks; the third holds an X.
fn large() -> Bytes {
    let mut content: Vec<u8> = (0..3_000_000u32).map(|i| if i % 61 == 0 { b'\n' } else { b'a' }).collect();
    content[1_500_000] = b'X';
    content.into()
}

fn operator() -> Principal {
    Principal::unlimited(Actor::named("night shift"))
}

fn dead() -> DeadLetterFilter {
    DeadLetterFilter { status: Some(DeadLetterStatus::Dead), ..DeadLetterFilter::default() }
}

async fn letters(engine: &Engine, filter: &DeadLetterFilter) -> Vec<DeadLetter> {
    engine.dead_letters(&Principal::service(), filter, None, 1000).await.expect("letters").items
}

/// All that was announced is recorded: the list of files does it first.
async fn ingested(engine: &Engine) {
    engine.files(&Principal::service(), FileQuery { limit: 1, ..FileQuery::default() }).await.expect("files");
}

async fn only_letter(engine: &Engine) -> DeadLetter {
    let mut letters = letters(engine, &dead()).await;
    assert_eq!(letters.len(), 1);
    letters.remove(0)
}

async fn redrive(engine: &Engine, letter: &DeadLetter) -> Result<Job, CommandError> {
    engine.redrive_dead_letter(&operator(), &letter.id, &RedriveManner::default()).await
}

#[tokio::test(start_paused = true)]
async fn a_redrive_does_only_the_chunks_that_failed() {
    let (service, fragile) = fragile_service(3).await;
    service.put("big", large()).await;
    let failed = service.ended("big").await.remove(0);
    let letter = only_letter(&service.engine).await;
    assert_eq!((failed.status, failed.dead_letter.as_ref()), (JobStatus::Failed, Some(&letter.id)));
    assert_eq!((letter.task.index, letter.attempts.len(), letter.error.code.as_str()), (2, 3, "fragile"));
    assert!(letter.attempts.iter().all(|a| a.claim.worker == "worker" && a.error.is_some()));
    assert_eq!(failed.chunks_done, 4, "the others were done meanwhile");

    fragile.mended.store(true, Ordering::SeqCst);
    let before = fragile.chunks_worked_on.load(Ordering::SeqCst);
    let open = redrive(&service.engine, &letter).await.expect("redriven");
    assert_eq!((open.status, open.run, open.failure), (JobStatus::Running, 1, None));
    let done = service.ended("big").await.remove(0);
    assert_eq!((done.status, done.chunks_done), (JobStatus::Completed, 5));
    assert_eq!(fragile.chunks_worked_on.load(Ordering::SeqCst) - before, 1, "one chunk was left to do");
    assert!(service.result("big") == large());
    assert!(service.store.snapshot().multiparts.is_empty(), "no parts are left");

    let ended = service.engine.dead_letter(&Principal::service(), &letter.id).await.expect("the letter is kept");
    let end = ended.ended.expect("an end");
    assert_eq!((ended.status, end.by.as_str(), end.run), (DeadLetterStatus::Redriven, "night shift", Some(1)));
    assert!(letters(&service.engine, &dead()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn kept_chunks_go_after_a_day_and_a_redrive_then_starts_over() {
    let (service, fragile) = fragile_service(2).await;
    service.put("big", large()).await;
    service.ended("big").await;
    service.engine.sweep().await.expect("sweep");
    assert_eq!(service.store.snapshot().multiparts.len(), 1, "kept");
    tokio::time::sleep(limits::RESUMABLE_FOR + Duration::from_secs(60)).await;
    service.engine.sweep().await.expect("sweep");
    let snapshot = service.store.snapshot();
    assert!(snapshot.multiparts.is_empty() && snapshot.parts.is_empty() && snapshot.chunks.is_empty(), "all gone");
    let original = service.store.head(&bucket("uploads"), &key("big")).await.expect("the original stays");
    assert_eq!(original.size, 3_000_000);
    fragile.mended.store(true, Ordering::SeqCst);
    let letter = only_letter(&service.engine).await;
    assert_eq!(letter.resumable_until, None);
    assert_eq!(redrive(&service.engine, &letter).await.expect("redriven").run, 2);
    assert_eq!(service.ended("big").await[0].status, JobStatus::Completed);
    assert!(service.result("big") == large());
}

#[tokio::test(start_paused = true)]
async fn a_letter_whose_cause_remains_dies_again_with_a_new_one() {
    let (service, _) = fragile_service(2).await;
    service.put("a", Bytes::from_static(b"X")).await;
    service.ended("a").await;
    let first = only_letter(&service.engine).await;
    redrive(&service.engine, &first).await.expect("redriven");
    service.ended("a").await;
    let second = only_letter(&service.engine).await;
    assert_ne!(first.id, second.id);
    assert_eq!((second.attempts.len(), &second.fingerprint), (2, &first.fingerprint), "counted from the start");
    let refused = redrive(&service.engine, &first).await.expect_err("it was redriven already");
    assert!(matches!(refused, CommandError::Conflict { code: "not_dead", .. }), "{refused}");
}

/// Else nobody would find it again: the letter is ended, and a job that fails for good has none.
#[tokio::test(start_paused = true)]
async fn what_fails_for_good_after_a_redrive_is_a_letter_again() {
    let (service, _) = fragile_service(2).await;
    service.put("a", Bytes::from_static(b"X")).await;
    service.ended("a").await;
    let first = only_letter(&service.engine).await;
    let options = json!({ "worsens": true }).as_object().cloned().expect("an object");
    let manner = RedriveManner { options, from_start: false };
    service.engine.redrive_dead_letter(&operator(), &first.id, &manner).await.expect("redriven");
    let failed = service.ended("a").await.remove(0);
    let second = only_letter(&service.engine).await;
    assert_eq!((second.error.code.as_str(), second.attempts.len()), ("worse", 1), "and it was not tried twice");
    assert_eq!(failed.dead_letter, Some(second.id));
}

#[tokio::test(start_paused = true)]
async fn a_service_without_the_processor_ends_no_letter_and_no_job_for_good() {
    let (rule, processor, _) = fragile(2);
    let clock = Arc::new(SimClock::new());
    let store = Arc::new(MemoryStore::new(clock.clone(), MemoryOptions { publishes: true, ..Default::default() }));
    let with = running(engine_on(&store, clock.clone(), vec![rule], &[processor]), store.clone()).await;
    with.put("a", Bytes::from_static(b"X")).await;
    with.ended("a").await;
    let engine = with.engine.clone();
    drop(with);
    redrive(&engine, &only_letter(&engine).await).await.expect("redriven");

    let without = running(engine_on(&store, clock, Vec::new(), &[]), store).await;
    let failed = without.ended("a").await.remove(0);
    let letter = only_letter(&without.engine).await;
    assert_eq!((letter.error.code.as_str(), letter.attempts.len()), ("no_processor", 2));
    let told = failed.failure.expect("a reason").message;
    assert_eq!(told, "this service has no processor \"fragile\" now (tried 2 times)", "nobody else's are named");

    let refused = redrive(&without.engine, &letter).await.expect_err("it would only die again");
    assert!(matches!(refused, CommandError::Conflict { code: "no_processor", .. }), "{refused}");
    assert_eq!(only_letter(&without.engine).await.id, letter.id);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_the_job_ends_its_letter() {
    let (service, fragile) = fragile_service(1).await;
    service.put("big", large()).await;
    let failed = service.ended("big").await.remove(0);
    fragile.mended.store(true, Ordering::SeqCst);
    let open = service.engine.retry_job(&operator(), &failed.id).await.expect("retried");
    assert_eq!((open.run, open.dead_letter.as_ref()), (2, None));
    assert!(letters(&service.engine, &dead()).await.is_empty());
    assert_eq!(service.ended("big").await[0].status, JobStatus::Completed);
    assert!(service.store.snapshot().multiparts.is_empty(), "the parts of the first run are gone");
}

#[tokio::test(start_paused = true)]
async fn a_copy_may_have_other_options() {
    let (service, _) = fragile_service(1).await;
    service.put("big", large()).await;
    service.ended("big").await;
    let letter = only_letter(&service.engine).await;
    let with = |name: &str| {
        let options = json!({ name: true }).as_object().cloned().expect("an object");
        RedriveManner { options, from_start: false }
    };
    let wrong = service.engine.redrive_dead_letter(&operator(), &letter.id, &with("mend")).await;
    assert!(matches!(wrong, Err(CommandError::Invalid { field: "options", .. })), "{wrong:?}");
    let named = DeadLetterFilter { ids: vec![letter.id.clone()], ..DeadLetterFilter::default() };
    for filter in [dead(), named] {
        let wrong = service.engine.count_redrive(&operator(), &filter, &with("mend")).await;
        assert!(matches!(wrong, Err(CommandError::Invalid { field: "options", .. })), "{wrong:?}");
        let right = service.engine.count_redrive(&operator(), &filter, &with("mends")).await;
        assert_eq!(right.expect("a count"), 1);
    }
    service.engine.redrive_dead_letter(&operator(), &letter.id, &with("mends")).await.expect("redriven");
    let done = service.ended("big").await.remove(0);
    assert_eq!((done.status, done.run, &done.process.options["mends"]), (JobStatus::Completed, 2, &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_discarded_letter_keeps_nothing() {
    let (service, _) = fragile_service(1).await;
    service.put("big", large()).await;
    service.ended("big").await;
    let letter = only_letter(&service.engine).await;
    service.engine.discard_dead_letter(&operator(), &letter.id).await.expect("discarded");
    assert!(service.store.snapshot().multiparts.is_empty());
    let again = service.engine.discard_dead_letter(&operator(), &letter.id).await.expect_err("once");
    assert!(matches!(again, CommandError::Conflict { code: "not_dead", .. }), "{again}");
    let log = service
        .engine
        .audit_log(&Principal::service(), &filemill_engine::AuditQuery { limit: 10, ..Default::default() })
        .await;
    let log = log.expect("audit log").items;
    assert_eq!(log.len(), 1, "what was refused is not in it");
    assert_eq!((log[0].action.as_str(), log[0].target.as_str()), ("dead.discard", letter.id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn letters_are_grouped_by_what_went_wrong() {
    let (service, _) = fragile_service(1).await;
    for name in ["a", "b", "c"] {
        service.put(name, Bytes::from_static(b"X")).await;
        service.ended(name).await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let groups = service.engine.dead_letter_groups(&Principal::service(), &dead(), 10).await.expect("groups");
    assert_eq!((groups.len(), groups[0].count), (1, 3));
    assert_eq!((groups[0].oldest.key.as_str(), groups[0].newest.key.as_str()), ("a", "c"));
    let of_b = DeadLetterFilter { key: Some("b*".into()), ..dead() };
    assert_eq!(letters(&service.engine, &of_b).await.len(), 1);
    let over = DeadLetterFilter { status: Some(DeadLetterStatus::Redriven), ..of_b.clone() };
    for refused in [
        service.engine.discard_dead_letters(&operator(), &over).await,
        service.engine.count_redrive(&operator(), &over, &RedriveManner::default()).await,
    ] {
        assert!(matches!(refused, Err(CommandError::Invalid { field: "filter.status", .. })), "{refused:?}");
    }
    assert_eq!(service.engine.discard_dead_letters(&operator(), &of_b).await.expect("discarded"), 1);
    assert_eq!(service.engine.count_dead_letters(&Principal::service(), &dead()).await.expect("a count"), 2);
}

/// Orders for all dead letters, given at once and worked on by whoever comes; then one more engine in the middle.
#[tokio::test(start_paused = true)]
async fn of_a_redrive_ordered_twice_each_letter_runs_once_more() {
    const COUNT: usize = 40;
    let (service, fragile) = fragile_service(1).await;
    for n in 0..COUNT {
        service.put(&format!("{n:02}"), Bytes::from_static(b"X")).await;
    }
    for n in 0..COUNT {
        service.ended(&format!("{n:02}")).await;
    }
    service.put("07", Bytes::from_static(b"newer")).await;
    ingested(&service.engine).await;
    fragile.mended.store(true, Ordering::SeqCst);
    let order = |rate| NewRedrive { rate: Some(rate), ..NewRedrive::default() };
    let count = service.engine.count_redrive(&Principal::service(), &dead(), &RedriveManner::default()).await;
    assert_eq!(count.expect("a count"), COUNT as u64);
    let (day, night) = (operator(), operator());
    let (one, two) =
        tokio::join!(service.engine.create_redrive(&day, order(3)), service.engine.create_redrive(&night, order(5)),);
    let (one, two) = (one.expect("one").order.id, two.expect("two").order.id);
    let (one, two) = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let progress = (
            service.engine.redrive(&Principal::service(), &one).await.expect("one"),
            service.engine.redrive(&Principal::service(), &two).await.expect("two"),
        );
        let is_done = |p: &filemill_engine::RedriveProgress| p.order.status == RedriveStatus::Done;
        if is_done(&progress.0) && is_done(&progress.1) {
            break progress;
        }
    };
    assert_eq!(one.redriven + two.redriven, COUNT as u64 - 1, "{one:?} {two:?}");
    assert!(one.order.skipped_because.or(two.order.skipped_because).expect("why").contains("replaced by a newer"));
    for n in (0..COUNT).filter(|n| *n != 7) {
        let job = service.ended(&format!("{n:02}")).await.remove(0);
        assert_eq!((job.status, job.run), (JobStatus::Completed, 2), "{n}");
    }
    assert_eq!(letters(&service.engine, &dead()).await.len(), 1, "the replaced file's stays");
}

#[tokio::test(start_paused = true)]
async fn a_redrive_keeps_its_rate_and_can_be_cancelled() {
    let (service, _) = fragile_service(1).await;
    for n in 0..20 {
        service.put(&format!("{n:02}"), Bytes::from_static(b"X")).await;
        service.ended(&format!("{n:02}")).await;
    }
    let wrong = NewRedrive { rate: Some(0), ..NewRedrive::default() };
    assert!(service.engine.create_redrive(&operator(), wrong).await.is_err());
    let order = NewRedrive { rate: Some(2), ..NewRedrive::default() };
    let id = service.engine.create_redrive(&operator(), order).await.expect("ordered").order.id;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let cancelled = service.engine.cancel_redrive(&operator(), &id).await.expect("cancelled");
    assert!((4..=10).contains(&cancelled.redriven), "{cancelled:?}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        service.engine.redrive(&Principal::service(), &id).await.expect("it").redriven,
        cancelled.redriven,
        "nothing follows"
    );
    assert!(service.engine.cancel_redrive(&operator(), &id).await.is_err(), "once");
}

/// Answers an order for all of `count` letters, of which it has begun with some.
async fn begun_redrive(service: &Service, fragile: &Fragile, count: usize) -> RedriveId {
    for n in 0..count {
        service.put(&format!("{n:02}"), Bytes::from_static(b"X")).await;
        service.ended(&format!("{n:02}")).await;
    }
    fragile.mended.store(true, Ordering::SeqCst);
    let order = NewRedrive { rate: Some(2), ..NewRedrive::default() };
    let id = service.engine.create_redrive(&operator(), order).await.expect("ordered").order.id;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let begun = service.engine.redrive(&Principal::service(), &id).await.expect("it");
    assert!((1..count as u64).contains(&begun.redriven), "{begun:?}");
    id
}

/// A full disk says nothing of a letter: what could not be put back to work then is afterwards.
#[tokio::test(start_paused = true)]
async fn a_redrive_passes_no_letter_over_while_the_store_is_full() {
    let (service, fragile) = fragile_service(1).await;
    let id = begun_redrive(&service, fragile, 12).await;
    // what is left is enough for the order itself, now and then
    service.store.set_faults(FaultPlan { seed: 1, full: 0.5, ..FaultPlan::none() });
    tokio::time::sleep(Duration::from_secs(30)).await;
    service.store.set_faults(FaultPlan::none());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let done = service.engine.redrive(&Principal::service(), &id).await.expect("it");
    assert_eq!((done.order.status, done.order.skipped), (RedriveStatus::Done, 0), "{:?}", done.order.skipped_because);
    assert_eq!(done.redriven, 12);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_goes_on_when_the_clock_is_set() {
    for hours in [-1, 1] {
        let clock = Arc::new(SimClock::new());
        let (rule, processor, fragile) = fragile(1);
        let store = Arc::new(MemoryStore::new(clock.clone(), MemoryOptions::default()));
        let service = running(engine_on(&store, clock.clone(), vec![rule], &[processor]), store).await;
        let id = begun_redrive(&service, fragile, 12).await;
        clock.set(hours * 3_600_000);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let done = service.engine.redrive(&Principal::service(), &id).await.expect("it");
        assert_eq!((done.order.status, done.redriven), (RedriveStatus::Done, 12), "set by {hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn named_letters_are_redriven_and_only_they() {
    let (service, fragile) = fragile_service(1).await;
    for name in ["a", "b", "c"] {
        service.put(name, Bytes::from_static(b"X")).await;
        service.ended(name).await;
    }
    fragile.mended.store(true, Ordering::SeqCst);
    let named = letters(&service.engine, &dead()).await.into_iter().filter(|l| l.key.as_str() != "b").map(|l| l.id);
    let ids = DeadLetterFilter { ids: named.collect(), ..DeadLetterFilter::default() };
    let mixed = DeadLetterFilter { key: Some("a".into()), ..ids.clone() };
    let refused = service.engine.create_redrive(&operator(), NewRedrive { filter: mixed, ..Default::default() }).await;
    assert!(matches!(refused, Err(CommandError::Invalid { field: "ids", .. })), "{refused:?}");
    let order = NewRedrive { filter: ids, rate: Some(1), ..NewRedrive::default() };
    let id = service.engine.create_redrive(&operator(), order).await.expect("ordered").order.id;
    while service.engine.redrive(&Principal::service(), &id).await.expect("it").order.status != RedriveStatus::Done {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(only_letter(&service.engine).await.key.as_str(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_a_file_that_is_gone_says_so() {
    let (service, _) = fragile_service(1).await;
    service.put("a", Bytes::from_static(b"X")).await;
    service.ended("a").await;
    let letter = only_letter(&service.engine).await;
    service.store.delete(&bucket("uploads"), &key("a"), Precondition::None).await.expect("deleted");
    ingested(&service.engine).await;
    let refused = redrive(&service.engine, &letter).await.expect_err("gone");
    assert!(refused.to_string().contains("was removed or replaced"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn letters_and_what_was_ordered_of_them_go_when_they_are_old() {
    let (service, _) = fragile_service(1).await;
    let day = Duration::from_secs(86_400);
    service.put("old", Bytes::from_static(b"X")).await;
    service.ended("old").await;
    let order = NewRedrive { filter: DeadLetterFilter { key: Some("none".into()), ..dead() }, ..NewRedrive::default() };
    service.engine.create_redrive(&operator(), order).await.expect("ordered");
    tokio::time::sleep(day * 10).await;
    service.put("new", Bytes::from_static(b"X")).await;
    service.ended("new").await;
    tokio::time::sleep(day * 5).await;
    service.engine.sweep().await.expect("sweep");
    assert_eq!(only_letter(&service.engine).await.key.as_str(), "new", "fourteen days are kept");
    assert!(service.engine.redrives(&Principal::service(), None, 10).await.expect("orders").items.is_empty());
    let log = filemill_engine::AuditQuery { limit: 10, ..Default::default() };
    assert_eq!(
        service.engine.audit_log(&Principal::service(), &log).await.expect("log").items.len(),
        1,
        "the audit log is kept for a year"
    );
}
