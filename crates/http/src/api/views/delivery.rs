//! A delivery as clients see it. Of a webhook that an upload named only the host is shown: the rest may be a secret.

use filemill_core::access::{Principal, Scope, TenantName};
use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::ids::{DeliveryId, JobId, NoticeId, UploadId};
use filemill_core::notice::{NoticeKind, Receiver};
use filemill_core::rule::RuleId;
use filemill_core::time::Timestamp;
use filemill_engine::Engine;
use serde::Serialize;
use utoipa::ToSchema;

/// One notice on its way to one receiver.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery, example = json!({
    "id": "dlv_01kagnz8sv1g2k3h4j5m6n7p8q", "status": "dead", "tenant": "default", "kind": "webhook", "receiver": "webhook:hooks",
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
    /// Whose it is: the bucket of the file that it is about says; null: the whole service's.
    #[schema(value_type = Option<String>, example = "default")]
    pub tenant: Option<TenantName>,
    /// Of the receiver: `live`, `webhook`, `email` or `queue`.
    pub kind: &'static str,
    /// As the config names it; of an upload's webhook the host. Addresses of people are for those who may inspect.
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
    /// Of the last try that failed. Those who may not inspect see the status of the answer, or that there was none.
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

impl DeliveryView {
    pub fn of(delivery: Delivery, who: &Principal, engine: &Engine) -> Self {
        let tenant = delivery.notice.of.as_ref().map(|of| engine.tenant_of(&of.bucket));
        DeliveryView::of_tenant(delivery, who, tenant)
    }

    fn of_tenant(delivery: Delivery, who: &Principal, tenant: Option<TenantName>) -> Self {
        let may_inspect = who.may(Scope::Inspect);
        let is_hidden = matches!(delivery.receiver, Receiver::Email { .. }) && !may_inspect;
        let notice = delivery.notice;
        DeliveryView {
            status: delivery.status,
            tenant,
            kind: delivery.receiver.kind(),
            receiver: if is_hidden { "email".to_owned() } else { delivery.receiver.lane() },
            event: notice.kind,
            event_id: notice.id,
            about: notice.about,
            job: notice.job,
            upload: notice.upload,
            rule: notice.rule,
            data: notice.data,
            attempts: delivery.attempts,
            last_error: delivery.last_error.map(|error| if may_inspect { error } else { kind_of(&error) }),
            created_at: notice.at,
            last_attempt_at: delivery.last_attempt_at,
            next_attempt_at: delivery.due_at,
            ended_at: delivery.ended_at,
            id: delivery.id,
        }
    }
}

/// Without names of servers and the addresses that they lead to: these are the operator's affair.
fn kind_of(error: &str) -> String {
    let answered = error.strip_prefix("status ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    answered.map_or_else(|| "the receiver was not reached".to_owned(), |status| format!("status {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::access::Role;
    use filemill_core::audit::Actor;
    use filemill_core::notice::{EmailAddress, Notice};

    fn notice() -> Notice {
        Notice {
            id: NoticeId::of("job/1", "job.failed", 1, Timestamp::ZERO),
            kind: NoticeKind::JobFailed,
            at: Timestamp::ZERO,
            about: "job".into(),
            job: None,
            upload: None,
            rule: None,
            of: None,
            data: serde_json::Value::Null,
        }
    }

    #[test]
    fn addresses_of_people_are_for_those_who_may_inspect() {
        let to = EmailAddress::parse("ops@example.org").expect("an address");
        let delivery = Delivery::new(notice(), Receiver::Email { to });
        for (role, told) in [(Role::Uploader, "email"), (Role::Viewer, "email:ops@example.org")] {
            let who = Principal { role, ..Principal::unlimited(Actor::named("somebody")) };
            assert_eq!(DeliveryView::of_tenant(delivery.clone(), &who, None).receiver, told);
        }
    }

    #[test]
    fn where_a_receiver_leads_is_for_those_who_may_inspect() {
        let inside = "hooks.example.org leads to a private address, 10.1.2.3; list it";
        let cases = [
            (inside, "the receiver was not reached"),
            ("status 410: the receiver is gone for good", "status 410"),
            ("status of 10.1.2.3", "the receiver was not reached"),
        ];
        for (error, told) in cases {
            let failed = Delivery { last_error: Some(error.into()), ..Delivery::new(notice(), Receiver::Live) };
            for (role, told) in [(Role::Uploader, told), (Role::Viewer, error)] {
                let who = Principal { role, ..Principal::unlimited(Actor::named("somebody")) };
                let seen = DeliveryView::of_tenant(failed.clone(), &who, None).last_error;
                assert_eq!(seen.as_deref(), Some(told), "{role:?}");
            }
        }
    }
}
