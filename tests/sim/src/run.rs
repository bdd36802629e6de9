//! One run: a storm of clients, faults and crashes, then calm, then the end of all that is overdue, then judgement.

use crate::checks::{self, Evidence};
use crate::client::Client;
use crate::letters;
use crate::operator;
use crate::scenario::{STORM, Scenario};
use crate::service::Service;
use filemill_core::access::Principal;
use filemill_core::job::JobStatus;
use filemill_core::limits;
use filemill_core::object::ObjectKey;
use filemill_core::ports::FileQuery;
use filemill_engine::ReconcileScope;
use filemill_memory::{FaultPlan, Snapshot};
use std::ops::AddAssign;
use std::time::Duration;

/// Without faults every job must have ended after this time: all attempts, back-offs and leases fit in.
const CALM_MAX: Duration = Duration::from_secs(3600);
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Report {
    /// Of every call that reached the store.
    pub trace_hash: u64,
    pub calls: u64,
    /// Empty if all is well.
    pub violations: Vec<String>,
    /// Only if asked for.
    pub trace: Vec<String>,
    pub met: Met,
}

/// How much a run met of what runs are there for. What none of them meets none of them proves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Met {
    pub jobs: usize,
    pub cancels: usize,
    pub letters_redriven: u32,
    /// Files that no announcement told of.
    pub repairs: usize,
    /// Notices that a receiver took, each once.
    pub deliveries: usize,
    /// 1 if two engines or more were at it.
    pub engines_at_once: usize,
}

impl AddAssign for Met {
    fn add_assign(&mut self, other: Met) {
        self.jobs += other.jobs;
        self.cancels += other.cancels;
        self.letters_redriven += other.letters_redriven;
        self.repairs += other.repairs;
        self.deliveries += other.deliveries;
        self.engines_at_once += other.engines_at_once;
    }
}

/// Runs a seed on this thread.
pub fn run(seed: u64, keeps_trace: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulate(Scenario::of(seed), keeps_trace))
}

async fn simulate(scenario: Scenario, keeps_trace: bool) -> Report {
    let service = Service::new(scenario, keeps_trace);
    let mut violations = Vec::new();
    open(&service).await;
    storm(&service, &mut violations).await;
    service.store.set_faults(FaultPlan { seed: service.scenario.seed, ..FaultPlan::none() });
    service.start_engines();
    if calm(&service, &mut violations).await {
        end(&service, &mut violations).await;
    }
    let snapshot = service.store.snapshot();
    let mut trace = service.store.trace_lines();
    if keeps_trace {
        trace.extend(told_of(&snapshot));
    }
    Report {
        trace_hash: service.store.trace_hash(),
        calls: service.store.calls(),
        violations,
        trace,
        met: met(&service, &snapshot),
    }
}

fn met(service: &Service, snapshot: &Snapshot) -> Met {
    Met {
        jobs: snapshot.jobs.len(),
        cancels: snapshot.jobs.iter().filter(|job| job.status == JobStatus::Cancelled).count(),
        letters_redriven: checks::letters::reopenings(snapshot).values().sum(),
        repairs: snapshot.files.iter().filter(|file| file.repaired).count(),
        deliveries: service.receivers.taken().len(),
        engines_at_once: usize::from(service.scenario.engines > 1),
    }
}

/// What there is in the end, for the reader of a trace.
fn told_of(snapshot: &Snapshot) -> Vec<String> {
    let jobs = snapshot.jobs.iter().map(|j| {
        let failure = j.failure.as_ref().map_or("", |f| &f.code);
        let (input, output) = (&j.input, j.output.as_ref().map(|o| o.etag.as_str()));
        let (status, rule) = (j.status.as_str(), &j.rule);
        format!(
            "job {} {rule} run {} of {:?} {} {:?}: {status} {failure} {output:?}",
            j.id, j.run, input.key, input.etag, j.sequencer
        )
    });
    let objects = snapshot.objects.iter();
    jobs.chain(objects.map(|o| format!("object {}/{:?} {} {:?}", o.bucket, o.key, o.etag, o.sequencer))).collect()
}

/// The service opens its doors once its buckets are there, however often that needs a try.
async fn open(service: &Service) {
    let engine = service.make_engine();
    while engine.prepare().await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    service.start_engines();
}

