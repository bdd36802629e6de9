//! Which deliveries start now: lane by lane, the oldest first, as many as there is room for.

use super::{Called, Lanes, call};
use crate::Engine;
use crate::error::CommandError;
use filemill_core::delivery::Delivery;
use filemill_core::lane::{Lane, Mails};
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, StateError};
use filemill_core::record::{RecordKind, RecordOrder, RecordQuery, Recorded, Revised};
use filemill_core::time::Timestamp;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use tokio::task::JoinSet;

/// Deliveries looked at in one go, and pages of them in one pass over a lane: a lane whose first ones all wait for their
/// time goes on behind them with the next pass.
const PAGE: u32 = 100;
const PAGES_MAX: u32 = 20;

/// Starts what is ready. Answers when it is worth looking again, if anything is pending.
pub(super) async fn start_ready(
    engine: &Engine,
    lanes: &mut Lanes,
    calls: &mut JoinSet<Called>,
) -> Result<Option<Timestamp>, CommandError> {
    let pending = RecordQuery { limit: limits::PAGE_MAX, ..pending() };
    let waiting = engine.inner.ports.state.record_groups(&pending, "lane").await?;
    let now = engine.now();
    lanes.retain(|name, lane| !lane.is_idle(now) || waiting.iter().any(|group| group.value == *name));
    let mut next = None;
    for group in &waiting {
        let mut room = limits::DELIVERIES_RUNNING_MAX.saturating_sub(calls.len());
        if is_mail(&group.value) {
            room = room.min(limits::MAILS_RUNNING_MAX.saturating_sub(mails_running(lanes)));
        }
        let lane = match lanes.entry(group.value.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(first_look(engine, &group.value).await?),
        };
        let opens = start_lane(engine, &group.value, lane, room, calls).await?;
        next = Some(next.map_or(opens, |known: Timestamp| known.min(opens)));
    }
    Ok(next)
}

/// What the oldest that waits for a receiver tells of it to a process that has not called it yet.
async fn first_look(engine: &Engine, lane: &str) -> Result<Lane, CommandError> {
    let query = RecordQuery { limit: 1, order: RecordOrder::OldestFirst, ..RecordQuery::of(RecordKind::Delivery) };
    let query = query.with("lane", Some(lane));
    let oldest = engine.read_records::<Delivery>(&query).await?.items.pop();
    Ok(Lane::of_waiting(oldest.map_or(0, |oldest| oldest.value.failures)))
}

fn is_mail(lane: &str) -> bool {
    lane.starts_with("email:")
}

/// To all addresses: they share one server.
fn mails_running(lanes: &Lanes) -> usize {
    lanes.iter().filter(|(name, _)| is_mail(name)).map(|(_, lane)| lane.running()).sum()
}

/// Everything that is pending.
fn pending() -> RecordQuery {
    RecordQuery { order: RecordOrder::OldestFirst, ..RecordQuery::of(RecordKind::Delivery).with("lane", Some("*")) }
}

/// Answers when it is worth looking again.
async fn start_lane(
    engine: &Engine,
    name: &str,
    lane: &mut Lane,
    room: usize,
    calls: &mut JoinSet<Called>,
) -> Result<Timestamp, CommandError> {
    let now = engine.now();
    let later = now.plus(engine.inner.config.sweep_interval);
    let room = lane.room(now).min(room);
    if room == 0 {
        return Ok(lane.opens_at().filter(|opens| *opens > now).map_or(later, |opens| opens.min(later)));
    }
    let mails = if is_mail(name) { lane.mails(now) } else { Mails::Single(room) };
    let (room, together) = match mails {
        Mails::Single(most) => (room.min(most), false),
        Mails::Together => (limits::DIGEST_NOTICES_MAX, true),
        Mails::Later => return Ok(later),
    };
    let Found { ready, next } = look(engine, name, lane, room, together).await?;
    let claimed = claim(engine, ready).await?;
    let parcels = if together { vec![claimed] } else { claimed.into_iter().map(|one| vec![one]).collect() };
    for parcel in parcels.into_iter().filter(|parcel| !parcel.is_empty()) {
        if together {
            lane.digested(now);
        }
        lane.started();
        calls.spawn(call::send(engine.clone(), name.to_owned(), parcel));
    }
    Ok(next.map_or(later, |next| next.min(later)))
}

