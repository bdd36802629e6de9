//! Orders to redrive many letters: counted, stored, and worked off at their rate by whichever engine gets to it.
//!
//! An order remembers how far it came, and each letter is redriven by a commit of its own that only one can win. So a
//! crash in the middle, two engines at once or two orders for the same letters give each letter exactly one new run.

use crate::Engine;
use crate::dead_letters::{Reopening, SIDE_BY_SIDE, must_be_dead};
use crate::error::CommandError;
use filemill_core::access::Principal;
use filemill_core::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterStatus};
use filemill_core::ids::{DeadLetterId, RedriveId};
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, Page, StateError};
use filemill_core::record::{RecordKind, RecordOrder, RecordQuery, Recorded, Revised};
use filemill_core::redrive::{Redrive, RedriveManner, RedriveStatus};
use filemill_core::rule::Process;
use futures::future::{join_all, try_join_all};
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An order works on its rate's worth of letters, then waits this long.
const BEAT: Duration = Duration::from_secs(1);
/// Orders worked on side by side by one engine.
const ORDERS_MAX: u32 = 16;

/// A wish to redrive many letters, parsed at the door.
#[derive(Clone, Debug, Default)]
pub struct NewRedrive {
    pub filter: DeadLetterFilter,
    pub manner: RedriveManner,
    /// Letters a second.
    pub rate: Option<u32>,
}

/// An order and how many letters it has put back to work.
#[derive(Clone, Debug)]
pub struct RedriveProgress {
    pub order: Redrive,
    pub redriven: u64,
}

impl Engine {
    /// How many letters an order would find now. Options that the newest letter of none of their rules takes are
    /// refused; where some do, the order passes over those that do not, and tells why.
    pub async fn count_redrive(
        &self,
        who: &Principal,
        filter: &DeadLetterFilter,
        manner: &RedriveManner,
    ) -> Result<u64, CommandError> {
        check_filter(filter)?;
        must_mean_dead(filter)?;
        if !filter.ids.is_empty() {
            let named = try_join_all(filter.ids.iter().map(|id| self.dead_letter(who, id))).await?;
            let is_elsewhere = |letter: &&DeadLetter| filter.queue.as_ref().is_some_and(|queue| *queue != letter.queue);
            if let Some(letter) = named.iter().find(is_elsewhere) {
                return Err(CommandError::not_found("dead letter of this queue", &letter.id));
            }
            named.iter().try_for_each(must_be_dead)?;
            self.some_must_take(manner, &named)?;
            return Ok(named.len() as u64);
        }
        let dead = DeadLetterFilter { status: Some(DeadLetterStatus::Dead), ..filter.clone() };
        if !manner.options.is_empty() {
            let query = RecordQuery { limit: limits::PAGE_MAX, ..dead.query().within(&who.reach) };
            let rules = self.inner.ports.state.record_groups(&query, "rule").await?;
            let newest = try_join_all(rules.iter().map(|rule| self.letter_named(&rule.last))).await?;
            let newest: Vec<DeadLetter> = newest.into_iter().flatten().map(|letter| letter.value).collect();
            self.some_must_take(manner, &newest)?;
        }
        self.count_dead_letters(who, &dead).await
    }

    fn some_must_take(&self, manner: &RedriveManner, letters: &[DeadLetter]) -> Result<(), CommandError> {
        if manner.options.is_empty() {
            return Ok(());
        }
        let mut refused = Ok(());
        for letter in letters {
            let mut process = Process { kind: letter.processor.clone(), options: letter.options.clone() };
            process.options.extend(manner.options.clone());
            match self.check_process(&process) {
                Ok(()) => return Ok(()),
                Err(e) => refused = Err(e),
            }
        }
        refused
    }

