//! Rules run over objects that are there already: counted first, ordered, and worked off by whichever engine gets to it.
//!
//! An order remembers how far it came. Each job is born by a commit of its own under the id that ingest would have given
//! it, and only while its file is still that version: a crash in the middle or two engines at once start each job once.

use crate::Engine;
use crate::error::CommandError;
use crate::ingest::bear_job;
use filemill_core::audit::Actor;
use filemill_core::backfill::{Backfill, BackfillFilter, BackfillStatus, job_of};
use filemill_core::file::File;
use filemill_core::ids::BackfillId;
use filemill_core::limits;
use filemill_core::object::ObjectKey;
use filemill_core::ports::{Change, ChangeSet, Durability, FileQuery, Page, StateError};
use filemill_core::record::{RecordKind, RecordQuery, Recorded, Revised};
use filemill_core::rule::{Rule, RuleId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An order starts its rate's worth of jobs, then waits this long.
const BEAT: Duration = Duration::from_secs(1);
/// Orders worked on by one engine.
const ORDERS_MAX: u32 = 16;
/// Files looked at in one beat.
const PAGE: u32 = 1000;
/// Keys that a count shows.
const KEYS_SHOWN: usize = 10;

/// What an order would start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackfillCount {
    pub files: u64,
    pub bytes: u64,
    /// The first few.
    pub keys: Vec<ObjectKey>,
    /// False: there were more files to look at than a count looks at.
    pub is_complete: bool,
}

impl Engine {
    pub async fn count_backfill(&self, rule: &RuleId, filter: &BackfillFilter) -> Result<BackfillCount, CommandError> {
        let rule = self.rule_to_backfill(rule)?;
        let (mut count, mut after) = (BackfillCount::default(), None);
        for _ in 0..limits::BACKFILL_COUNTED_MAX / PAGE {
            let page = self.files_behind(&rule, filter, after).await?;
            after = page.items.last().map(|file| file.key.clone());
            for file in &page.items {
                if self.is_wanted(&rule, filter, file).await? {
                    count.files += 1;
                    count.bytes += file.size;
                    if count.keys.len() < KEYS_SHOWN {
                        count.keys.push(file.key.clone());
                    }
                }
            }
            if !page.more {
                count.is_complete = true;
                break;
            }
        }
        Ok(count)
    }

    pub async fn create_backfill(
        &self,
        actor: &Actor,
        rule: &RuleId,
        filter: BackfillFilter,
        rate: Option<u32>,
    ) -> Result<Backfill, CommandError> {
        let rule = self.rule_to_backfill(rule)?;
        let rate = rate.unwrap_or(limits::BACKFILL_RATE_DEFAULT);
        if !(1..=limits::BACKFILL_RATE_MAX).contains(&rate) {
            let message = format!("{rate} a second; use 1 to {}", limits::BACKFILL_RATE_MAX);
            return Err(CommandError::invalid("rate", message));
        }
        let now = self.now();
        // what comes later starts the rule by itself
        let end = now.plus(Duration::from_millis(1));
        let until = Some(filter.until.map_or(end, |until| until.min(end)));
        let order = Backfill {
            id: BackfillId::new(now, self.inner.ports.chance.bytes()),
            status: BackfillStatus::Running,
            rule: rule.id.clone(),
            filter: BackfillFilter { until, ..filter },
            rate,
            files_seen: 0,
            jobs_started: 0,
            after: None,
            by: actor.name.clone(),
            created_at: now,
            finished_at: None,
            next_at: Some(now),
        };
        let detail = json!({ "backfill": order.id, "filter": order.filter, "rate": rate });
        let audited = self.audited(actor, "rule.backfill", &rule.id, detail);
        let changes = ChangeSet::new().with(Change::PutRecord(Box::new(order.record(1)))).with(audited);
        self.commit(changes, Durability::Synced).await?;
        self.inner.backfills.notify_one();
        Ok(order)
    }

    /// Newest first.
    pub async fn backfills(&self, after: Option<&BackfillId>, limit: u32) -> Result<Page<Backfill>, CommandError> {
        let after = after.map(ToString::to_string);
        let query = RecordQuery { after, limit, ..RecordQuery::of(RecordKind::Backfill) };
        let Page { items, more } = self.read_records::<Backfill>(&query).await?;
        Ok(Page { items: items.into_iter().map(|order| order.value).collect(), more })
    }

    pub async fn backfill(&self, id: &BackfillId) -> Result<Backfill, CommandError> {
        Ok(self.backfill_order(id).await?.value)
    }