struct Found {
    ready: Vec<Revised<Delivery>>,
    /// When the first of the others is ready.
    next: Option<Timestamp>,
}

impl Found {
    /// Changes nothing where there is room for all.
    fn least_recently_tried(mut self, room: usize) -> Self {
        if self.ready.len() > room {
            self.ready.sort_by_key(|found| found.value.last_attempt_at);
            self.ready.truncate(room);
        }
        self
    }
}

/// Up to `room` that may be sent now, the oldest; while the receiver is down the one that was not tried for longest, so that no
/// notice that fails whatever the receiver does stands for all others. Of those about the same thing only the oldest pending one is, unless all of them go
/// together.
async fn look(
    engine: &Engine,
    name: &str,
    lane: &mut Lane,
    room: usize,
    together: bool,
) -> Result<Found, CommandError> {
    let now = engine.now();
    let enough = if lane.is_down() { PAGE as usize } else { room };
    let (mut found, mut behind) = (Found { ready: Vec::new(), next: None }, BTreeSet::new());
    let mut query =
        RecordQuery { limit: PAGE, order: RecordOrder::OldestFirst, ..RecordQuery::of(RecordKind::Delivery) };
    query = query.with("lane", Some(name));
    query.after = lane.scan_from.take();
    let from_the_middle = query.after.is_some();
    for _ in 0..PAGES_MAX {
        let page = engine.read_records::<Delivery>(&query).await?;
        query.after = page.items.last().map(|last| last.value.id.to_string());
        for item in page.items {
            let delivery = &item.value;
            let waits = !behind.insert(delivery.notice.about.clone()) && !together;
            if waits {
                continue;
            }
            if !delivery.is_ready(lane, now) {
                found.next = found.next.into_iter().chain(delivery.ready_at()).min();
                continue;
            }
            if from_the_middle && !is_first(engine, name, delivery).await? {
                continue;
            }
            found.ready.push(item);
            if found.ready.len() >= enough {
                return Ok(found.least_recently_tried(room));
            }
        }
        if !page.more {
            return Ok(found.least_recently_tried(room));
        }
    }
    lane.scan_from = query.after;
    Ok(found.least_recently_tried(room))
}

/// Is no older one about the same thing pending for this receiver?
async fn is_first(engine: &Engine, name: &str, delivery: &Delivery) -> Result<bool, StateError> {
    let query = RecordQuery { order: RecordOrder::OldestFirst, ..RecordQuery::of(RecordKind::Delivery) };
    let query = query.with("about", Some(&*delivery.notice.about)).with("lane", Some(name));
    let first = engine.inner.ports.state.records(&query).await?.items.pop();
    Ok(first.is_none_or(|first| first.id == delivery.id.as_str()))
}

/// Those whose claim was stored. A claim that a crash takes back is one more attempt with the same notice.
async fn claim(engine: &Engine, ready: Vec<Revised<Delivery>>) -> Result<Vec<Revised<Delivery>>, StateError> {
    let mut claimed = Vec::new();
    for Revised { rev, value } in ready {
        let next = value.claimed(engine.now());
        let changes = ChangeSet::new().with(Change::PutRecord(Box::new(next.record(rev + 1))));
        match engine.commit(changes, Durability::Lazy).await {
            Ok(_) => claimed.push(Revised { rev: rev + 1, value: next }),
            // another engine was faster, or a person; or this claim was stored and its answer lost
            Err(StateError::Conflict(_)) => {}
            Err(e) if claimed.is_empty() => return Err(e),
            Err(e) => {
                tracing::warn!(delivery = %value.id, error = %e, "a delivery was not claimed yet");
                break;
            }
        }
    }
    Ok(claimed)
}
