//! A delivery as clients see it. Of a webhook that an upload named only the host is shown: the rest may be a secret.

use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::ids::{DeliveryId, JobId, NoticeId, UploadId};
use filemill_core::notice::NoticeKind;
use filemill_core::rule::RuleId;
use filemill_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// One notice on its way to one receiver.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery, example = json!({
    "id": "dlv_01kagnz8sv1g2k3h4j5m6n7p8q", "status": "dead", "kind": "webhook", "receiver": "webhook:hooks",
    "event": "job.failed", "event_id": "evt_01kagnz8sv1g2k3h4j5m6n7p8q", "about": "job_01kagnz8sv1g2k3h4j5m6n7p8q",
    "job": "job_01kagnz8sv1g2k3h4j5m6n7p8q", "upload": null, "rule": "hello-lines", "data": {"status": "failed"},
    "attempts": 13, "last_error": "status 500", "created_at": "2026-11-20T12:00:00.000Z",
    "last_attempt_at": "2026-11-21T12:00:00.000Z", "next_attempt_at": null, "ended_at": "2026-11-21T12:00:00.100Z",
}))]
pub struct DeliveryView {
    #[schema(value_type = String)]
    pub id: DeliveryId,
    #[schema(value_type = String, example = "delivered")]
    pub status: DeliveryStatus,
    /// Of the receiver: `live`, `webhook`, `email` or `queue`.
    pub kind: &'static str,
    /// As the config names it; of an upload's webhook the host.
    pub receiver: String,
    /// What is told.
    #[schema(value_type = String, example = "job.completed")]
    pub event: NoticeKind,
    /// The same in every repeat, and for every receiver.
    #[schema(value_type = String)]
    pub event_id: NoticeId,
    /// The id of a job or dead letter, or the name of an alarm.
    pub about: String,
    #[schema(value_type = Option<String>)]
    pub job: Option<JobId>,
    #[schema(value_type = Option<String>)]
    pub upload: Option<UploadId>,
    #[schema(value_type = Option<String>)]
    pub rule: Option<RuleId>,
    /// As the receiver gets it, but for links, which are made when it is sent.
    pub data: serde_json::Value,
    pub attempts: u32,
    pub last_error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_attempt_at: Option<Timestamp>,
    /// While pending; sooner if its receiver comes back, later while it is down.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let notice = delivery.notice;
        DeliveryView {
            status: delivery.status,
            kind: delivery.receiver.kind(),
            receiver: delivery.receiver.lane(),
            event: notice.kind,
            event_id: notice.id,
            about: notice.about,
            job: notice.job,
            upload: notice.upload,
            rule: notice.rule,
            data: notice.data,
            attempts: delivery.attempts,
            last_error: delivery.last_error,
            created_at: notice.at,
            last_attempt_at: delivery.last_attempt_at,
            next_attempt_at: delivery.due_at,
            ended_at: delivery.ended_at,
            id: delivery.id,
        }
    }
}
