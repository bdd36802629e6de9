//! Deliveries on the memory adapter in simulated time: a receiver that is down, flapping, slow, or gone; order, repeats,
//! and what a person can do.

use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::alarm::AlarmRule;
use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::limits;
use filemill_core::notice::{NoticeKind, Receiver};
use filemill_core::notify::{NotifyRule, NotifyRules};
use filemill_core::object::{Attributes, BucketName, ObjectKey};
use filemill_core::ports::{
    BlobStore, Change, ChangeSet, Clock, Durability, Notifier, NotifyError, Parcel, Precondition, PutObject, StateStore,
};
use filemill_core::record::Recorded;
use filemill_core::rule::{Name, RuleSet};
use filemill_core::time::Timestamp;
use filemill_engine::{Chance, Compute, DeliveryQuery, Engine, EngineConfig, Ports, Registry};
use filemill_memory::{MemoryOptions, MemoryStore, SimClock};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Behaviour = Box<dyn Fn(&Parcel, Duration) -> (Duration, Result<(), NotifyError>) + Send + Sync>;

/// Receivers that behave as a test says, by the time since the start. Notes every call.
struct Receivers {
    clock: Arc<SimClock>,
    start: Timestamp,
    behave: Behaviour,
    calls: Mutex<Vec<Call>>,
}

#[derive(Clone, Debug)]
struct Call {
    at: Duration,
    lane: String,
    notice: String,
    about: String,
    key: String,
    took: bool,
}

#[async_trait::async_trait]
impl Notifier for Receivers {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), NotifyError> {
        let at = self.clock.now().since(self.start);
        let (takes, outcome) = (self.behave)(parcel, at);
        // taken before it is answered: a caller that dies meanwhile never knows
        for notice in &parcel.notices {
            self.calls.lock().expect("calls").push(Call {
                at,
                lane: parcel.receiver.lane(),
                notice: notice.id.to_string(),
                about: notice.about.clone(),
                key: parcel.idempotency_key.clone(),
                took: outcome.is_ok(),
            });
        }
        self.clock.sleep(takes).await;
        outcome
    }

    fn receiver_of_upload(&self, _: &str) -> Result<Receiver, String> {
        Err("no".into())
    }
}

struct Service {
    engine: Engine,
    store: Arc<MemoryStore>,
    receivers: Arc<Receivers>,
    clock: Arc<SimClock>,
    running: Option<JoinHandle<()>>,
}

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

fn hook(name: &str) -> Receiver {
    Receiver::Webhook { name: Name::parse(name).expect(name) }
}

fn email() -> Receiver {
    Receiver::Email { to: filemill_core::notice::EmailAddress::parse("ops@example.org").expect("an address") }
}

/// Jobs of keys that end in `.bad` fail, others complete.
async fn service(told: &[Receiver], behave: Behaviour) -> Service {
    service_with(told, Vec::new(), behave).await
}

async fn service_with(told: &[Receiver], alarms: Vec<AlarmRule>, behave: Behaviour) -> Service {
    let rule = json!({ "id": "json", "from": "uploads", "process": { "kind": "json.to_jsonl" },
        "output": { "bucket": "results" } });
    service_of(vec![rule], told, alarms, behave).await
}

async fn service_of(rules: Vec<Value>, told: &[Receiver], alarms: Vec<AlarmRule>, behave: Behaviour) -> Service {
    let clock = Arc::new(SimClock::new());
    let store = Arc::new(MemoryStore::new(clock.clone(), MemoryOptions::default()));
    let receivers = Arc::new(Receivers { clock: clock.clone(), start: clock.now(), behave, calls: Mutex::default() });
    let engine = engine_on(&store, &receivers, config(rules, told, alarms));
    engine.prepare().await.expect("buckets");
    let mut service = Service { engine, store, receivers, clock, running: None };
    service.start();
    service
}

fn config(rules: Vec<Value>, told: &[Receiver], alarms: Vec<AlarmRule>) -> EngineConfig {
    let rules = rules.into_iter().map(|rule| serde_json::from_value(rule).expect("a rule")).collect();
    let mut config = EngineConfig::new("worker".into(), bucket("uploads"), RuleSet::new(rules).expect("rules"));
    let on = vec![NoticeKind::JobCompleted, NoticeKind::JobFailed];
    let rule =
        |receiver: &Receiver| NotifyRule { on: on.clone(), receiver: receiver.clone(), rule: None, bucket: None };
    config.notify = NotifyRules::new(told.iter().map(rule).collect()).expect("few");
    config.alarms = alarms;
    config
}

