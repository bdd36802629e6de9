//! Tells receivers what is due: picks deliveries by lane, claims each, calls the notifier or sends a message, records the outcome.
//!
//! Several engines at once are harmless: a delivery is claimed by compare-and-set before it is sent. One lane (a receiver)
//! gets few calls at a time, and one while it is down, so none holds up another. Deliveries about the same job leave in
//! order. What a crash interrupts is sent again, with the same notice id.

mod call;
mod keeping;
mod orders;
mod pick;
mod to_queue;

pub use orders::DeliveryQuery;

pub(crate) use keeping::{bury_overdue, forget_old};

use crate::Engine;
use filemill_core::delivery::Delivery;
use filemill_core::lane::Lane;
use filemill_core::limits;
use filemill_core::ports::{ChangeSet, Durability, NotifyError, WallClock};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Rings when a commit made deliveries due.
#[derive(Default)]
pub(crate) struct Bell(Notify);

impl Bell {
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// Between two looks at what is pending, whatever is due: an outage is no reason to spin.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// How each receiver with something pending does.
type Lanes = BTreeMap<String, Lane>;

/// The end of a call, for its lane.
struct Called {
    lane: String,
    outcome: Result<(), NotifyError>,
}

/// What a change set makes due.
pub(crate) struct Due {
    /// Something is to be sent.
    pub sends: bool,
    /// What had no room in the set.
    pub left_over: Vec<Delivery>,
}

impl Engine {
    /// Adds what the set makes due.
    pub(crate) fn add_deliveries(&self, changes: &mut ChangeSet) -> Due {
        let mut due = self.inner.config.notify.due(changes);
        let sends = due.iter().any(|delivery| delivery.due_at.is_some());
        let room = limits::CHANGES_MAX.saturating_sub(changes.changes.len());
        let left_over = due.split_off(room.min(due.len()));
        changes.changes.extend(due.iter().map(Delivery::birth));
        Due { sends, left_over }
    }

    /// Only an object that starts very many rules, all of which fail at once, leaves anything over. A crash in between
    /// loses it.
    pub(crate) async fn add_left_over(&self, left_over: &[Delivery], durability: Durability) {
        for some in left_over.chunks(limits::CHANGES_MAX) {
            let changes = ChangeSet { changes: some.iter().map(Delivery::birth).collect() };
            if let Err(e) = self.inner.ports.state.commit(changes, durability).await {
                tracing::error!(lost = some.len(), error = %e, "deliveries were not stored");
            }
        }
    }
}

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let clock = &engine.inner.ports.clock;
    let (mut lanes, mut calls) = (Lanes::new(), JoinSet::new());
    let mut wall = WallClock::new(&**clock);
    while !stop.is_cancelled() {
        if let Some((set, _)) = wall.look(&**clock, clock.now()) {
            wall = set;
            lanes.values_mut().for_each(Lane::clock_was_set);
        }
        while let Some(ended) = calls.try_join_next() {
            note(engine, &mut lanes, ended);
        }
        let pause = match pick::start_ready(engine, &mut lanes, &mut calls).await {
            Ok(Some(next)) => next.since(engine.now()).max(PAUSE_MIN),
            Ok(None) => engine.inner.config.sweep_interval,
            Err(e) => {
                tracing::warn!(error = %e, "deliveries cannot be read");
                limits::OUTAGE_PAUSE
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(ended) = calls.join_next() => note(engine, &mut lanes, ended),
            () = engine.inner.deliveries.0.notified() => {}
            () = clock.sleep(pause) => {}
        }
    }
    // each ends by itself; what is cut short is sent again
    tokio::select! {
        biased;
        () = async { while calls.join_next().await.is_some() {} } => {}
        () = clock.sleep(limits::DRAIN) => {}
    }
}

fn note(engine: &Engine, lanes: &mut Lanes, ended: Result<Called, tokio::task::JoinError>) {
    let Ok(Called { lane, outcome }) = ended else {
        tracing::error!("a delivery's call panicked; it is sent again after its claim");
        return;
    };
    let (now, chance) = (engine.now(), engine.inner.ports.chance.number());
    let health = lanes.entry(lane.clone()).or_default();
    let was_down = health.is_down();
    health.ended(outcome.as_ref(), now, chance);
    match (was_down, health.is_down()) {
        (false, true) => {
            tracing::warn!(receiver = lane, "receiver does not answer well; one notice at a time tries it")
        }
        (true, false) => tracing::info!(receiver = lane, "receiver is back"),
        _ => {}
    }
}
