//! The configuration: one TOML file, overridden by environment and flags, checked as a whole before anything starts.
//!
//! An error names the file, the line, the key and what to do. Secrets come by reference and show up in no message.

mod alarms;
pub mod file;
mod notify;
mod references;
mod times;

use crate::backends;
use crate::exit::Ending;
use anyhow::Result;
use file::{ConfigFile, LogFormat};
use filemill_core::alarm::AlarmRule;
use filemill_core::key_template::KeyParts;
use filemill_core::limits;
use filemill_core::notify::NotifyRules;
use filemill_core::object::BucketName;
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{QueueName, Rule, RuleSet};
use filemill_custom::Definition;
use filemill_engine::{BucketSettings, EngineConfig, QueueSettings, ReconcileSettings, Registry, Retention};
use filemill_http::Rates;
use filemill_notify::Receivers;
use references::{ReferenceError, Resolved, Sources};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What runs without a config file.
pub const STARTER: &str = include_str!("../../../filemill.toml");
pub const STARTER_NAME: &str = "the built-in starter config";
pub const DATA_DEFAULT: &str = "filemill-data";

const CONFIG_BYTES_MAX: u64 = limits::MIB;
const LEASE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const TASKS_RANGE: RangeInclusive<u32> = 1..=1024;
const CHUNKS_RANGE: RangeInclusive<u32> = 1..=256;
const DERIVED_OBJECTS_RANGE: RangeInclusive<u32> = 1..=limits::DERIVED_OBJECTS_MAX as u32;
const SCRUB_RATE_RANGE: RangeInclusive<u64> = 0..=limits::GIB;
const SCRUB_EVERY_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);
/// Small chunks cost more than they bring; they are allowed because they make tests quick.
const CHUNK_SIZE_RANGE: RangeInclusive<u64> = 64 * limits::KIB..=limits::SINGLE_PUT_BYTES_MAX;

/// A configuration that was checked.
pub struct Config {
    /// The file's name, for people.
    pub name: String,
    pub server: ServerSettings,
    pub storage: file::Storage,
    pub rules: RuleSet,
    /// The built-in ones and those that the file defines.
    pub processors: Registry,
    defined: BTreeMap<String, Definition>,
    buckets: BTreeMap<BucketName, BucketSettings>,
    queues: BTreeMap<QueueName, QueueSettings>,
    default_bucket: BucketName,
    notify: NotifyRules,
    alarms: Vec<AlarmRule>,
    /// How those whom the file names are reached.
    pub receivers: Receivers,
    worker: file::Worker,
    derived_objects_max: usize,
    reconcile: ReconcileSettings,
    retention: Retention,
    resolved: Resolved,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({})", self.name)
    }
}

#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub s3_listen: SocketAddr,
    pub data: PathBuf,
    pub public_s3_url: Option<String>,
    pub allowed_origins: Vec<String>,
    pub rates: Rates,
    pub log: String,
    pub log_format: LogFormat,
}

/// Flags and environment: they win over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub listen: Option<SocketAddr>,
    pub s3_listen: Option<SocketAddr>,
    pub data: Option<PathBuf>,
    pub public_s3_url: Option<String>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
}

impl Config {
    /// Reads the file, or the starter config if none is given.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config> {
        let (name, folder, text) = match path {
            None => (STARTER_NAME.to_owned(), PathBuf::new(), STARTER.to_owned()),
            Some(path) => {
                let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                (path.display().to_string(), folder, read(path)?)
            }
        };
        let env = |name: &str| std::env::var(name).ok();
        let parsed = parse(&name, &text, &Sources { env: &env, folder: &folder })?;
        assemble(name, &folder, parsed, overrides)
    }

    /// The value without the secrets that references brought into it.
    pub fn without_secrets(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.resolved.redact(&text).into(),
            Value::Array(items) => items.into_iter().map(|v| self.without_secrets(v)).collect(),
            Value::Object(map) => map.into_iter().map(|(k, v)| (k, self.without_secrets(v))).collect(),
            other => other,
        }
    }

    /// Has the operator processors of their own?
    pub fn defines_processors(&self) -> bool {
        !self.defined.is_empty()
    }

    /// For a service: commands work in `scratch`, which is its own.
    pub fn processors_in(&self, scratch: &Path) -> Result<Registry> {
        backends::processors(&self.defined, Some(scratch)).map_err(Ending::usage)
    }

    pub fn engine(&self, worker: String) -> EngineConfig {
        let mut engine = EngineConfig::new(worker, self.default_bucket.clone(), self.rules.clone());
        engine.buckets = self.buckets.clone();
        engine.queues = self.queues.clone();
        engine.notify = self.notify.clone();
        engine.alarms = self.alarms.clone();
        engine.tasks_max = self.worker.tasks.unwrap_or(engine.tasks_max);
        engine.chunks_max = self.worker.chunks.unwrap_or(engine.chunks_max);
        engine.scrub_bytes_per_sec = self.storage.scrub_rate.map_or(engine.scrub_bytes_per_sec, |rate| rate.0);
        engine.scrub_every = self.storage.scrub_every.unwrap_or(engine.scrub_every);
        engine.derived_objects_max = self.derived_objects_max;
        engine.reconcile = self.reconcile;
        engine.retention = self.retention;
        if let Some(size) = self.worker.chunk_size {
            engine.chunk_limits.chunk_bytes = size.0;
        }
        engine
    }
}

