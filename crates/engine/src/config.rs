//! What an engine is told: rules, buckets, queues and how hard to work.

use crate::error::ConfigError;
use crate::keys::MasterKey;
use crate::registry::Registry;
use filemill_core::access::{Tenancy, TenantName};
use filemill_core::alarm::AlarmRule;
use filemill_core::chunks::ChunkLimits;
use filemill_core::limits;
use filemill_core::notify::NotifyRules;
use filemill_core::object::BucketName;
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{QueueName, Rule, RuleSet};
use filemill_core::rule_loops;
use filemill_core::size::ByteSize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Leases are held under this name; unique per process.
    pub worker: String,
    pub rules: RuleSet,
    pub buckets: BTreeMap<BucketName, BucketSettings>,
    /// Where uploads go that name no bucket.
    pub default_bucket: BucketName,
    /// Who is told what.
    pub notify: NotifyRules,
    pub alarms: Vec<AlarmRule>,
    pub queues: BTreeMap<QueueName, QueueSettings>,
    /// Tasks in flight; most of their time they wait for the disk.
    pub tasks_max: u32,
    /// Cores for chunk tasks. Work elsewhere takes half of one, or none while it rests.
    pub chunks_max: u32,
    pub chunk_limits: ChunkLimits,
    /// Objects that are made of one upload, over all generations.
    pub derived_objects_max: usize,
    pub lease: Duration,
    pub no_progress_timeout: Duration,
    pub task_timeout: Duration,
    pub sweep_interval: Duration,
    /// Stored bytes read again; 0: never.
    pub scrub_bytes_per_sec: u64,
    /// From the beginning of a round to that of the next.
    pub scrub_every: Duration,
    pub reconcile: ReconcileSettings,
    pub retention: Retention,
    pub upload_link_ttl: Duration,
    pub download_link_ttl: Duration,
    /// What the S3 secrets of keys are made from. Without it keys have none.
    pub master_key: Option<MasterKey>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Larger objects are refused at the door.
    pub max_size: Option<ByteSize>,
    /// Objects are removed at this age.
    pub expire_after: Option<Duration>,
    /// Whose it is; none: the default tenant's.
    pub tenant: Option<TenantName>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSettings {
    pub lease: Option<Duration>,
    /// Of its rules that have none of their own.
    pub retry: Option<RetryPolicy>,
    pub max_running: Option<u32>,
}

/// How buckets are compared with the records of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcileSettings {
    /// `None`: only when somebody asks.
    pub every: Option<Duration>,
    /// What looks wrong is looked at again after this long.
    pub settle: Duration,
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        ReconcileSettings { every: Some(limits::RECONCILE_EVERY), settle: limits::RECONCILE_SETTLE }
    }
}

/// How long records are kept once nothing happens to them any more; `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Ended ones, from their end. One with a dead letter stays as long as `dead_letters` at least.
    pub jobs: Option<Duration>,
    /// Of the live feed; there are never more than [`limits::EVENTS_KEPT`].
    pub events: Option<Duration>,
    /// Received and expired ones, from the end of their link.
    pub uploads: Option<Duration>,
    /// What is known of objects that are gone, from their removal.
    pub removed_files: Option<Duration>,
    pub deliveries: Option<Duration>,
    pub dead_letters: Option<Duration>,
    pub audit: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        Retention {
            jobs: days(90),
            events: days(30),
            uploads: days(30),
            removed_files: days(30),
            deliveries: days(30),
            dead_letters: days(14),
            audit: days(365),
        }
    }
}

impl EngineConfig {
    pub fn new(worker: String, default_bucket: BucketName, rules: RuleSet) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2));
        EngineConfig {
            worker,
            rules,
            buckets: BTreeMap::new(),
            default_bucket,
            notify: NotifyRules::default(),
            alarms: Vec::new(),
            queues: BTreeMap::new(),
            tasks_max: 64,
            chunks_max: cores,
            chunk_limits: ChunkLimits::default(),
            derived_objects_max: limits::DERIVED_OBJECTS_DEFAULT,
            lease: limits::LEASE,
            no_progress_timeout: limits::NO_PROGRESS_TIMEOUT,
            task_timeout: limits::TASK_TIMEOUT,
            sweep_interval: limits::SWEEP_INTERVAL,
            scrub_bytes_per_sec: limits::SCRUB_BYTES_PER_SEC,
            scrub_every: limits::SCRUB_EVERY,
            reconcile: ReconcileSettings::default(),
            retention: Retention::default(),
            upload_link_ttl: limits::UPLOAD_LINK_TTL,
            download_link_ttl: limits::DOWNLOAD_LINK_TTL,
            master_key: None,
        }
    }

    /// All buckets that the config names, in rules too.
    pub fn bucket_names(&self) -> BTreeSet<BucketName> {
        let of_rules = self.rules.all().iter().flat_map(|r| [r.from.clone(), r.output.bucket.clone()]);
        self.buckets.keys().cloned().chain([self.default_bucket.clone()]).chain(of_rules).collect()
    }

    pub fn max_size_of(&self, bucket: &BucketName) -> u64 {
        let own = self.buckets.get(bucket).and_then(|b| b.max_size).map(|s| s.0);
        own.unwrap_or(limits::OBJECT_BYTES_MAX).min(limits::OBJECT_BYTES_MAX)
    }

    /// Whose buckets these are.
    pub fn tenancy(&self) -> Tenancy {
        Tenancy::new(self.buckets.iter().filter_map(|(name, b)| Some((name.clone(), b.tenant.clone()?))))
    }

    pub(crate) fn lease_of(&self, queue: &QueueName) -> Duration {
        self.queues.get(queue).and_then(|q| q.lease).unwrap_or(self.lease)
    }

    /// The rule's own, its queue's, or the default.
    pub fn retry_of(&self, rule: &Rule) -> RetryPolicy {
        let of_queue = || self.queues.get(&rule.queue).and_then(|q| q.retry.clone());
        rule.retry.clone().or_else(of_queue).unwrap_or_default()
    }

    /// Can these rules run with these processors? [`Engine::new`](crate::Engine::new) asks the same.
    pub fn check(&self, processors: &Registry) -> Result<(), ConfigError> {
        let tenancy = self.tenancy();
        for rule in self.rules.all() {
            let id = rule.id.as_str();
            processors.prepare(&rule.process).map_err(|e| ConfigError(format!("rule {id:?}: {e}")))?;
            check_tenants(rule, &tenancy).map_err(|e| ConfigError(format!("rule {id:?}: {e}")))?;
            let writes_into_itself = rule.output.bucket == rule.from && rule.output.key.as_str() == "{key}";
            if writes_into_itself {
                return Err(ConfigError(format!(
                    "rule {id:?}: its result would overwrite its own input; give output another bucket or key"
                )));
            }
        }
        let may_reject = |rule: &Rule| processors.prepare(&rule.process).is_ok_and(|t| t.may_reject());
        rule_loops::check(self.rules.all(), may_reject).map_err(ConfigError)
    }
}

/// What one tenant sent must not come out at another.
fn check_tenants(rule: &Rule, tenancy: &Tenancy) -> Result<(), String> {
    let tenant = tenancy.of(&rule.from);
    let others = [&rule.output.bucket].into_iter().chain(rule.sources.iter().flatten());
    match others.map(|bucket| (bucket, tenancy.of(bucket))).find(|(_, owner)| *owner != tenant) {
        None => Ok(()),
        Some((bucket, owner)) => Err(format!(
            "{} belongs to tenant {tenant}, {bucket} to tenant {owner}; a rule stays within one tenant",
            rule.from
        )),
    }
}
