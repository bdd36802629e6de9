//! Who is told what: from the ends of jobs and the operator's rules to the deliveries that are due. Pure; the caller stores
//! them in the commit of what they tell, so that nothing ends untold and nothing is told that did not happen.

use crate::archive::ARCHIVE_KIND;
use crate::dead_letter::DeadLetter;
use crate::delivery::Delivery;
use crate::event::EventKind;
use crate::ids::NoticeId;
use crate::job::{Job, JobStatus};
use crate::lifecycle;
use crate::limits;
use crate::message::MessageQueueName;
use crate::notice::{Notice, NoticeKind, NoticeOf, Receiver};
use crate::object::BucketName;
use crate::ports::{Change, ChangeSet};
use crate::record::{Record, RecordKind};
use crate::rule::RuleId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One receiver of the config and what it wants to hear.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifyRule {
    pub on: Vec<NoticeKind>,
    pub receiver: Receiver,
    /// Of this rule's jobs only.
    pub rule: Option<RuleId>,
    /// Of objects in this bucket only.
    pub bucket: Option<BucketName>,
}

/// Whom an upload wants told of its jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadNotify {
    pub on: Vec<NoticeKind>,
    pub receiver: Receiver,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifyRules(Vec<NotifyRule>);

impl NotifyRules {
    pub fn new(rules: Vec<NotifyRule>) -> Result<Self, String> {
        if rules.len() > limits::NOTIFY_RULES_MAX {
            return Err(format!("{} receivers are too many; use up to {}", rules.len(), limits::NOTIFY_RULES_MAX));
        }
        Ok(NotifyRules(rules))
    }

    pub fn all(&self) -> &[NotifyRule] {
        &self.0
    }

    /// The message queues that are told.
    pub fn message_queues(&self) -> impl Iterator<Item = &MessageQueueName> {
        self.0.iter().filter_map(|rule| match &rule.receiver {
            Receiver::Queue { name } => Some(name),
            _ => None,
        })
    }

    /// What a change set makes due. A job ends by this set if the feed is told so by it: an ended one may be stored again, for
    /// example when what it kept is given up. A dead letter of the first revision is new.
    pub fn due(&self, changes: &ChangeSet) -> Vec<Delivery> {
        let mut due = Vec::new();
        for change in &changes.changes {
            match change {
                Change::InsertJob(job) | Change::UpdateJob(job) if ends_by(changes, job) => {
                    due.extend(self.of_ended(job));
                }
                Change::PutRecord(record) if record.kind == RecordKind::DeadLetter && record.rev == 1 => {
                    due.extend(self.of_letter(record));
                }
                _ => {}
            }
        }
        due
    }

    /// The same for the same run of a job, whenever it is asked.
    pub fn of_ended(&self, job: &Job) -> Vec<Delivery> {
        let bucket = Some(&job.input.bucket);
        notices_of(job).into_iter().flat_map(|notice| self.to_receivers(notice, bucket, &job.notify)).collect()
    }

    fn of_letter(&self, record: &Record) -> Vec<Delivery> {
        let Ok(letter) = record.clone().read::<DeadLetter>() else { return Vec::new() };
        self.to_receivers(notice_of_letter(&letter.value), Some(&letter.value.bucket), &[])
    }

    /// Of what is about no job, such as an alarm.
    pub fn of_service(&self, notice: Notice) -> Vec<Delivery> {
        self.to_receivers(notice, None, &[])
    }

    /// Each receiver once, however many rules name it.
    fn to_receivers(&self, notice: Notice, bucket: Option<&BucketName>, wishes: &[UploadNotify]) -> Vec<Delivery> {
        let by_rule = self.0.iter().filter(|rule| rule.takes(&notice, bucket)).map(|rule| &rule.receiver);
        let by_upload = wishes.iter().filter(|wish| wish.on.contains(&notice.kind)).map(|wish| &wish.receiver);
        let is_uploader_s = notice.upload.is_some() && NoticeKind::OF_JOBS.contains(&notice.kind);
        let live = is_uploader_s.then_some(&Receiver::Live);
        let mut receivers: Vec<&Receiver> = live.into_iter().chain(by_rule).chain(by_upload).collect();
        receivers.sort();
        receivers.dedup();
        receivers.into_iter().map(|receiver| Delivery::new(notice.clone(), receiver.clone())).collect()
    }
}