    pub async fn create_redrive(&self, who: &Principal, new: NewRedrive) -> Result<RedriveProgress, CommandError> {
        let rate = new.rate.unwrap_or(limits::REDRIVE_RATE_DEFAULT);
        if !(1..=limits::REDRIVE_RATE_MAX).contains(&rate) {
            let message = format!("{rate} a second; use 1 to {}", limits::REDRIVE_RATE_MAX);
            return Err(CommandError::invalid("rate", message));
        }
        let matched = self.count_redrive(who, &new.filter, &new.manner).await?;
        let now = self.now();
        let mut filter = new.filter;
        filter.ids.sort();
        filter.ids.dedup();
        filter.status = Some(DeadLetterStatus::Dead);
        // those that die again are another order's affair
        let end = now.plus(Duration::from_millis(1));
        filter.until = Some(filter.until.map_or(end, |until| until.min(end)));
        let order = Redrive {
            id: RedriveId::new(now, self.inner.ports.chance.bytes()),
            status: RedriveStatus::Running,
            filter,
            manner: new.manner,
            rate,
            matched,
            skipped: 0,
            skipped_because: None,
            after: None,
            by: who.name.clone(),
            key: who.key.clone(),
            reach: who.reach.clone(),
            tenant: who.tenant.clone(),
            created_at: now,
            finished_at: None,
            next_at: Some(now),
        };
        let detail = json!({ "filter": order.filter, "manner": order.manner, "rate": rate, "matched": matched });
        let changes = ChangeSet::new().with(Change::PutRecord(Box::new(order.record(1)))).with(self.audited_for(
            who,
            order.tenant.clone(),
            "dead.redrive",
            &order.id,
            detail,
        ));
        self.commit(changes, Durability::Synced).await?;
        self.inner.redrives.notify_one();
        Ok(RedriveProgress { order, redriven: 0 })
    }

    /// Newest first. A key that is limited to places sees its own orders: others tell of letters that it may not see.
    pub async fn redrives(
        &self,
        who: &Principal,
        after: Option<&RedriveId>,
        limit: u32,
    ) -> Result<Page<RedriveProgress>, CommandError> {
        let after = after.map(ToString::to_string);
        let query = RecordQuery { after, limit, ..RecordQuery::of(RecordKind::Redrive) };
        let query = query.with("tenant", who.tenant.as_ref().map(ToString::to_string));
        let query = query.with("key", who.key.as_ref().filter(|_| who.is_limited).map(ToString::to_string));
        let Page { items, more } = self.read_records::<Redrive>(&query).await?;
        let items = try_join_all(items.into_iter().map(|order| self.progress_of(order.value))).await?;
        Ok(Page { items, more })
    }

    pub async fn redrive(&self, who: &Principal, id: &RedriveId) -> Result<RedriveProgress, CommandError> {
        let order = self.order(who, id).await?;
        self.progress_of(order.value).await
    }

