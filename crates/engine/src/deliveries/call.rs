//! One call of a receiver, and its outcome as stored.

use super::{Called, to_queue};
use crate::Engine;
use filemill_core::access::Principal;
use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::ids::{DeliveryId, JobId};
use filemill_core::limits;
use filemill_core::notice::{Notice, NoticeKind, Receiver};
use filemill_core::ports::{Change, ChangeSet, Durability, NotifyError, Parcel, StateError};
use filemill_core::record::{RecordKind, Recorded, Revised};
use serde_json::json;

/// Sends what was claimed in one message, and records what became of it.
pub(super) async fn send(engine: Engine, lane: String, claimed: Vec<Revised<Delivery>>) -> Called {
    let _until_recorded: Vec<tracing::Span> = claimed.iter().map(|one| span_of(&one.value)).collect();
    let outcome = match parcel(&engine, &claimed).await {
        Some(parcel) => deliver(&engine, &parcel).await,
        None => Err(NotifyError::permanent("there was nothing to send")),
    };
    for one in claimed {
        record(&engine, one, &outcome).await;
    }
    Called { lane, outcome }
}

/// The receiver's kind alone: an address may be a person's.
fn span_of(delivery: &Delivery) -> tracing::Span {
    let Delivery { id, notice, attempts, receiver, .. } = delivery;
    let job = notice.job.as_ref().map(tracing::field::display);
    let (event, event_id, receiver) = (notice.kind.as_str(), &notice.id, receiver.kind());
    tracing::debug_span!("delivery", job, delivery = %id, event, %event_id, receiver, attempt = *attempts)
}

async fn deliver(engine: &Engine, parcel: &Parcel) -> Result<(), NotifyError> {
    let ports = &engine.inner.ports;
    let calling = async {
        match &parcel.receiver {
            Receiver::Queue { name } => to_queue::send(ports.messages.as_ref(), name, parcel).await,
            _ => ports.notifier.deliver(parcel).await,
        }
    };
    tokio::select! {
        biased;
        outcome = calling => outcome,
        () = ports.clock.sleep(parcel.receiver.patience()) => {
            Err(NotifyError::transient("the receiver took too long"))
        }
    }
}

async fn parcel(engine: &Engine, claimed: &[Revised<Delivery>]) -> Option<Parcel> {
    let first = &claimed.first()?.value;
    let mut notices = Vec::with_capacity(claimed.len());
    for one in claimed {
        notices.push(with_link(engine, one.value.notice.clone()).await);
    }
    let receiver = first.receiver.clone();
    let idempotency_key = match claimed {
        [_] => first.id.to_string(),
        several => DeliveryId::of_digest(several.iter().map(|one| &one.value.id), first.notice.at).to_string(),
    };
    Some(Parcel { receiver, idempotency_key, notices, at: engine.now() })
}

/// Links are made when they are sent, and never stored.
async fn with_link(engine: &Engine, mut notice: Notice) -> Notice {
    if notice.kind == NoticeKind::ArchiveReady
        && let Some(job) = &notice.job
    {
        notice.data["link"] = link(engine, job).await;
    }
    notice
}

async fn link(engine: &Engine, job: &JobId) -> serde_json::Value {
    match engine.result_link(&Principal::service(), job).await {
        Ok(link) => json!({ "url": link.url, "expires_at": link.expires_at }),
        Err(e) => {
            tracing::debug!(%job, error = %e, "an archive's notice goes without a link");
            serde_json::Value::Null
        }
    }
}

/// Stores the outcome, whoever changed the delivery meanwhile. What cannot be stored is sent again after the claim.
async fn record(engine: &Engine, claimed: Revised<Delivery>, outcome: &Result<(), NotifyError>) {
    let ports = &engine.inner.ports;
    let attempts = claimed.value.attempts;
    let mut known = claimed;
    for attempt in 0..limits::DECISIONS_MAX {
        if attempt > 0 {
            match load(engine, &known.value).await {
                Ok(Some(now)) if is_open(&now.value, attempts) => known = now,
                Ok(_) => return,
                Err(e) => {
                    tracing::warn!(delivery = %known.value.id, error = %e, "a delivery's outcome cannot be stored yet");
                    ports.clock.sleep(limits::PROGRESS_INTERVAL).await;
                    continue;
                }
            }
        }
        let now = engine.now();
        let next = match outcome {
            Ok(()) => known.value.delivered(now),
            Err(e) => known.value.failed(e, now, ports.chance.number()),
        };
        let ended = next.status != DeliveryStatus::Pending;
        let durability = if ended { Durability::Synced } else { Durability::Lazy };
        let changes = ChangeSet::new().with(Change::PutRecord(Box::new(next.record(known.rev + 1))));
        match engine.commit(changes, durability).await {
            Ok(_) => return tell(&next, outcome),
            Err(StateError::Conflict(_)) => {}
            Err(e) => {
                tracing::warn!(delivery = %next.id, error = %e, "a delivery's outcome cannot be stored yet");
                ports.clock.sleep(limits::PROGRESS_INTERVAL).await;
            }
        }
    }
}

/// Is it still this attempt's?
fn is_open(delivery: &Delivery, attempts: u32) -> bool {
    delivery.status == DeliveryStatus::Pending && delivery.attempts == attempts && delivery.claimed_until.is_some()
}

async fn load(engine: &Engine, delivery: &Delivery) -> Result<Option<Revised<Delivery>>, StateError> {
    let record = engine.inner.ports.state.record(RecordKind::Delivery, delivery.id.as_str()).await?;
    record.map(|record| record.read().map_err(StateError::Corrupt)).transpose()
}

/// One line, and a count, for each change of state.
pub(super) fn tell(delivery: &Delivery, outcome: &Result<(), NotifyError>) {
    let (kind, receiver, event) = (delivery.receiver.kind(), delivery.lane(), delivery.notice.kind.as_str());
    let (id, attempts) = (&delivery.id, delivery.attempts);
    let error = outcome.as_ref().err().map_or("", |e| e.message());
    let told = match delivery.status {
        DeliveryStatus::Delivered => {
            tracing::info!(delivery = %id, receiver, event, attempts, "delivered");
            "delivered"
        }
        DeliveryStatus::Dead => {
            tracing::warn!(delivery = %id, receiver, event, attempts, error, "delivery is dead");
            "dead"
        }
        DeliveryStatus::Pending => {
            tracing::info!(delivery = %id, receiver, event, attempts, error, "delivery failed and is tried again");
            "failed"
        }
    };
    metrics::counter!("filemill_deliveries_total", "kind" => kind, "outcome" => told).increment(1);
}
