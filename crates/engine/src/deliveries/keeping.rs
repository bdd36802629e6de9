//! How long deliveries stay: pending ones a day, then they are dead; ended ones until nobody will ask for them.

use crate::Engine;
use crate::error::CommandError;
use crate::sweeper::Swept;
use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::ids::DeliveryId;
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, StateError};
use filemill_core::record::{RecordKind, RecordOrder, RecordQuery, Recorded};
use std::time::Duration;

/// A batch of each status.
pub(crate) async fn forget_old(engine: &Engine) -> Result<Swept, CommandError> {
    let Some(kept) = engine.inner.config.retention.deliveries else { return Ok(Swept::All) };
    let delivered = forget(engine, DeliveryStatus::Delivered, kept).await?;
    Ok(delivered.and(forget(engine, DeliveryStatus::Dead, kept).await?))
}

/// The oldest that were made longer ago than `age`.
fn older(engine: &Engine, age: Duration) -> RecordQuery {
    let query = RecordQuery { limit: limits::SWEEP_BATCH, ..RecordQuery::of(RecordKind::Delivery) };
    let query = RecordQuery { order: RecordOrder::OldestFirst, ..query };
    query.between(DeliveryId::PREFIX, None, Some(engine.now().minus(age)))
}

/// A receiver that is down gets one notice at a time: the others' day ends without a call.
pub(crate) async fn bury_overdue(engine: &Engine) -> Result<(), CommandError> {
    let mut query = older(engine, limits::DELIVERY_TTL).with("lane", Some("*"));
    loop {
        let page = engine.read_records::<Delivery>(&query).await?;
        query.after = page.items.last().map(|last| last.value.id.to_string());
        let now = engine.now();
        for item in page.items.iter().filter(|item| item.value.is_overdue(now)) {
            let buried = item.value.buried(now);
            let changes = ChangeSet::new().with(Change::PutRecord(Box::new(buried.record(item.rev + 1))));
            match engine.commit(changes, Durability::Synced).await {
                Ok(_) => {
                    super::call::tell(&buried, &Err(filemill_core::ports::NotifyError::permanent("its day is over")))
                }
                // somebody sends it after all
                Err(StateError::Conflict(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        if !page.more {
            return Ok(());
        }
    }
}

async fn forget(engine: &Engine, status: DeliveryStatus, age: Duration) -> Result<Swept, CommandError> {
    let page = engine.inner.ports.state.records(&older(engine, age).with("status", Some(status.as_str()))).await?;
    if page.items.is_empty() {
        return Ok(Swept::All);
    }
    let swept = Swept::after(page.items.len(), limits::SWEEP_BATCH);
    let removed = page.items.into_iter().map(|record| Change::RemoveRecord {
        kind: RecordKind::Delivery,
        id: record.id,
        rev: record.rev,
    });
    match engine.commit(ChangeSet { changes: removed.collect() }, Durability::Lazy).await {
        Ok(_) => Ok(swept),
        // one was sent again meanwhile: the next sweep looks anew
        Err(StateError::Conflict(_)) => Ok(Swept::All),
        Err(e) => Err(e.into()),
    }
}
