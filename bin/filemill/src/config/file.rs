//! The config file's shape, word for word. Unknown keys are errors; what the words mean together is checked elsewhere.

use filemill_core::access::TenantName;
use filemill_core::notice::NoticeKind;
use filemill_core::object::BucketName;
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{Name, QueueName, Rule, RuleId};
use filemill_core::size::ByteSize;
use filemill_custom::Definition;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    #[serde(rename = "schema", deserialize_with = "version_one")]
    _schema: (),
    #[serde(default)]
    pub buckets: BTreeMap<BucketName, Bucket>,
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub queues: BTreeMap<QueueName, Queue>,
    /// Processors of the operator's own: commands and services.
    #[serde(default)]
    pub processors: BTreeMap<String, Definition>,
    /// Of one upload, over all generations.
    pub derived_objects_max: Option<u32>,
    #[serde(default)]
    pub server: Server,
    #[serde(default)]
    pub storage: Storage,
    #[serde(default)]
    pub worker: Worker,
    #[serde(default)]
    pub reconcile: Reconcile,
    #[serde(default)]
    pub retention: Retention,
    /// Who is told what.
    #[serde(default)]
    pub notify: Vec<Notify>,
    pub smtp: Option<Smtp>,
    #[serde(default)]
    pub outbound: Outbound,
    #[serde(default)]
    pub alarms: Vec<Alarm>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bucket {
    pub max_size: Option<ByteSize>,
    pub tenant: Option<TenantName>,
    /// Objects are removed at this age.
    #[serde(deserialize_with = "duration")]
    pub expire_after: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    #[serde(deserialize_with = "duration")]
    pub lease: Option<Duration>,
    /// Of its rules that have none of their own.
    pub retry: Option<RetryPolicy>,
    pub max_running: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub listen: Option<SocketAddr>,
    pub s3_listen: Option<SocketAddr>,
    pub data: Option<PathBuf>,
    pub public_s3_url: Option<String>,
    pub default_bucket: Option<BucketName>,
    pub allowed_origins: Vec<String>,
    /// A second.
    pub requests_per_key: Option<NonZeroU32>,
    /// A second.
    pub requests_per_address: Option<NonZeroU32>,
    /// A minute.
    pub refusals_per_address: Option<NonZeroU32>,
    /// Hosts, as `host:port`, at which uploads may name webhooks.
    pub upload_webhooks: Vec<String>,
    pub upload_webhook_sign: Option<OneOrMore>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
}

/// How the embedded store looks after what it keeps.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// New content leaves this much of the disk free.
    pub reserve: Option<ByteSize>,
    /// Stored bytes are read again this fast, a second; 0: never.
    pub scrub_rate: Option<ByteSize>,
    #[serde(deserialize_with = "duration")]
    pub scrub_every: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Pretty,
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    pub tasks: Option<u32>,
    pub chunks: Option<u32>,
    pub chunk_size: Option<ByteSize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// What alarms and lists call it.
    pub id: Option<Name>,
    #[serde(default)]
    pub on: Vec<NoticeKind>,
    pub kind: NotifyKind,
    /// May hold a secret in its path.
    pub url: Option<Secret>,
    /// The key, or two while they are being changed.
    pub sign: Option<OneOrMore>,
    pub to: Option<OneOrMore>,
    pub rule: Option<RuleId>,
    pub bucket: Option<BucketName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyKind {
    Webhook,
    Email,
    Queue,
}

/// A figure and its limit: exactly one of the four.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    pub id: Name,
    pub metric: String,
    pub queue: Option<QueueName>,
    pub rule: Option<RuleId>,
    pub above: Option<Number>,
    pub at_least: Option<Number>,
    pub below: Option<Number>,
    pub at_most: Option<Number>,
    #[serde(default, rename = "for", deserialize_with = "duration")]
    pub lasts: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub window: Option<Duration>,
    #[serde(default)]
    pub notify: Vec<String>,
    #[serde(default, deserialize_with = "duration")]
    pub repeat: Option<Duration>,
    #[serde(default = "yes")]
    pub resolve: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number, or a text such as \"5%\", \"5m\" or \"1GiB\"")]
pub enum Number {
    Plain(f64),
    Text(String),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Plain(number) => number.fmt(f),
            Number::Text(text) => write!(f, "{text:?}"),
        }
    }
}

fn yes() -> bool {
    true
}

/// The operator's mail server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// `host:port`
    pub server: String,
    #[serde(default)]
    pub tls: SmtpTls,
    pub from: String,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub ca: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    #[default]
    Starttls,
    Tls,
    None,
}

/// Exceptions of the outbound guard, for webhooks and mail.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    pub allow: Vec<String>,
}

/// Shown by nothing.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub enum OneOrMore {
    One(Secret),
    More(Vec<Secret>),
}

impl OneOrMore {
    pub fn all(&self) -> &[Secret] {
        match self {
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(more) => more,
        }
    }
}

/// The listing of buckets against the records of their files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    pub enabled: bool,
    #[serde(deserialize_with = "duration")]
    pub every: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub settle: Option<Duration>,
}

impl Default for Reconcile {
    fn default() -> Self {
        Reconcile { enabled: true, every: None, settle: None }
    }
}

/// How long records are kept once nothing happens to them any more; `"never"` removes none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    pub jobs: Option<Kept>,
    pub events: Option<Kept>,
    pub uploads: Option<Kept>,
    pub removed_files: Option<Kept>,
    pub deliveries: Option<Kept>,
    pub dead_letters: Option<Kept>,
    pub audit: Option<Kept>,
}

#[derive(Clone, Copy, Debug)]
pub enum Kept {
    For(Duration),
    ForEver,
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        if text == "never" {
            return Ok(Kept::ForEver);
        }
        let days = filemill_core::duration::parse_duration(&text);
        days.map(Kept::For).map_err(|e| D::Error::custom(format!("{e}, or \"never\"")))
    }
}

fn version_one<'de, D: Deserializer<'de>>(d: D) -> Result<(), D::Error> {
    match i64::deserialize(d)? {
        1 => Ok(()),
        other => Err(D::Error::custom(format!("this version of filemill reads schema 1, not {other}"))),
    }
}

fn duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    filemill_core::duration::text::deserialize(d).map(Some)
}