    /// Jobs that it has started go on.
    pub async fn cancel_backfill(&self, actor: &Actor, id: &BackfillId) -> Result<Backfill, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let Revised { rev, value: order } = self.backfill_order(id).await?;
            if order.status != BackfillStatus::Running {
                let message = format!("backfill {id} is {} already", order.status.as_str());
                return Err(CommandError::Conflict { code: "not_cancellable", message });
            }
            let order = order.finished(BackfillStatus::Cancelled, self.now());
            let audited = self.audited(actor, "backfill.cancel", id, Value::Null);
            let changes = ChangeSet::new().with(Change::PutRecord(Box::new(order.record(rev + 1)))).with(audited);
            match self.commit(changes, Durability::Synced).await {
                Ok(_) => return Ok(order),
                Err(StateError::Conflict(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let message = format!("backfill {id} changes too fast; try again");
        Err(CommandError::Conflict { code: "conflict", message })
    }

    async fn backfill_order(&self, id: &BackfillId) -> Result<Revised<Backfill>, CommandError> {
        self.read_record(id.as_str()).await?.ok_or_else(|| CommandError::not_found("backfill", id))
    }

    fn rule_to_backfill(&self, id: &RuleId) -> Result<Arc<Rule>, CommandError> {
        self.inner.config.rules.get(id).cloned().ok_or_else(|| CommandError::not_found("rule", id))
    }

    async fn files_behind(
        &self,
        rule: &Rule,
        filter: &BackfillFilter,
        after: Option<ObjectKey>,
    ) -> Result<Page<File>, StateError> {
        let after = after.map(|key| (rule.from.clone(), key));
        let query = FileQuery {
            bucket: Some(rule.from.clone()),
            prefix: filter.prefix.clone(),
            after,
            limit: PAGE,
            ..FileQuery::default()
        };
        self.inner.ports.state.files(&query).await
    }

    async fn is_wanted(&self, rule: &Rule, filter: &BackfillFilter, file: &File) -> Result<bool, StateError> {
        Ok(filter.takes(rule, file) && self.inner.ports.state.job(&job_of(file, rule)).await?.is_none())
    }
}

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    loop {
        if let Err(e) = pass(engine).await {
            tracing::warn!(error = %e, "backfills do not go on");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = engine.inner.backfills.notified() => {}
            () = engine.inner.ports.clock.sleep(BEAT) => {}
        }
    }
}

/// One beat of each order that is due.
async fn pass(engine: &Engine) -> Result<(), CommandError> {
    for order in engine.read_due_orders::<Backfill>(BEAT, ORDERS_MAX).await? {
        let id = order.value.id.clone();
        if let Err(e) = beat(engine, order).await {
            tracing::warn!(backfill = %id, error = %e, "a backfill does not go on; others do");
        }
    }
    Ok(())
}

/// What one beat did.
struct Step {
    files_seen: u64,
    jobs_started: u64,
    after: Option<ObjectKey>,
    is_last: bool,
}

async fn beat(engine: &Engine, order: Revised<Backfill>) -> Result<(), CommandError> {
    let Some(rule) = engine.inner.config.rules.get(&order.value.rule).cloned() else {
        tracing::warn!(rule = %order.value.rule, backfill = %order.value.id, "a backfill's rule is gone");
        let failed = order.value.finished(BackfillStatus::Failed, engine.now());
        return keep(engine, &failed, order.rev + 1).await.map(drop);
    };
    let step = start_some(engine, &rule, &order.value).await?;
    note(engine, order, &step).await
}

async fn start_some(engine: &Engine, rule: &Rule, order: &Backfill) -> Result<Step, CommandError> {
    let page = engine.files_behind(rule, &order.filter, order.after.clone()).await?;
    let mut step = Step { files_seen: 0, jobs_started: 0, after: order.after.clone(), is_last: !page.more };
    for file in page.items {
        if step.jobs_started >= u64::from(order.rate) {
            step.is_last = false;
            break;
        }
        if engine.is_wanted(rule, &order.filter, &file).await? && bear_job(engine, rule, &file).await? {
            step.jobs_started += 1;
        }
        step.files_seen += 1;
        step.after = Some(file.key);
    }
    Ok(step)
}

/// Another engine may have written its own step meanwhile: then both count, and the further one leads.
async fn note(engine: &Engine, order: Revised<Backfill>, step: &Step) -> Result<(), CommandError> {
    let Revised { mut rev, value: mut order } = order;
    for _ in 0..limits::DECISIONS_MAX {
        let id = order.id.clone();
        if order.status != BackfillStatus::Running {
            return Ok(());
        }
        order.jobs_started += step.jobs_started;
        order.files_seen += step.files_seen;
        order.after = order.after.max(step.after.clone());
        order.next_at = Some(engine.now().plus(BEAT));
        if step.is_last {
            order = order.finished(BackfillStatus::Done, engine.now());
        }
        if keep(engine, &order, rev + 1).await? {
            return Ok(());
        }
        Revised { rev, value: order } = engine.backfill_order(&id).await?;
    }
    Ok(())
}

/// False: somebody was faster.
async fn keep(engine: &Engine, order: &Backfill, rev: u64) -> Result<bool, CommandError> {
    let changes = ChangeSet::new().with(Change::PutRecord(Box::new(order.record(rev))));
    match engine.commit(changes, Durability::Lazy).await {
        Ok(_) => Ok(true),
        Err(StateError::Conflict(_)) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