fn read(path: &Path) -> Result<String> {
    let wrong = |e: &dyn std::fmt::Display| Ending::usage(format!("cannot read the config {}: {e}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
    if size > CONFIG_BYTES_MAX {
        return Err(wrong(&format_args!("{size} bytes are too many for a config file")));
    }
    std::fs::read_to_string(path).map_err(|e| wrong(&e))
}

/// `name:line:column: key: what is wrong`
fn parse(name: &str, text: &str, sources: &Sources<'_>) -> Result<(ConfigFile, Resolved)> {
    let wrong = |at: usize, message: &str| {
        let (line, column) = position(text, at);
        Ending::usage(format!("{name}:{line}:{column}: {message}"))
    };
    let of_toml = |e: &toml::de::Error| e.span().map_or(0, |s| s.start);
    let mut table = toml::de::DeTable::parse(text).map_err(|e| wrong(of_toml(&e), e.message()))?;
    let resolved =
        references::resolve(&mut table, sources).map_err(|ReferenceError { at, message }| wrong(at, &message))?;
    let read = serde_path_to_error::deserialize(toml::de::Deserializer::from(table));
    let file = read.map_err(|e| {
        let at = of_toml(e.inner());
        let message = resolved.redact(e.inner().message());
        match e.path().to_string().as_str() {
            "." => wrong(at, &message),
            key => wrong(at, &format!("{key}: {message}")),
        }
    })?;
    Ok((file, resolved))
}

/// Line and column of a byte, from 1, in characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn assemble(
    name: String,
    folder: &Path,
    (file, resolved): (ConfigFile, Resolved),
    overrides: &Overrides,
) -> Result<Config> {
    let checked = checked(folder, file, overrides);
    let checked = checked.map_err(|e| Ending::usage(format!("{name}: {}", resolved.redact(&e))))?;
    Ok(Config { name, resolved, ..checked })
}

/// What the words mean together. Errors may still hold secrets.
fn checked(folder: &Path, file: ConfigFile, overrides: &Overrides) -> Result<Config, String> {
    check_limits(&file)?;
    let processors = backends::processors(&file.processors, None)?;
    for rule in &file.rules {
        check_rule(rule, &file).map_err(|e| format!("rule {:?}: {e}", rule.id.as_str()))?;
    }
    let notifications = notify::read(&file)?;
    let alarms = alarms::read(&file, &notifications.rules)?;
    let default_bucket = match (&file.server.default_bucket, file.rules.first()) {
        (Some(bucket), _) => bucket.clone(),
        (None, Some(rule)) => rule.from.clone(),
        (None, None) => BucketName::parse("uploads").expect("a good name"),
    };
    let queue = |q: file::Queue| QueueSettings { lease: q.lease, retry: q.retry, max_running: q.max_running };
    let buckets = file.buckets.into_iter().map(|(name, b)| (name, settings_of(b)));
    let config = Config {
        name: String::new(),
        server: server_settings(folder, &file.server, overrides)?,
        storage: file.storage,
        rules: RuleSet::new(file.rules)?,
        processors,
        defined: file.processors,
        buckets: buckets.collect(),
        queues: file.queues.into_iter().map(|(name, q)| (name, queue(q))).collect(),
        default_bucket,
        notify: notifications.rules,
        alarms,
        receivers: notifications.receivers,
        worker: file.worker,
        derived_objects_max: file.derived_objects_max.map_or(limits::DERIVED_OBJECTS_DEFAULT, |n| n as usize),
        reconcile: times::reconcile(&file.reconcile),
        retention: times::retention(&file.retention),
        resolved: Resolved::default(),
    };
    config.engine("check".into()).check(&config.processors).map_err(|e| e.to_string())?;
    Ok(config)
}

fn settings_of(bucket: file::Bucket) -> BucketSettings {
    BucketSettings { max_size: bucket.max_size, expire_after: bucket.expire_after, tenant: bucket.tenant }
}

fn check_limits(file: &ConfigFile) -> Result<(), String> {
    times::check(file)?;
    for (name, queue) in &file.queues {
        queue.retry.as_ref().map_or(Ok(()), RetryPolicy::check).map_err(|e| format!("queues.{name}: {e}"))?;
        within(&format!("queues.{name}.max_running"), queue.max_running, &(1..=u32::MAX))?;
        if queue.lease.is_some_and(|l| !LEASE_RANGE.contains(&l)) {
            return Err(format!("queues.{name}.lease: use \"1s\" to \"1h\""));
        }
    }
    within("derived_objects_max", file.derived_objects_max, &DERIVED_OBJECTS_RANGE)?;
    within("worker.tasks", file.worker.tasks, &TASKS_RANGE)?;
    within("worker.chunks", file.worker.chunks, &CHUNKS_RANGE)?;
    if file.worker.chunk_size.is_some_and(|s| !CHUNK_SIZE_RANGE.contains(&s.0)) {
        return Err("worker.chunk_size: use \"64KiB\" to \"5GiB\" (\"8MiB\" or more is quickest)".into());
    }
    if file.storage.scrub_rate.is_some_and(|rate| !SCRUB_RATE_RANGE.contains(&rate.0)) {
        return Err("storage.scrub_rate: use up to \"1GiB\" (a second), or 0 for never".into());
    }
    if file.storage.scrub_every.is_some_and(|every| !SCRUB_EVERY_RANGE.contains(&every)) {
        return Err("storage.scrub_every: use \"1s\" to \"366d\"".into());
    }
    Ok(())
}

fn within(key: &str, value: Option<u32>, range: &RangeInclusive<u32>) -> Result<(), String> {
    match value {
        Some(v) if !range.contains(&v) => Err(format!("{key} is {v}; use {} to {}", range.start(), range.end())),
        _ => Ok(()),
    }
}

fn check_rule(rule: &Rule, file: &ConfigFile) -> Result<(), String> {
    if rule.queue.as_str() != "default" && !file.queues.contains_key(&rule.queue) {
        let known: Vec<&str> = file.queues.keys().map(|q| q.as_str()).collect();
        let known = if known.is_empty() { "default".to_owned() } else { known.join(", ") };
        return Err(format!("there is no [queues.{}]; known are {known}", rule.queue));
    }
    if rule.output.bucket == rule.from && overwrites_its_input(rule) {
        return Err("its result would overwrite its own input; give output another bucket or key".into());
    }
    Ok(())
}

fn overwrites_its_input(rule: &Rule) -> bool {
    ["name", "folder/name.ext"].iter().any(|key| {
        let parts = KeyParts { bucket: rule.from.as_str(), key, rule: rule.id.as_str() };
        rule.output.key.key_for(parts).is_ok_and(|filled| filled.as_str() == *key)
    })
}

fn server_settings(folder: &Path, file: &file::Server, overrides: &Overrides) -> Result<ServerSettings, String> {
    let data = match (&overrides.data, &file.data) {
        (Some(data), _) => data.clone(),
        (None, Some(data)) => folder.join(data),
        (None, None) => PathBuf::from(DATA_DEFAULT),
    };
    let public_s3_url = overrides.public_s3_url.clone().or_else(|| file.public_s3_url.clone());
    if let Some(url) = &public_s3_url {
        check_public_url(url).map_err(|e| format!("server.public_s3_url: {e}"))?;
    }
    for origin in &file.allowed_origins {
        check_public_url(origin).map_err(|e| format!("server.allowed_origins: {origin:?}: {e}"))?;
    }
    let or = |given: Option<SocketAddr>, file: Option<SocketAddr>, port: u16| {
        given.or(file).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
    };
    Ok(ServerSettings {
        listen: or(overrides.listen, file.listen, 8080),
        s3_listen: or(overrides.s3_listen, file.s3_listen, 9000),
        data,
        public_s3_url,
        allowed_origins: file.allowed_origins.clone(),
        rates: rates(file),
        log: overrides.log.clone().or_else(|| file.log.clone()).unwrap_or_else(|| "info".into()),
        log_format: overrides.log_format.or(file.log_format).unwrap_or_default(),
    })
}

fn rates(file: &file::Server) -> Rates {
    let usual = Rates::default();
    Rates {
        per_key: file.requests_per_key.unwrap_or(usual.per_key),
        per_address: file.requests_per_address.unwrap_or(usual.per_address),
        refusals_per_address: file.refusals_per_address.unwrap_or(usual.refusals_per_address),
    }
}

fn check_public_url(text: &str) -> Result<(), String> {
    let wrong = |why: &str| format!("{why}; write for example \"https://files.example.org\"");
    let url = url::Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("it is no http(s) address"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(wrong("give scheme, host and port only (links are signed for the bucket's path)"));
    }
    Ok(())
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