impl NotifyRule {
    fn takes(&self, notice: &Notice, bucket: Option<&BucketName>) -> bool {
        self.on.contains(&notice.kind)
            && (self.rule.is_none() || self.rule == notice.rule)
            && (self.bucket.is_none() || self.bucket.as_ref() == bucket)
    }
}

fn ends_by(changes: &ChangeSet, job: &Job) -> bool {
    let tells_it = |change: &Change| match change {
        Change::Emit(event) => {
            event.job.as_ref() == Some(&job.id) && matches!(event.kind, EventKind::JobCompleted | EventKind::JobFailed)
        }
        _ => false,
    };
    job.status.is_terminal() && changes.changes.iter().any(tells_it)
}

/// What is to be told of a job that has just ended. One that a person cancelled, or that a newer version of its file ended,
/// is no news.
fn notices_of(job: &Job) -> Vec<Notice> {
    let mut kinds = match job.status {
        JobStatus::Completed => vec![NoticeKind::JobCompleted],
        JobStatus::Failed => vec![NoticeKind::JobFailed],
        _ => return Vec::new(),
    };
    if job.rejects > 0 && job.reject_file.is_some() {
        kinds.push(NoticeKind::JobRejects);
    }
    if job.status == JobStatus::Completed && job.process.kind == ARCHIVE_KIND {
        kinds.push(NoticeKind::ArchiveReady);
    }
    kinds.into_iter().map(|kind| notice_of(kind, job)).collect()
}

fn notice_of(kind: NoticeKind, job: &Job) -> Notice {
    let at = job.finished_at.unwrap_or(job.created_at);
    let run = format!("{}/{}", job.id, job.run);
    Notice {
        id: NoticeId::of(&run, kind.as_str(), kind as u8, at),
        kind,
        at,
        about: job.id.to_string(),
        job: Some(job.id.clone()),
        upload: job.upload.clone(),
        rule: Some(job.rule.clone()),
        of: Some(NoticeOf { bucket: job.input.bucket.clone(), key: job.input.key.clone(), owner: job.owner.clone() }),
        data: data_of(job),
    }
}

fn data_of(job: &Job) -> Value {
    let mut data = lifecycle::event(EventKind::JobCompleted, job, job.created_at).data;
    data["job"] = json!(job.id);
    data["run"] = job.run.into();
    data["upload"] = json!(job.upload);
    data["output"] = json!(job.output);
    data["reject_file"] = json!(job.reject_file);
    data["summary"] = job.summary.clone().into();
    data
}

fn notice_of_letter(letter: &DeadLetter) -> Notice {
    let kind = NoticeKind::DeadLetterCreated;
    Notice {
        id: NoticeId::of(letter.id.as_str(), kind.as_str(), kind as u8, letter.died_at),
        kind,
        at: letter.died_at,
        about: letter.task.job.to_string(),
        job: Some(letter.task.job.clone()),
        upload: letter.upload.clone(),
        rule: Some(letter.rule.clone()),
        of: Some(NoticeOf { bucket: letter.bucket.clone(), key: letter.key.clone(), owner: None }),
        data: json!({
            "dead_letter": letter.id,
            "job": letter.task.job,
            "queue": letter.queue,
            "rule": letter.rule,
            "processor": letter.processor,
            "bucket": letter.bucket,
            "key": letter.key,
            "attempts": letter.attempts.len(),
            "failure": { "code": letter.error.code, "message": letter.error.message, "detail": letter.error.detail },
            "fingerprint": letter.fingerprint,
        }),
    }
}

#[cfg(test)]
mod tests;
