//! Looks at the figures that alarms are about, stores what follows, and makes its notices due.
//!
//! Figures come from what is stored, not from this process, so several processes see the same. A change of state is stored by
//! compare-and-set with its history and deliveries: of several processes one tells it.

use crate::Engine;
use crate::error::CommandError;
use filemill_core::alarm::{AlarmChange, AlarmRule, AlarmState, AlarmStatus, Judgement, Metric, Scope};
use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::ids::{AlarmChangeId, DeliveryId};
use filemill_core::limits;
use filemill_core::notice::{Notice, Receiver};
use filemill_core::ports::{Change, ChangeSet, Durability, Page, Room, StateError};
use filemill_core::record::{RecordKind, RecordQuery, Recorded, Revised};
use filemill_core::rule::Name;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

/// An alarm as it is now, of one thing.
#[derive(Clone, Debug)]
pub struct AlarmNow {
    pub rule: AlarmRule,
    pub state: AlarmState,
    /// Measured just now.
    pub value: f64,
}

#[derive(Clone, Debug, Default)]
pub struct AlarmHistoryQuery {
    pub alarm: Option<Name>,
    pub after: Option<AlarmChangeId>,
    pub limit: u32,
}

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    loop {
        match engine.look_at_alarms().await {
            // what an earlier config raised is resolved, and nothing is left to look at
            Ok(()) if engine.inner.config.alarms.is_empty() => return,
            Ok(()) => {}
            Err(e) => tracing::warn!(error = %e, "alarms cannot be looked at"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = engine.inner.ports.clock.sleep(limits::ALARM_INTERVAL) => {}
        }
    }
}

impl Engine {
    /// One look at all alarms.
    pub async fn look_at_alarms(&self) -> Result<(), CommandError> {
        let mut watched = BTreeSet::new();
        for rule in &self.inner.config.alarms {
            for (of, value) in self.measure(rule).await? {
                watched.insert(self.judge(rule, of.as_deref(), value).await?);
            }
        }
        self.resolve_unwatched(&watched).await?;
        let old = RecordQuery { limit: limits::SWEEP_BATCH, ..RecordQuery::of(RecordKind::AlarmChange) };
        let until = self.now().minus(limits::ALARM_HISTORY_KEPT);
        self.forget_records(&old.between(AlarmChangeId::PREFIX, None, Some(until))).await
    }

    async fn forget_records(&self, query: &RecordQuery) -> Result<(), CommandError> {
        let page = self.inner.ports.state.records(query).await?;
        let removed = page.items.into_iter().map(|r| Change::RemoveRecord { kind: r.kind, id: r.id, rev: r.rev });
        let changes = ChangeSet { changes: removed.collect() };
        match changes.is_empty() {
            true => Ok(()),
            false => match self.commit(changes, Durability::Lazy).await {
                Ok(_) | Err(StateError::Conflict(_)) => Ok(()),
                Err(e) => Err(e.into()),
            },
        }
    }

    /// The values of an alarm's metric, with what each is of.
    async fn measure(&self, rule: &AlarmRule) -> Result<Vec<(Option<String>, f64)>, CommandError> {
        match rule.metric.scope() {
            Scope::EachQueue => self.measure_queues(rule).await,
            Scope::EachRule => self.measure_rules(rule).await,
            Scope::Service => Ok(self.measure_service(rule).await?.map(|value| (None, value)).into_iter().collect()),
        }
    }

    async fn measure_queues(&self, rule: &AlarmRule) -> Result<Vec<(Option<String>, f64)>, CommandError> {
        let now = self.now();
        let queues = self.queues().await?.into_iter();
        let wanted = queues.filter(|queue| rule.queue.as_ref().is_none_or(|name| *name == queue.name));
        let value = |queue: crate::QueueState| {
            let value = match rule.metric {
                Metric::DeadDepth => queue.dead as f64,
                Metric::QueueDepth => (queue.depth.ready + queue.depth.waiting) as f64,
                _ => queue.depth.oldest_ready_at.map_or(0.0, |at| now.since(at).as_secs_f64()),
            };
            (Some(queue.name.to_string()), value)
        };
        Ok(wanted.map(value).collect())
    }

    async fn measure_rules(&self, rule: &AlarmRule) -> Result<Vec<(Option<String>, f64)>, CommandError> {
        let since = self.now().minus(rule.window);
        let ended = self.inner.ports.state.ended_jobs(since).await?;
        let rules = self.inner.config.rules.all().iter().map(|r| &r.id);
        let wanted = rules.filter(|id| rule.rule.as_ref().is_none_or(|name| name == *id));
        let value = |id: &Name| {
            let counts = ended.get(id).copied().unwrap_or_default();
            let value = match rule.metric {
                Metric::JobThrottleRate => counts.throttle_percent(),
                _ => counts.error_percent(),
            };
            (Some(id.to_string()), value)
        };
        Ok(wanted.map(value).collect())
    }

    /// `None` where the store does not know.
    async fn measure_service(&self, rule: &AlarmRule) -> Result<Option<f64>, CommandError> {
        match rule.metric {
            Metric::DiskFree => Ok(match self.inner.ports.blobs.usage().await?.room {
                Room::Unlimited => None,
                Room::Bytes { free, .. } | Room::NoFiles { free } => Some(free as f64),
            }),
            Metric::ReconcileRepaired => Ok(Some(self.repairs(rule.window).await? as f64)),
            _ => {
                let dead = Some(DeliveryStatus::Dead.as_str());
                let query = RecordQuery::of(RecordKind::Delivery).with("status", dead);
                let since = self.now().minus(limits::DELIVERY_TTL * 2);
                let query = query.between(DeliveryId::PREFIX, Some(since), None);
                Ok(Some(self.inner.ports.state.record_count(&query).await? as f64))
            }
        }
    }

