//! The config file's shape, word for word. Unknown keys are errors; what the words mean together is checked elsewhere.

use filemill_core::access::TenantName;
use filemill_core::object::BucketName;
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{QueueName, Rule};
use filemill_core::size::ByteSize;
use filemill_custom::Definition;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::collections::BTreeMap;
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
    #[serde(default, rename = "notify", deserialize_with = "notifications_come_later")]
    _notify: (),
    #[serde(default, rename = "alarms", deserialize_with = "alarms_come_later")]
    _alarms: (),
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

fn notifications_come_later<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::custom("notifications come with a later version; leave [[notify]] out (the live feed tells of jobs)"))
}

fn alarms_come_later<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::custom("alarms come with a later version; leave [[alarms]] out (/metrics has the figures)"))
}
