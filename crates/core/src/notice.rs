//! What receivers are told, and who they are. A notice carries no secret and no signed link: links are made when it is
//! sent. A receiver is named as the config names it; its address, keys and passwords stay in the config.

use crate::ids::{JobId, KeyId, NoticeId, UploadId};
use crate::limits;
use crate::message::MessageQueueName;
use crate::object::{BucketName, ObjectKey};
use crate::rule::{Name, RuleId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// What may be told; the order is that of things which happen at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NoticeKind {
    #[serde(rename = "job.completed")]
    JobCompleted,
    #[serde(rename = "job.failed")]
    JobFailed,
    /// A job ended and has set records aside.
    #[serde(rename = "job.rejects")]
    JobRejects,
    /// A job that makes an archive completed.
    #[serde(rename = "archive.ready")]
    ArchiveReady,
    #[serde(rename = "dead_letter.created")]
    DeadLetterCreated,
    #[serde(rename = "alarm.raised")]
    AlarmRaised,
    #[serde(rename = "alarm.resolved")]
    AlarmResolved,
}

impl NoticeKind {
    pub const ALL: [NoticeKind; 7] = [
        NoticeKind::JobCompleted,
        NoticeKind::JobFailed,
        NoticeKind::JobRejects,
        NoticeKind::ArchiveReady,
        NoticeKind::DeadLetterCreated,
        NoticeKind::AlarmRaised,
        NoticeKind::AlarmResolved,
    ];
    /// Those about the job of an upload.
    pub const OF_JOBS: [NoticeKind; 4] =
        [NoticeKind::JobCompleted, NoticeKind::JobFailed, NoticeKind::JobRejects, NoticeKind::ArchiveReady];

    pub fn as_str(self) -> &'static str {
        match self {
            NoticeKind::JobCompleted => "job.completed",
            NoticeKind::JobFailed => "job.failed",
            NoticeKind::JobRejects => "job.rejects",
            NoticeKind::ArchiveReady => "archive.ready",
            NoticeKind::DeadLetterCreated => "dead_letter.created",
            NoticeKind::AlarmRaised => "alarm.raised",
            NoticeKind::AlarmResolved => "alarm.resolved",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The same for every receiver and in every repeat.
    pub id: NoticeId,
    pub kind: NoticeKind,
    pub at: Timestamp,
    /// What it is about: the id of a job or dead letter, the name of an alarm. Notices about the same come in order.
    pub about: String,
    #[serde(default)]
    pub job: Option<JobId>,
    #[serde(default)]
    pub upload: Option<UploadId>,
    #[serde(default)]
    pub rule: Option<RuleId>,
    /// Who may see it depends on the file that it is about, if it is about one.
    #[serde(default)]
    pub of: Option<NoticeOf>,
    pub data: Value,
}

/// Whose a notice is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoticeOf {
    pub bucket: BucketName,
    pub key: ObjectKey,
    #[serde(default)]
    pub owner: Option<KeyId>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Receiver {
    /// Whoever listens to the live feed, or asks later what was told.
    Live,
    /// A webhook of the config.
    Webhook {
        name: Name,
    },
    /// A webhook that an upload named, at a host that the config lets uploads name. `origin` is its scheme, host and port.
    UploadWebhook {
        url: String,
        origin: String,
    },
    Email {
        to: EmailAddress,
    },
    /// A message queue of this service.
    Queue {
        name: MessageQueueName,
    },
}

impl Receiver {
    pub const KINDS: [&str; 4] = ["live", "webhook", "email", "queue"];

    /// One of [`KINDS`](Self::KINDS).
    pub fn kind(&self) -> &'static str {
        match self {
            Receiver::Live => "live",
            Receiver::Webhook { .. } | Receiver::UploadWebhook { .. } => "webhook",
            Receiver::Email { .. } => "email",
            Receiver::Queue { .. } => "queue",
        }
    }

    /// How long one call of it may take.
    pub fn patience(&self) -> Duration {
        match self {
            Receiver::Email { .. } => limits::MAIL_TIMEOUT,
            Receiver::Live | Receiver::Webhook { .. } | Receiver::UploadWebhook { .. } | Receiver::Queue { .. } => {
                limits::DELIVERY_TIMEOUT
            }
        }
    }

    /// Deliveries to receivers of one lane wait for one another when it is slow or down. As shown: without an upload's path.
    pub fn lane(&self) -> String {
        match self {
            Receiver::Live => "live".to_owned(),
            Receiver::Webhook { name } => format!("webhook:{name}"),
            // one address that answers badly is no word on the others of its host
            Receiver::UploadWebhook { url, origin } => {
                format!("webhook:{origin}#{}", &hex::encode(Sha256::digest(url.as_bytes()))[..12])
            }
            Receiver::Email { to } => format!("email:{to}"),
            Receiver::Queue { name } => format!("queue:{name}"),
        }
    }

    /// Tells it from every other.
    pub fn identity(&self) -> String {
        match self {
            Receiver::UploadWebhook { url, .. } => format!("webhook:{url}"),
            other => other.lane(),
        }
    }
}

/// `name@host`, in the plain form that needs no quoting: whatever could end a header or begin another is no address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an e-mail address such as \"ops@example.org\"");
        let (name, host) = text.rsplit_once('@').ok_or_else(wrong)?;
        let in_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b);
        let in_host = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
        let dots = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
        let good_name = (1..=64).contains(&name.len()) && name.bytes().all(in_name) && dots(name);
        let good_host = (1..=190).contains(&host.len()) && host.bytes().all(in_host) && dots(host);
        if good_name && good_host { Ok(EmailAddress(text.to_owned())) } else { Err(wrong()) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        EmailAddress::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_end_a_header_is_an_address() {
        for good in ["ops@example.org", "a.b+c@mail.example.org", "x@localhost"] {
            assert!(EmailAddress::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ops",
            "@example.org",
            "ops@",
            "a b@example.org",
            "a@example.org\r\nBcc: all@example.org",
            "a\n@example.org",
            "\"a\"@example.org",
            "<a@example.org>",
            "a@b@example.org",
            "a,b@example.org",
            ".a@example.org",
            "a..b@example.org",
            "a@-\u{e9}.org",
            "a@example..org",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for kind in NoticeKind::ALL {
            assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("json"), kind.as_str());
        }
    }
}