fn engine_on(store: &Arc<MemoryStore>, receivers: &Arc<Receivers>, config: EngineConfig) -> Engine {
    let ports = Ports {
        blobs: store.clone(),
        state: store.clone(),
        queue: store.clone(),
        messages: store.clone(),
        notifier: receivers.clone(),
        clock: receivers.clock.clone(),
        processors: Registry::new(filemill_processors::ALL.iter().copied()),
        compute: Compute::Inline,
        chance: Chance::from_seed(1),
    };
    Engine::new(ports, config).expect("config")
}

impl Service {
    fn start(&mut self) {
        let engine = self.engine.clone();
        self.running = Some(tokio::spawn(async move { engine.run(CancellationToken::new()).await }));
    }

    /// The service dies where it stands, and the store loses what was not synced.
    async fn crash(&mut self) {
        let running = self.running.take().expect("it runs");
        running.abort();
        assert!(running.await.is_err_and(|e| e.is_cancelled()));
        self.store.crash();
    }

    async fn put(&self, name: &str) {
        let content: &'static [u8] = if name.ends_with(".bad") { b"{" } else { b"[1]" };
        let mut stage = self.store.stage(None).expect("stage");
        stage.write_all(&Bytes::from_static(content)).expect("bytes are taken");
        let put = PutObject {
            bucket: bucket("uploads"),
            key: ObjectKey::parse(name).expect(name),
            attributes: Attributes::default(),
            checksums: Default::default(),
            etag: None,
            condition: Precondition::None,
        };
        self.store.put(put, stage.finish().expect("staged"), Durability::Synced).await.expect("put");
    }

    async fn all(&self) -> Vec<Delivery> {
        let query = DeliveryQuery { limit: 1000, ..DeliveryQuery::default() };
        let mut all = self.engine.deliveries(&Principal::service(), &query).await.expect("deliveries").items;
        all.reverse();
        all
    }

    /// Everything until this time since the start has happened.
    async fn until(&self, time: Duration) {
        let passed = self.clock.now().since(self.receivers.start);
        self.clock.sleep(time.saturating_sub(passed)).await;
    }