    /// Answers the state's id.
    async fn judge(&self, rule: &AlarmRule, of: Option<&str>, value: f64) -> Result<String, CommandError> {
        let Revised { rev, value: state } = self.alarm_state(rule, of).await?;
        let id = state.id.clone();
        let judged = state.judge(rule, value, self.now());
        // the first look is stored whatever it sees: since then it is in its status
        let judged = judged.or_else(|| (rev == 0).then_some(Judgement { state, change: None, notice: None }));
        if let Some(judgement) = judged {
            self.store_judgement(&rule.notify, judgement, rev).await?;
        }
        Ok(id)
    }

    /// What is bad and measured no more: its alarm, or what it is of, was taken out of the config, or a queue is gone.
    async fn resolve_unwatched(&self, watched: &BTreeSet<String>) -> Result<(), CommandError> {
        for status in [AlarmStatus::Raised, AlarmStatus::Pending] {
            let bad = RecordQuery { limit: limits::PAGE_MAX, ..RecordQuery::of(RecordKind::Alarm) };
            let mut bad = bad.with("status", Some(status.as_str()));
            loop {
                let page = self.read_records::<AlarmState>(&bad).await?;
                let Some(last) = page.items.last() else { break };
                bad.after = Some(last.value.id.clone());
                for Revised { rev, value: state } in page.items {
                    if !watched.contains(&state.id) {
                        self.resolve(state, rev).await?;
                    }
                }
                if !page.more {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn resolve(&self, state: AlarmState, rev: u64) -> Result<(), CommandError> {
        let rule = self.inner.config.alarms.iter().find(|rule| rule.id == state.alarm);
        let (receivers, resolve) = rule.map_or((&[][..], true), |rule| (&rule.notify[..], rule.resolve));
        self.store_judgement(receivers, state.unwatched(resolve, self.now()), rev).await
    }

    async fn alarm_state(&self, rule: &AlarmRule, of: Option<&str>) -> Result<Revised<AlarmState>, CommandError> {
        let fresh = AlarmState::new(&rule.id, of, self.now());
        let record = self.inner.ports.state.record(RecordKind::Alarm, &fresh.id).await?;
        Ok(match record {
            Some(record) => record.read().map_err(StateError::Corrupt)?,
            None => Revised { rev: 0, value: fresh },
        })
    }

    async fn store_judgement(&self, receivers: &[Receiver], judged: Judgement, rev: u64) -> Result<(), CommandError> {
        let Judgement { state, change, notice } = judged;
        let mut changes = ChangeSet::new().with(Change::PutRecord(Box::new(state.record(rev + 1))));
        let is_told = change.is_some() || notice.is_some();
        changes.changes.extend(change.iter().map(|change| Change::PutRecord(Box::new(change.record(1)))));
        if let Some(notice) = notice {
            changes.changes.extend(self.deliveries_of_alarm(receivers, notice).iter().map(Delivery::birth));
        }
        let durability = if is_told { Durability::Synced } else { Durability::Lazy };
        match self.commit(changes, durability).await {
            Ok(_) => {
                if let Some(change) = &change {
                    tell(change);
                    self.inner.deliveries.ring();
                }
                Ok(())
            }
            // another process was faster
            Err(StateError::Conflict(_)) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// To those whom the alarm names, and those who want to hear of all alarms; each once.
    fn deliveries_of_alarm(&self, named: &[Receiver], notice: Notice) -> Vec<Delivery> {
        let mut due = self.inner.config.notify.of_service(notice.clone());
        for receiver in named {
            let delivery = Delivery::new(notice.clone(), receiver.clone());
            if due.iter().all(|other| other.id != delivery.id) {
                due.push(delivery);
            }
        }
        due
    }

    /// All alarms with their values now.
    pub async fn alarms(&self) -> Result<Vec<AlarmNow>, CommandError> {
        let mut all = Vec::new();
        for rule in &self.inner.config.alarms {
            for (of, value) in self.measure(rule).await? {
                let state = self.alarm_state(rule, of.as_deref()).await?.value;
                all.push(AlarmNow { rule: rule.clone(), state, value });
            }
        }
        Ok(all)
    }

    /// Newest first.
    pub async fn alarm_history(&self, query: &AlarmHistoryQuery) -> Result<Page<AlarmChange>, CommandError> {
        let records = RecordQuery {
            after: query.after.as_ref().map(ToString::to_string),
            limit: query.limit,
            ..RecordQuery::of(RecordKind::AlarmChange)
        };
        let records = records.with("alarm", query.alarm.as_ref().map(ToString::to_string));
        let Page { items, more } = self.read_records(&records).await?;
        Ok(Page { items: items.into_iter().map(|change| change.value).collect(), more })
    }
}

fn tell(change: &AlarmChange) {
    let (alarm, of, value, limit) = (&change.alarm, change.of.as_deref().unwrap_or(""), change.value, change.limit);
    let unwatched = change.is_unwatched();
    match change.to {
        AlarmStatus::Raised => tracing::warn!(%alarm, of, value, limit, "alarm raised"),
        _ => tracing::info!(%alarm, of, value, limit, unwatched, "alarm resolved"),
    }
}
