//! Which ends of jobs are told to whom.

use super::*;
use crate::ids::{JobId, UploadId};
use crate::notice::EmailAddress;
use crate::object::ObjectRef;
use crate::rule::Name;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn job(status: &str) -> Job {
    serde_json::from_value(json!({
        "id": JobId::of("uploads", "a", "1", "hello", NOW), "rev": 3, "status": status, "rule": "hello",
        "process": { "kind": "lines.prefix" }, "input": { "bucket": "uploads", "key": "a", "size": 9, "etag": "e" },
        "sequencer": "1", "target": { "bucket": "results", "key": "a" }, "output": null, "queue": "default",
        "retry": { "attempts": 5, "backoff": "1s..1m" }, "delete_source": false, "run": 1, "plan": null,
        "multipart": null, "chunks_planned": 0, "chunks_done": 0, "bytes_in": 9, "bytes_out": 9, "rejects": 0,
        "attempts": 1, "failure": null, "upload": null, "generation": 0, "created_at": NOW, "started_at": null,
        "finished_at": NOW.plus(std::time::Duration::from_secs(1)),
    }))
    .expect("a job")
}

fn hook(name: &str) -> Receiver {
    Receiver::Webhook { name: Name::parse(name).expect(name) }
}

fn rules(rules: &[(&[NoticeKind], Receiver)]) -> NotifyRules {
    let rule = |(on, receiver): &(&[NoticeKind], Receiver)| NotifyRule {
        on: on.to_vec(),
        receiver: receiver.clone(),
        rule: None,
        bucket: None,
    };
    NotifyRules::new(rules.iter().map(rule).collect()).expect("few")
}

fn told(rules: &NotifyRules, job: &Job) -> Vec<String> {
    rules.of_ended(job).iter().map(|d| format!("{} {}", d.receiver.lane(), d.notice.kind)).collect()
}

#[test]
fn an_end_is_told_to_each_who_wants_it_once() {
    let ops = Receiver::Email { to: EmailAddress::parse("ops@example.org").expect("an address") };
    let both = [NoticeKind::JobCompleted, NoticeKind::JobFailed];
    let rules = rules(&[(&both, hook("a")), (&[NoticeKind::JobFailed], ops), (&both, hook("a"))]);
    assert_eq!(told(&rules, &job("completed")), ["webhook:a job.completed"]);
    assert_eq!(told(&rules, &job("failed")), ["webhook:a job.failed", "email:ops@example.org job.failed"]);
    for silent in ["queued", "running", "cancelled"] {
        assert_eq!(told(&rules, &job(silent)), [""; 0], "{silent}");
    }
}

#[test]
fn only_of_the_rule_and_the_bucket_that_were_named() {
    let mut only = NotifyRule { on: vec![NoticeKind::JobCompleted], receiver: hook("a"), rule: None, bucket: None };
    only.rule = Some(Name::parse("other").expect("a name"));
    assert!(told(&NotifyRules::new(vec![only.clone()]).expect("one"), &job("completed")).is_empty());
    only.rule = Some(Name::parse("hello").expect("a name"));
    only.bucket = Some(BucketName::parse("elsewhere").expect("a name"));
    assert!(told(&NotifyRules::new(vec![only.clone()]).expect("one"), &job("completed")).is_empty());
    only.bucket = Some(BucketName::parse("uploads").expect("a name"));
    assert_eq!(told(&NotifyRules::new(vec![only]).expect("one"), &job("completed")).len(), 1);
}

#[test]
fn rejects_and_archives_are_told_behind_the_end_itself() {
    let rules = rules(&[(&NoticeKind::OF_JOBS, hook("a"))]);
    let mut job = job("completed");
    job.rejects = 2;
    job.reject_file = Some(ObjectRef { ..job.input.clone() });
    job.process.kind = ARCHIVE_KIND.into();
    assert_eq!(told(&rules, &job), ["webhook:a job.completed", "webhook:a job.rejects", "webhook:a archive.ready"]);
    let ids: Vec<_> = rules.of_ended(&job).into_iter().map(|d| d.id).collect();
    assert!(ids.is_sorted(), "they are sent in this order");
}

#[test]
fn an_upload_s_wishes_go_with_its_job_and_its_uploader_can_read_what_was_told() {
    let mut job = job("failed");
    job.upload = Some(UploadId::new(NOW, [0; 10]));
    let receiver = Receiver::UploadWebhook { url: "https://h/x".into(), origin: "https://h".into() };
    job.notify = vec![UploadNotify { on: vec![NoticeKind::JobFailed], receiver }];
    assert_eq!(told(&NotifyRules::default(), &job), ["live job.failed", "webhook:https://h#29c7358107b5 job.failed"]);
}

#[test]
fn the_same_end_makes_the_same_deliveries_and_another_run_makes_others() {
    let rules = rules(&[(&[NoticeKind::JobFailed], hook("a"))]);
    let first = job("failed");
    assert_eq!(rules.of_ended(&first), rules.of_ended(&first));
    let mut again = first.clone();
    again.run = 2;
    assert_ne!(rules.of_ended(&first)[0].id, rules.of_ended(&again)[0].id);
    assert_ne!(rules.of_ended(&first)[0].notice.id, rules.of_ended(&again)[0].notice.id);
}

#[test]
fn an_ended_job_that_is_stored_again_is_no_news() {
    let rules = rules(&[(&[NoticeKind::JobFailed], hook("a"))]);
    let stored = || ChangeSet::new().with(Change::UpdateJob(Box::new(job("failed"))));
    assert!(rules.due(&stored()).is_empty());
    let ends = Change::Emit(lifecycle::event(EventKind::JobFailed, &job("failed"), NOW));
    assert_eq!(rules.due(&stored().with(ends)).len(), 1);
}