async fn storm(service: &Service, violations: &mut Vec<String>) {
    let scenario = &service.scenario;
    let clients = (0..scenario.keys).map(|nth| {
        let key = ObjectKey::parse(&format!("folder/{nth} ü.txt")).expect("a key");
        Client { service, key, chance: scenario.chance_of(nth as u64) }.run()
    });
    let acting = async {
        tokio::join!(
            futures::future::join_all(clients),
            operator::run(service, scenario.chance_of(100)),
            letters::run(service, scenario.chance_of(101)),
            at_times(&scenario.crashes, || service.crash()),
            at_times(&scenario.restarts, || service.restart()),
        );
    };
    tokio::pin!(acting);
    loop {
        tokio::select! {
            biased;
            () = &mut acting => return,
            () = tokio::time::sleep(LOOK_EVERY) => checks::always(&service.store.snapshot(), violations),
        }
        if service.store.is_overrun() {
            return;
        }
    }
}

async fn at_times<F: Future<Output = ()>>(times: &[Duration], act: impl Fn() -> F) {
    let mut passed = Duration::ZERO;
    for time in times {
        tokio::time::sleep(time.saturating_sub(passed)).await;
        passed = *time;
        act().await;
    }
}

/// Liveness: without faults everything comes to its end. False if it did not.
async fn calm(service: &Service, violations: &mut Vec<String>) -> bool {
    let mut waited = Duration::ZERO;
    while waited < CALM_MAX && !service.store.is_overrun() {
        let snapshot = service.store.snapshot();
        checks::always(&snapshot, violations);
        if is_quiet(&snapshot) && is_reconciled(service, &snapshot).await && is_quiet(&service.store.snapshot()) {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
    let snapshot = service.store.snapshot();
    let open: Vec<_> = snapshot.jobs.iter().filter(|j| !j.status.is_terminal()).collect();
    let why =
        if service.store.is_overrun() { "the store is called in a circle" } else { "an hour of calm was not enough" };
    let untold: Vec<_> = snapshot.records.iter().filter(|record| record.fields.contains_key("lane")).collect();
    let (announcements, tasks) = (&snapshot.announcements, &snapshot.tasks);
    violations.push(format!(
        "{why}: announcements {announcements:?}, open jobs {open:?}, tasks {tasks:?}, untold {untold:?}"
    ));
    false
}

fn is_quiet(snapshot: &Snapshot) -> bool {
    let is_done = snapshot.announcements.is_empty() && checks::letters::are_all_redriven(snapshot);
    let is_told = snapshot.records.iter().all(|record| !record.fields.contains_key("lane"));
    is_done && is_told && snapshot.jobs.iter().all(|j| j.status.is_terminal())
}

/// What no announcement told is made good, by the engines' own schedule or because an operator asks now.
async fn is_reconciled(service: &Service, snapshot: &Snapshot) -> bool {
    if service.scenario.reconcile_every.is_some() {
        return checks::records_are_complete(snapshot);
    }
    let asked = service.make_engine().reconcile(&ReconcileScope::default(), |_| ()).await;
    asked.is_ok_and(|report| report.unknown_objects + report.lost_objects == 0)
}

/// Engines stop, everything becomes overdue, two sweepers at once clean, and what is left is judged.
async fn end(service: &Service, violations: &mut Vec<String>) {
    service.stop_engines().await;
    tokio::time::sleep(limits::MULTIPART_TTL + STORM).await;
    let (one, other) = (service.make_engine(), service.make_engine());
    // an engine that drained may have removed a source with its last step: lists record what is announced
    if let Err(e) = one.files(&Principal::service(), FileQuery { limit: 1, ..FileQuery::default() }).await {
        violations.push(format!("files cannot be listed: {e}"));
    }
    let (of_one, of_other) = tokio::join!(one.sweep(), other.sweep());
    if let Err(e) = of_one.and(of_other) {
        violations.push(format!("the last sweep failed: {e}"));
    }
    let snapshot = service.store.snapshot();
    let ledger = service.ledger();
    let (taken, order) = (service.receivers.taken(), service.receivers.order());
    let evidence = Evidence {
        scenario: &service.scenario,
        store: &service.store,
        snapshot: &snapshot,
        ledger: &ledger,
        taken: &taken,
        order: &order,
    };
    checks::at_the_end(&evidence, violations);
}
