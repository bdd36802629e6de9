//! Makes it happen: ingest, worker, steps, sweeper, commands and queries. Knows only the ports of `filemill-core`.
//!
//! [`Engine`] is a cheap handle. [`Engine::run`] does the work until it is told to stop; the other methods are what
//! doors call. Every step of a job is the same five beats: lease, load, run, decide, commit; what happens next is
//! decided in `filemill_core::lifecycle`, nowhere else.

mod alarms;
mod archives;
mod audit;
mod backfills;
mod chance;
mod commands;
mod compute;
mod config;
mod counts;
mod dead_letters;
mod deliveries;
mod error;
mod feed;
mod from_queues;
mod ingest;
mod key_cache;
mod keys;
mod oneshot;
mod progress;
mod publish;
mod queries;
mod queues;
mod reconcile;
mod redrives;
mod registry;
mod scrubber;
mod state_log;
mod steps;
mod sweeper;
mod worker;

pub use alarms::{AlarmHistoryQuery, AlarmNow};
pub use archives::{ArchiveContent, NewArchive};
pub use audit::AuditQuery;
pub use backfills::BackfillCount;
pub use chance::Chance;
pub use commands::MultipartTicket;
pub use commands::{NewReceiver, NewUpload, UploadTicket};
pub use compute::Compute;
pub use config::{BucketSettings, EngineConfig, QueueSettings, ReconcileSettings, Retention};
pub use dead_letters::DeadLetterGroup;
pub use deliveries::DeliveryQuery;
pub use error::{CommandError, ConfigError};
pub use feed::{Interest, ListenError, Listener};
pub use keys::{KeyPair, KeyTicket, KeysQuery, MasterKey, NewKey};
pub use oneshot::{OneShot, OneShotDone, OneShotError, OneShotWork};
pub use queries::{Explained, Health, Link, explain};
pub use queues::QueueState;
pub use reconcile::{Difference, ReconcileReport, ReconcileRun, ReconcileScope, ReconcileStatus};
pub use redrives::{NewRedrive, RedriveProgress};
pub use registry::Registry;

use filemill_core::access::Tenancy;
use filemill_core::ports::{BlobStore, Clock, MessageQueues, Notifier, StateStore, TaskQueue};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What the engine stands on.
#[derive(Clone)]
pub struct Ports {
    pub blobs: Arc<dyn BlobStore>,
    pub state: Arc<dyn StateStore>,
    pub queue: Arc<dyn TaskQueue>,
    pub notifier: Arc<dyn Notifier>,
    pub messages: Arc<dyn MessageQueues>,
    pub clock: Arc<dyn Clock>,
    pub processors: Registry,
    pub compute: Compute,
    pub chance: Chance,
}

/// A handle to one engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub ports: Ports,
    pub config: EngineConfig,
    pub feed: feed::Feed,
    pub deliveries: deliveries::Bell,
    pub progress: progress::Board,
    /// Rings when a redrive was ordered.
    pub redrives: Notify,
    /// Rings when a backfill was ordered.
    pub backfills: Notify,
    pub reconcile: reconcile::Board,
    pub expiry: sweeper::ExpiryCursors,
    pub keys: key_cache::KeyCache,
    pub tenancy: Tenancy,
}

impl Engine {
    /// Checks the rules against the processors; nothing runs yet.
    pub fn new(ports: Ports, config: EngineConfig) -> Result<Self, ConfigError> {
        config.check(&ports.processors)?;
        let (feed, deliveries, progress, redrives, backfills, reconcile, expiry) = Default::default();
        let (tenancy, keys) = (config.tenancy(), Default::default());
        let inner =
            Inner { ports, config, feed, deliveries, progress, redrives, backfills, reconcile, expiry, keys, tenancy };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Creates the buckets and message queues of the config that are missing. Idempotent; call it before the doors
    /// open.
    pub async fn prepare(&self) -> Result<(), CommandError> {
        for bucket in self.inner.config.bucket_names() {
            if self.inner.ports.blobs.bucket(&bucket).await?.is_none() {
                match self.inner.ports.blobs.create_bucket(&bucket).await {
                    Err(e) if !error::is_bucket_exists(&e) => return Err(e.into()),
                    _ => {}
                }
            }
        }
        Ok(from_queues::prepare(self).await?)
    }

    /// Takes messages, ingests, works, sweeps, tells, scrubs and reconciles until `stop` is cancelled, then drains: running tasks get
    /// [`DRAIN`](filemill_core::limits::DRAIN) to finish and are given back otherwise.
    pub async fn run(&self, stop: CancellationToken) {
        counts::begin_at_zero(&self.inner.config.rules);
        let told = self.inner.ports.state.last_event().await.unwrap_or(0);
        tokio::join!(
            from_queues::run(self, stop.clone()),
            ingest::run(self, stop.clone()),
            worker::run(self, stop.clone()),
            sweeper::run(self, stop.clone()),
            redrives::run(self, stop.clone()),
            scrubber::run(self, stop.clone()),
            backfills::run(self, stop.clone()),
            reconcile::run(self, stop.clone()),
            feed::run(self, told, stop.clone()),
            alarms::run(self, stop.clone()),
            deliveries::run(self, stop),
        );
    }

    /// After a store did not answer. Ends early when `stop` does.
    pub(crate) async fn pause_for_outage(&self, stop: &CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.inner.ports.clock.sleep(filemill_core::limits::OUTAGE_PAUSE) => {}
        }
    }
}