    fn calls(&self) -> Vec<Call> {
        self.receivers.calls.lock().expect("calls").clone()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn down() -> Result<(), NotifyError> {
    Err(NotifyError::transient("status 500"))
}

fn always(outcome: fn(&Parcel, Duration) -> Result<(), NotifyError>) -> Behaviour {
    Box::new(move |parcel, at| (SECOND / 10, outcome(parcel, at)))
}

/// The time of the last success, if each notice was taken exactly once and came with the same id and key in every try.
fn last_success(calls: &[Call], notices: usize) -> Duration {
    let taken: Vec<&Call> = calls.iter().filter(|call| call.took).collect();
    let ids: std::collections::BTreeSet<_> = taken.iter().map(|call| (&call.lane, &call.notice)).collect();
    assert_eq!((taken.len(), ids.len()), (notices, notices), "{calls:?}");
    for call in calls {
        let same = taken.iter().find(|t| t.notice == call.notice && t.lane == call.lane).expect("it was taken");
        assert_eq!(same.key, call.key, "a repeat has the same key");
    }
    taken.iter().map(|call| call.at).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn more_notices_than_one_commit_holds_are_all_told() {
    let fails_at_birth = |number: usize| {
        json!({ "id": format!("too-long-{number}"), "from": "uploads", "process": { "kind": "json.to_jsonl" },
            "output": { "bucket": "results", "key": "{key}{key}" } })
    };
    let rules = (0..limits::RULES_PER_OBJECT_MAX).map(fails_at_birth).collect();
    let told: Vec<Receiver> = (0..5).map(|number| hook(&format!("hook-{number}"))).collect();
    let due = limits::RULES_PER_OBJECT_MAX * told.len();
    assert!(due > limits::CHANGES_MAX);
    let service = service_of(rules, &told, Vec::new(), always(|_, _| Ok(()))).await;
    service.put(&"k".repeat(600)).await;
    service.until(MINUTE).await;
    assert_eq!(service.calls().len(), due);
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_of_outage_all_is_told_within_a_minute() {
    let outage = always(|_, at| if at < 10 * MINUTE { down() } else { Ok(()) });
    let service = service(&[hook("a")], outage).await;
    for nth in 0..50 {
        service.put(&format!("{nth}.json")).await;
        service.clock.sleep(5 * SECOND).await;
    }
    service.until(11 * MINUTE).await;
    let calls = service.calls();
    assert!(last_success(&calls, 50) < 11 * MINUTE, "{calls:?}");
    let while_down = calls.iter().filter(|call| call.at < 10 * MINUTE).count();
    assert!((10..60).contains(&while_down), "{while_down} calls while it was down");
    assert!(service.all().await.iter().all(|d| d.status == DeliveryStatus::Delivered));
}

#[tokio::test(start_paused = true)]
async fn one_notice_alone_is_told_within_a_minute_after_the_outage_too() {
    let outage = always(|_, at| if at < 10 * MINUTE { down() } else { Ok(()) });
    let service = service(&[hook("a")], outage).await;
    service.put("1.json").await;
    service.until(11 * MINUTE).await;
    last_success(&service.calls(), 1);
}

/// What the process knew of the receiver is gone with it.
#[tokio::test(start_paused = true)]
async fn after_an_outage_with_a_restart_within_all_is_told_within_a_minute_too() {
    for notices in [1, 9] {
        let outage = always(|_, at| if at < 30 * MINUTE { down() } else { Ok(()) });
        let mut service = service(&[hook("a")], outage).await;
        for nth in 0..notices {
            service.put(&format!("{nth}.json")).await;
            service.clock.sleep(5 * SECOND).await;
        }
        service.until(20 * MINUTE).await;
        service.crash().await;
        service.start();
        service.until(31 * MINUTE).await;
        assert!(last_success(&service.calls(), notices) < 31 * MINUTE);
    }
}

/// What the oldest of those that wait tells of the receiver is wrong: it fails whatever the receiver does.
#[tokio::test(start_paused = true)]
async fn a_notice_that_fails_by_itself_holds_up_no_other_after_a_restart() {
    let poisoned = Arc::new(Mutex::new(None));
    let poison = poisoned.clone();
    let behave: Behaviour = Box::new(move |parcel, _| {
        let id = parcel.notices[0].id.to_string();
        let is_poison = *poison.lock().expect("a name").get_or_insert_with(|| id.clone()) == id;
        (SECOND / 10, if is_poison { down() } else { Ok(()) })
    });
    let mut service = service(&[hook("a")], behave).await;
    service.put("poison.json").await;
    service.until(10 * MINUTE).await;
    service.crash().await;
    for nth in 0..9 {
        service.put(&format!("{nth}.json")).await;
    }
    service.start();
    service.until(11 * MINUTE).await;
    let pending = service.all().await.into_iter().filter(|one| one.status == DeliveryStatus::Pending).count();
    assert_eq!((service.all().await.len(), pending), (10, 1));
}

/// Back-offs, looks at a receiver that is down, and mails of the last minute were timed by a clock that is set back since.
#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_clock_that_was_set_back() {
    for hours in [-1, 1] {
        let is_back = Arc::new(AtomicBool::new(false));
        let works = is_back.clone();
        let behave: Behaviour = Box::new(move |parcel, _| {
            let takes = parcel.receiver == email() || works.load(Ordering::SeqCst);
            (SECOND / 10, if takes { Ok(()) } else { down() })
        });
        let service = service(&[hook("a"), email()], behave).await;
        for nth in 0..30 {
            service.put(&format!("{nth}.json")).await;
        }
        service.until(4 * MINUTE).await;
        assert!(service.calls().iter().all(|call| call.took == (call.lane != hook("a").lane())));
        service.clock.set(hours * 3_600_000);
        is_back.store(true, Ordering::SeqCst);
        for nth in 30..60 {
            service.put(&format!("{nth}.json")).await;
        }
        tokio::time::sleep(MINUTE + 10 * SECOND).await;
        let pending: Vec<Delivery> =
            service.all().await.into_iter().filter(|one| one.status != DeliveryStatus::Delivered).collect();
        assert!(pending.is_empty(), "set by {hours} h: {} wait, one of them {:?}", pending.len(), pending[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flapping_receiver_gets_everything() {
    let flaps = |at: Duration| at < 10 * MINUTE && (at.as_secs() / 20).is_multiple_of(2);
    let service =
        service(&[hook("a")], Box::new(move |_, at| (SECOND / 10, if flaps(at) { down() } else { Ok(()) }))).await;
    for nth in 0..100 {
        service.put(&format!("{nth}.json")).await;
        service.clock.sleep(5 * SECOND).await;
    }
    service.until(11 * MINUTE).await;
    last_success(&service.calls(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_holds_up_no_other_and_gets_everything() {
    let slow = |parcel: &Parcel, _| {
        let is_slow = parcel.receiver == hook("slow");
        let seconds = 12 + u32::from(parcel.notices[0].about.bytes().last().unwrap_or(0) % 4);
        (if is_slow { seconds * SECOND } else { SECOND / 10 }, Ok(()))
    };
    let service = service(&[hook("slow"), hook("quick")], Box::new(slow)).await;
    for nth in 0..40 {
        service.put(&format!("{nth}.json")).await;
    }
    service.until(20 * SECOND).await;
    let quick = service.calls().iter().filter(|call| call.lane == "webhook:quick").count();
    assert_eq!(quick, 40);
    service.until(5 * MINUTE).await;
    last_success(&service.calls(), 80);
}

/// It may take minutes for each, whatever address it is to.
#[tokio::test(start_paused = true)]
async fn a_mail_server_that_answers_late_holds_up_nobody_else() {
    let late = |parcel: &Parcel, _| {
        let is_mail = matches!(parcel.receiver, Receiver::Email { .. });
        (if is_mail { 3 * MINUTE } else { SECOND / 10 }, Ok(()))
    };
    let to = |n| filemill_core::notice::EmailAddress::parse(&format!("ops{n}@example.org")).expect("an address");
    let mut told: Vec<Receiver> = (0..12).map(|n| Receiver::Email { to: to(n) }).collect();
    told.push(hook("quick"));
    let service = service(&told, Box::new(late)).await;
    for nth in 0..4 {
        service.put(&format!("{nth}.json")).await;
    }
    service.until(20 * SECOND).await;
    let (mails, others): (Vec<Call>, Vec<Call>) =
        service.calls().into_iter().partition(|c| c.lane.starts_with("email:"));
    assert_eq!((mails.len(), others.len()), (limits::MAILS_RUNNING_MAX, 4));
    service.until(30 * MINUTE).await;
    last_success(&service.calls(), 13 * 4);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_answers_in_time_is_not_waited_for() {
    let service = service(&[hook("a")], Box::new(|_, at| (if at < MINUTE { HOUR } else { SECOND }, Ok(())))).await;
    service.put("1.json").await;
    service.until(3 * MINUTE).await;
    let delivery = service.all().await.remove(0);
    assert_eq!(delivery.status, DeliveryStatus::Delivered, "{delivery:?}");
    assert!(delivery.attempts > 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_a_job_comes_in_order() {
    // the first failure is refused for two minutes, the second one behind it never
    let refuses = |parcel: &Parcel, at: Duration| {
        let refused = parcel.notices[0].data["run"] == 1 && parcel.notices[0].kind == NoticeKind::JobFailed;
        let refused = refused && at < 2 * MINUTE;
        (SECOND / 10, if refused { down() } else { Ok(()) })
    };
    let service = service(&[hook("a")], Box::new(refuses)).await;
    service.put("1.bad").await;
    service.until(10 * SECOND).await;
    let job = service.all().await[0].notice.job.clone().expect("a job");
    let somebody = Principal::service();
    service.engine.retry_job(&somebody, &job).await.expect("retried");
    service.put("2.json").await;
    service.until(10 * MINUTE).await;
    let taken: Vec<Call> = service.calls().into_iter().filter(|call| call.took).collect();
    let of_job: Vec<&str> =
        taken.iter().filter(|call| call.about == job.as_str()).map(|call| call.notice.as_str()).collect();
    assert_eq!(of_job.len(), 2, "two runs failed: {taken:?}");
    assert!(of_job.is_sorted(), "{of_job:?}");
    let other = taken.iter().find(|call| call.about != job.as_str()).expect("another job's");
    assert!(other.at < 2 * MINUTE, "another job's notice does not wait");
}

#[tokio::test(start_paused = true)]
async fn after_a_day_it_is_dead_and_visible_and_can_be_sent_again() {
    let service = service(&[hook("a")], always(|_, at| if at < 30 * HOUR { down() } else { Ok(()) })).await;
    for nth in 0..20 {
        service.put(&format!("{nth}.json")).await;
    }
    service.until(24 * HOUR + MINUTE).await;
    let query = DeliveryQuery { status: Some(DeliveryStatus::Dead), limit: 100, ..DeliveryQuery::default() };
    let dead = service.engine.deliveries(&Principal::service(), &query).await.expect("a list").items;
    assert_eq!(dead.len(), 20, "{:?}", service.all().await);
    assert!(dead.iter().all(|d| d.last_error.as_deref() == Some("status 500") || d.attempts == 0), "{dead:?}");
    let calls = service.calls().len();
    assert!(calls < 20 * 90, "{calls} calls in a day");
    service.until(30 * HOUR).await;
    assert_eq!(service.calls().len(), calls, "dead is dead");
    let somebody = Principal::service();
    service.engine.resend_delivery(&somebody, &dead[0].id).await.expect("resent");
    service.until(30 * HOUR + 10 * SECOND).await;
    let again = service.engine.delivery(&Principal::service(), &dead[0].id).await.expect("it is there");
    assert_eq!(again.status, DeliveryStatus::Delivered);
    let last = service.calls().pop().expect("a call");
    assert_eq!((last.notice, last.took), (dead[0].notice.id.to_string(), true));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_read_holds_up_no_other() {
    let service = service(&[hook("a")], always(|_, _| Ok(()))).await;
    service.put("1.json").await;
    service.until(MINUTE).await;
    let whole = service.all().await.remove(0);
    let mut damaged = whole.record(1);
    damaged.id = damaged.id.replacen(&damaged.id[4..], "00000000000000000000000000", 1);
    damaged.fields = [("lane".to_owned(), whole.lane())].into();
    damaged.document = json!({ "from": "a version that is not out yet" });
    let changes = ChangeSet::new().with(Change::PutRecord(Box::new(damaged)));
    service.store.commit(changes, Durability::Synced).await.expect("a commit");
    service.put("2.json").await;
    service.until(2 * MINUTE).await;
    assert_eq!(service.calls().len(), 2);
    assert!(service.all().await.iter().all(|delivery| delivery.status == DeliveryStatus::Delivered));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_for_good_is_dead_at_once() {
    let service = service(&[hook("a")], always(|_, _| Err(NotifyError::permanent("status 410: gone")))).await;
    service.put("1.json").await;
    service.until(MINUTE).await;
    let delivery = service.all().await.remove(0);
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Dead, 1));
    assert_eq!(delivery.last_error.as_deref(), Some("status 410: gone"));
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_sending_and_recording_sends_it_again_with_the_same_id() {
    let mut service =
        service(&[hook("a")], Box::new(|_, at| (if at < 5 * SECOND { 8 * SECOND } else { SECOND }, Ok(())))).await;
    service.put("1.json").await;
    service.until(5 * SECOND).await;
    let sent = service.all().await.remove(0);
    assert_eq!((sent.status, service.calls().len()), (DeliveryStatus::Pending, 1), "the receiver has it");
    service.crash().await;
    service.start();
    service.until(3 * MINUTE).await;
    let after = service.all().await.remove(0);
    assert_eq!((after.status, &after.notice), (DeliveryStatus::Delivered, &sent.notice));
    let calls = service.calls();
    assert!(
        calls.len() > 1 && calls.iter().all(|call| call.notice == calls[0].notice && call.key == calls[0].key),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn many_mails_to_one_address_become_a_digest() {
    for notices in [26, 90] {
        // some are always on their way, because they take times of their own
        let sent = AtomicU32::new(0);
        let unequal = move |_: &Parcel, _: Duration| (SECOND * (1 + sent.fetch_add(1, Ordering::Relaxed) % 3), Ok(()));
        let service = service(&[email()], Box::new(unequal)).await;
        for nth in 0..notices {
            service.put(&format!("{nth}.json")).await;
        }
        service.until(5 * MINUTE).await;
        let calls = service.calls();
        last_success_of_digests(&calls, notices);
        let mut mails: BTreeMap<&String, (Duration, usize)> = BTreeMap::new();
        for call in &calls {
            mails.entry(&call.key).or_insert((call.at, 0)).1 += 1;
        }
        let first_minute = mails.values().filter(|(at, _)| *at < calls[0].at + MINUTE).map(|(_, notices)| *notices);
        let (digests, single): (Vec<usize>, Vec<usize>) = first_minute.partition(|notices| *notices > 1);
        assert_eq!((single.len(), digests.len()), (limits::MAILS_PER_MINUTE_MAX, 1), "of {notices}: {mails:?}");
    }
}

fn last_success_of_digests(calls: &[Call], notices: usize) {
    let ids: std::collections::BTreeSet<_> = calls.iter().map(|call| &call.notice).collect();
    assert_eq!((calls.len(), ids.len()), (notices, notices), "each is told once");
}

#[path = "deliveries/alarms.rs"]
mod alarms;
#[path = "deliveries/queues.rs"]
mod queues;
