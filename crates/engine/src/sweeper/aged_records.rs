//! Records of [`RecordKind`] that are older than they are kept: by the time in their ids, the oldest first.

use super::Swept;
use crate::Engine;
use crate::config::Retention;
use crate::error::CommandError;
use filemill_core::ids::{AuditId, BackfillId, DeadLetterId, OriginalId, RedriveId};
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, StateError};
use filemill_core::record::{Record, RecordKind, RecordOrder, RecordQuery};
use filemill_core::time::Timestamp;
use std::time::Duration;

/// Pages of a kind in a row, so that no other duty waits for long.
const PAGES_MAX: u32 = 100;

/// How much came of an upload is not forgotten while more may come of it, nor an order before its end was seen.
const KEPT_MIN: Duration = Duration::from_secs(86_400);

/// How long each kind is kept, and how its ids begin.
fn kept(retention: &Retention) -> [(RecordKind, &'static str, Option<Duration>); 5] {
    let jobs = retention.jobs.map(|kept| kept.max(KEPT_MIN));
    [
        (RecordKind::DeadLetter, DeadLetterId::PREFIX, retention.dead_letters),
        (RecordKind::Redrive, RedriveId::PREFIX, retention.dead_letters),
        (RecordKind::Backfill, BackfillId::PREFIX, jobs),
        (RecordKind::DerivedObjects, OriginalId::PREFIX, jobs),
        (RecordKind::Audit, AuditId::PREFIX, retention.audit),
    ]
}

pub(super) async fn expire(engine: &Engine) -> Result<Swept, CommandError> {
    let now = engine.now();
    let mut swept = Swept::All;
    for (kind, prefix, kept) in kept(&engine.inner.config.retention) {
        let Some(kept) = kept else { continue };
        let (removed, came) = expire_kind(engine, kind, prefix, now.minus(kept)).await?;
        swept = swept.and(came);
        if removed > 0 {
            metrics::counter!("filemill_expired_total", "what" => kind.as_str()).increment(removed);
            tracing::info!(what = kind.as_str(), removed, "old records removed");
        }
    }
    Ok(swept)
}

/// Answers how many were removed too.
async fn expire_kind(
    engine: &Engine,
    kind: RecordKind,
    prefix: &str,
    end: Timestamp,
) -> Result<(u64, Swept), CommandError> {
    let (order, limit) = (RecordOrder::OldestFirst, limits::SWEEP_BATCH);
    let mut query = RecordQuery { order, limit, ..RecordQuery::of(kind) }.between(prefix, None, Some(end));
    let mut removed = 0;
    for _ in 0..PAGES_MAX {
        let page = engine.inner.ports.state.records(&query).await?;
        query.after = page.items.last().map(|record| record.id.clone());
        removed += remove(engine, page.items).await?;
        if !page.more {
            return Ok((removed, Swept::All));
        }
    }
    // where none could go, the next look would find the same ones
    Ok((removed, if removed > 0 { Swept::More } else { Swept::All }))
}

/// One that something is still due of stays, and one that changes meanwhile.
async fn remove(engine: &Engine, records: Vec<Record>) -> Result<u64, CommandError> {
    let old = records.into_iter().filter(|record| record.due_at.is_none());
    let changes = old.map(|Record { kind, id, rev, .. }| Change::RemoveRecord { kind, id, rev }).collect();
    let set = ChangeSet { changes };
    let count = set.changes.len() as u64;
    if set.is_empty() {
        return Ok(0);
    }
    match engine.commit(set, Durability::Lazy).await {
        Ok(_) => Ok(count),
        Err(StateError::Conflict(_)) => Ok(0),
        Err(e) => Err(e.into()),
    }
}
