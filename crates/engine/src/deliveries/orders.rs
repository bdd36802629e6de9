//! What people may ask of deliveries: a list, one, and to send one again.

use crate::Engine;
use crate::error::CommandError;
use filemill_core::access::Principal;
use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::ids::{DeliveryId, UploadId};
use filemill_core::limits;
use filemill_core::notice::NoticeKind;
use filemill_core::ports::{Change, ChangeSet, Durability, Page, StateError};
use filemill_core::record::{RecordKind, RecordQuery, Recorded, Revised};
use filemill_core::rule::RuleId;
use filemill_core::time::Timestamp;
use serde_json::json;

/// Filters are ANDed.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    pub status: Option<DeliveryStatus>,
    /// Of the receiver: one of [`Receiver::KINDS`](filemill_core::notice::Receiver::KINDS).
    pub kind: Option<String>,
    pub event: Option<NoticeKind>,
    /// The id of a job or dead letter, the name of an alarm.
    pub about: Option<String>,
    pub upload: Option<UploadId>,
    pub rule: Option<RuleId>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub after: Option<DeliveryId>,
    pub limit: u32,
}

impl Engine {
    /// Newest first.
    pub async fn deliveries(&self, who: &Principal, query: &DeliveryQuery) -> Result<Page<Delivery>, CommandError> {
        let records = RecordQuery {
            after: query.after.as_ref().map(ToString::to_string),
            limit: query.limit,
            ..RecordQuery::of(RecordKind::Delivery)
        };
        let records = records
            .within(&who.reach)
            .with("about", query.about.clone())
            .with("upload", query.upload.as_ref().map(ToString::to_string))
            .with("rule", query.rule.as_ref().map(ToString::to_string))
            .with("status", query.status.map(DeliveryStatus::as_str))
            .with("event", query.event.map(NoticeKind::as_str))
            .with("kind", query.kind.clone())
            .between(DeliveryId::PREFIX, query.since, query.until);
        let Page { items, more } = self.read_records(&records).await?;
        Ok(Page { items: items.into_iter().map(|delivery| delivery.value).collect(), more })
    }

    /// How many are pending, and how many dead.
    pub async fn delivery_counts(&self) -> Result<(u64, u64), CommandError> {
        let with = |status: DeliveryStatus| RecordQuery::of(RecordKind::Delivery).with("status", Some(status.as_str()));
        let (pending, dead) = (with(DeliveryStatus::Pending), with(DeliveryStatus::Dead));
        let state = &self.inner.ports.state;
        let (pending, dead) = tokio::join!(state.record_count(&pending), state.record_count(&dead));
        Ok((pending?, dead?))
    }

    pub async fn delivery(&self, who: &Principal, id: &DeliveryId) -> Result<Delivery, CommandError> {
        Ok(self.delivery_for(who, id).await?.value)
    }

    /// What is not theirs is not there.
    async fn delivery_for(&self, who: &Principal, id: &DeliveryId) -> Result<Revised<Delivery>, CommandError> {
        let known: Option<Revised<Delivery>> = self.read_record(id.as_str()).await?;
        let is_within = |delivery: &Revised<Delivery>| match &delivery.value.notice.of {
            Some(of) => who.reach.takes(&of.bucket, &of.key, of.owner.as_ref()),
            None => who.reach.is_everything(),
        };
        known.filter(is_within).ok_or_else(|| CommandError::not_found("delivery", id))
    }

    /// The same notice once more, now; whatever became of it before.
    pub async fn resend_delivery(&self, who: &Principal, id: &DeliveryId) -> Result<Delivery, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let Revised { rev, value } = self.delivery_for(who, id).await?;
            let next = value.resent(self.now()).map_err(|why| CommandError::Conflict {
                code: "not_resendable",
                message: format!("delivery {id} is not sent again: {why}"),
            })?;
            let was = json!({ "status": value.status, "event": value.notice.id, "receiver": value.lane() });
            let audited = match &next.notice.of {
                Some(of) => self.audited_at(who, &of.bucket, "delivery.resend", id, was),
                None => self.audited(who, "delivery.resend", id, was),
            };
            let changes = ChangeSet::new().with(Change::PutRecord(Box::new(next.record(rev + 1)))).with(audited);
            match self.commit(changes, Durability::Synced).await {
                Ok(_) => {
                    let (receiver, event, was) = (next.lane(), next.notice.kind.as_str(), value.status.as_str());
                    tracing::info!(delivery = %id, receiver, event, was, by = %who.name, "delivery is sent again");
                    self.inner.deliveries.ring();
                    return Ok(next);
                }
                Err(StateError::Conflict(_)) => continue,
                Err(e) => return Err(e.into()),
            }
        }
        let message = format!("delivery {id} changes too fast; try again");
        Err(CommandError::Conflict { code: "conflict", message })
    }
}