    /// What it has not reached stays dead.
    pub async fn cancel_redrive(&self, who: &Principal, id: &RedriveId) -> Result<RedriveProgress, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let Revised { rev, value: order } = self.order(who, id).await?;
            if order.status != RedriveStatus::Running {
                let message = format!("redrive {id} is {} already", order.status.as_str());
                return Err(CommandError::Conflict { code: "not_cancellable", message });
            }
            let order = order.finished(RedriveStatus::Cancelled, self.now());
            let changes = ChangeSet::new()
                .with(Change::PutRecord(Box::new(order.record(rev + 1))))
                .with(self.audited_for(who, order.tenant.clone(), "redrive.cancel", id, serde_json::Value::Null));
            match self.commit(changes, Durability::Synced).await {
                Ok(_) => return self.progress_of(order).await,
                Err(StateError::Conflict(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let message = format!("redrive {id} changes too fast; try again");
        Err(CommandError::Conflict { code: "conflict", message })
    }

    async fn order(&self, who: &Principal, id: &RedriveId) -> Result<Revised<Redrive>, CommandError> {
        let order = self.read_record::<Redrive>(id.as_str()).await?;
        let is_theirs = |order: &Redrive| {
            who.may_give_rights_in(order.tenant.as_ref()) && (!who.is_limited || order.key == who.key)
        };
        let order = order.filter(|order| is_theirs(&order.value));
        order.ok_or_else(|| CommandError::not_found("redrive", id))
    }

    /// Counted from the letters themselves, so that no crash can make it lie.
    async fn progress_of(&self, order: Redrive) -> Result<RedriveProgress, CommandError> {
        let query = RecordQuery::of(RecordKind::DeadLetter).with("redrive", Some(order.id.as_str()));
        let redriven = self.inner.ports.state.record_count(&query).await?;
        Ok(RedriveProgress { order, redriven })
    }
}

/// Ids stand alone: an order that names letters and filters them too would be two wishes.
fn check_filter(filter: &DeadLetterFilter) -> Result<(), CommandError> {
    let only_ids = DeadLetterFilter { ids: filter.ids.clone(), queue: filter.queue.clone(), ..Default::default() };
    if !filter.ids.is_empty() && *filter != only_ids {
        return Err(CommandError::invalid("ids", "name letters or filter them, not both"));
    }
    if filter.ids.len() > limits::REDRIVE_IDS_MAX {
        let message = format!("{} letters; name {} at most, or filter", filter.ids.len(), limits::REDRIVE_IDS_MAX);
        return Err(CommandError::invalid("ids", message));
    }
    Ok(())
}

/// Only letters that are dead can be acted on. A filter for others is refused, and not read as one for the dead.
pub(crate) fn must_mean_dead(filter: &DeadLetterFilter) -> Result<(), CommandError> {
    match filter.status {
        None | Some(DeadLetterStatus::Dead) => Ok(()),
        Some(other) => {
            let message = format!("letters that are {} are over; only dead ones are acted on", other.as_str());
            Err(CommandError::invalid("filter.status", message))
        }
    }
}

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let clock = &engine.inner.ports.clock;
    loop {
        if let Err(e) = pass(engine).await {
            tracing::warn!(error = %e, "redrives do not go on");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = engine.inner.redrives.notified() => {}
            () = clock.sleep(BEAT) => {}
        }
    }
}

/// One beat of each order that is due.
pub(crate) async fn pass(engine: &Engine) -> Result<(), CommandError> {
    for order in engine.read_due_orders::<Redrive>(BEAT, ORDERS_MAX).await? {
        let id = order.value.id.clone();
        if let Err(e) = beat(engine, order).await {
            tracing::warn!(redrive = %id, error = %e, "a redrive does not go on; others do");
        }
    }
    Ok(())
}

async fn beat(engine: &Engine, Revised { rev, value: mut order }: Revised<Redrive>) -> Result<(), CommandError> {
    let (letters, more) = next_letters(engine, &order).await?;
    let how = Reopening { by: &order.by, redrive: Some(&order.id), manner: &order.manner };
    let mut outcomes = Vec::with_capacity(letters.len());
    for some in letters.chunks(SIDE_BY_SIDE) {
        outcomes.extend(join_all(some.iter().map(|id| engine.reopen(id, how, || None))).await);
    }
    let (mut reached, mut more) = (order.after.clone(), more);
    for (letter, outcome) in letters.into_iter().zip(outcomes) {
        match outcome {
            // another engine, or another order, was faster
            Ok(_) | Err(CommandError::Conflict { code: "not_dead", .. }) => {}
            // nothing is wrong with the letter; it comes again with the next beat
            Err(CommandError::Conflict { code: "conflict", .. }) => {
                more = true;
                break;
            }
            Err(e @ (CommandError::Unavailable(_) | CommandError::Full(_))) => return Err(e),
            Err(e) => {
                order.skipped += 1;
                order.skipped_because = Some(e.to_string());
            }
        }
        reached = Some(letter);
    }
    order.after = reached;
    let now = engine.now();
    order.next_at = Some(now.plus(BEAT));
    let order = if more { order } else { order.finished(RedriveStatus::Done, now) };
    let changes = ChangeSet::new().with(Change::PutRecord(Box::new(order.record(rev + 1))));
    match engine.commit(changes, Durability::Lazy).await {
        // a conflict: it was cancelled, or another engine wrote the same down
        Ok(_) | Err(StateError::Conflict(_)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The letters of this beat, oldest first, and whether others may follow.
async fn next_letters(engine: &Engine, order: &Redrive) -> Result<(Vec<DeadLetterId>, bool), CommandError> {
    if !order.filter.ids.is_empty() {
        let behind = order.filter.ids.iter().filter(|id| order.after.as_ref().is_none_or(|after| *id > after));
        let letters: Vec<DeadLetterId> = behind.take(order.rate as usize).cloned().collect();
        let more = letters.last() != order.filter.ids.last();
        return Ok((letters, more));
    }
    let after = order.after.as_ref().map(ToString::to_string);
    let order_by = RecordOrder::OldestFirst;
    let query = RecordQuery { after, limit: order.rate, order: order_by, ..order.filter.query().within(&order.reach) };
    let Page { items, more } = engine.read_records::<DeadLetter>(&query).await?;
    Ok((items.into_iter().map(|letter| letter.value.id).collect(), more))
}
