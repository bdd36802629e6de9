//! The S3 door: the S3 protocol over the `BlobStore` port.
//!
//! Path style, SigV4 by header, by query and by POST policy. `s3s` parses and routes; [`gate`] refuses what it lets
//! through, [`operations`] answers. Nothing in a key ever becomes a path, and nothing is stored before its checksums
//! are verified. The door keeps no state of its own: buckets, objects and uploads live in the store.

mod attributes;
mod buckets;
mod checksums;
mod chunked;
mod conditions;
mod copy;
mod cors;
mod delete;
mod errors;
mod expectations;
mod form_data;
mod gate;
mod get;
mod held;
mod intake;
mod list;
mod multipart;
mod multipart_complete;
mod operations;
mod outgoing;
mod post_form;
mod post_policy;
mod precheck;
mod put;
mod query;
mod serve;
mod tagging;
mod upload;
mod visitor;
mod xml_text;

pub use crate::serve::Patience;
pub use held::HeldLimit;
pub(crate) use visitor::OWN;

use crate::pace::{Pace, Rates};
use crate::serve::incoming;
use crate::sqs::{SqsConfig, SqsDoor};
use filemill_core::limits;
use filemill_core::object::BucketName;
use filemill_core::ports::{BlobStore, Clock, MessageQueues};
use filemill_engine::Engine;
use held::HeldBodies;
use s3s::service::S3ServiceBuilder;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// An access key and its secret.
#[derive(Clone)]
pub struct KeyPair {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.access_key_id)
    }
}

/// What clients are set to when nobody thought about it. A region is no right to anything (it only takes part in
/// deriving the key that signs), so this one is as good as the door's own.
const USUAL_REGION: &str = "us-east-1";

/// What the door is made of.
pub struct S3Config {
    pub store: Arc<dyn BlobStore>,
    /// Answered on the same port, by the SQS protocol.
    pub queues: Option<Arc<dyn MessageQueues>>,
    pub clock: Arc<dyn Clock>,
    /// The service's own, which may do everything.
    pub credentials: Vec<KeyPair>,
    /// How clients reach the door, where that is not what they say: `https://files.example.org`.
    pub public_url: Option<String>,
    /// Knows the other keys and keeps the audit log. Without it there are none.
    pub engine: Option<Engine>,
    /// Where the door says it is. A signature names it or `us-east-1`.
    pub region: String,
    /// Largest object of a bucket, where it is below S3's own limit.
    pub bucket_limits: BTreeMap<BucketName, u64>,
    pub patience: Patience,
    /// XML bodies on their way in.
    pub documents: HeldLimit,
    /// Files of forms, until they are stored.
    pub forms: HeldLimit,
    /// Of each key, also by its links, and of addresses.
    pub rates: Rates,
}

impl S3Config {
    pub fn new(store: Arc<dyn BlobStore>, clock: Arc<dyn Clock>, credentials: Vec<KeyPair>) -> Self {
        S3Config {
            store,
            queues: None,
            clock,
            credentials,
            public_url: None,
            engine: None,
            region: "local".to_owned(),
            bucket_limits: BTreeMap::new(),
            patience: Patience::default(),
            documents: HeldLimit { places: limits::XML_BODIES_MAX, time: limits::XML_BODY_TIMEOUT },
            forms: HeldLimit { places: limits::POST_FORMS_MAX, time: limits::POST_FORM_TIMEOUT },
            rates: Rates::default(),
        }
    }
}

/// Batches of file and hash work that run at the same time; more wait their turn.
const CREWS_MAX: usize = 16;

/// What every room of the door shares.
struct Door {
    store: Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    credentials: Vec<KeyPair>,
    engine: Option<Engine>,
    region: String,
    bucket_limits: BTreeMap<BucketName, u64>,
    patience: Patience,
    crews: Arc<Semaphore>,
    documents: HeldBodies,
    forms: HeldBodies,
    pace: Arc<Pace>,
}

impl Door {
    fn is_here(&self, region: &str) -> bool {
        region == self.region || region == USUAL_REGION
    }

    fn object_bytes_max(&self, bucket: &str) -> u64 {
        let own = self.bucket_limits.iter().find(|(name, _)| name.as_str() == bucket).map(|(_, max)| *max);
        own.unwrap_or(limits::OBJECT_BYTES_MAX).min(limits::OBJECT_BYTES_MAX)
    }
}

/// The door, ready to listen.
#[derive(Clone)]
pub struct S3Door {
    gate: Arc<gate::Gate>,
    sqs: Option<Arc<SqsDoor>>,
}

impl S3Door {
    pub fn new(config: S3Config) -> Self {
        let pace = Arc::new(Pace::new(config.rates));
        let sqs = config.queues.map(|queues| {
            Arc::new(SqsDoor::new(SqsConfig {
                queues,
                clock: config.clock.clone(),
                credentials: config.credentials.clone(),
                engine: config.engine.clone(),
                regions: [config.region.clone(), USUAL_REGION.to_owned()],
                public_url: config.public_url,
                patience: config.patience,
                pace: pace.clone(),
            }))
        });
        let door = Arc::new(Door {
            store: config.store,
            clock: config.clock,
            credentials: config.credentials,
            engine: config.engine,
            region: config.region,
            bucket_limits: config.bucket_limits,
            patience: config.patience,
            crews: Arc::new(Semaphore::new(CREWS_MAX)),
            documents: HeldBodies::new(config.documents),
            forms: HeldBodies::new(config.forms),
            pace,
        });
        let mut builder = S3ServiceBuilder::new(operations::Operations::new(door.clone()));
        builder.set_auth(gate::KeyRing::new(door.clone()));
        builder.set_access(gate::Turnstile::new(door.clone()));
        builder.set_config(gate::protocol_limits());
        S3Door { gate: Arc::new(gate::Gate::new(door, builder.build())), sqs }
    }
}
