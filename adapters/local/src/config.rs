//! What the embedded store has to be told.

use filemill_core::limits::MESSAGES_IN_FLIGHT_MAX;
use filemill_core::ports::Clock;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone)]
pub struct LocalConfig {
    /// Holds `filemill.db`, `blobs/` and `lock`. Made if it is not there.
    pub dir: PathBuf,
    /// Base URL of the S3 door as clients reach it, for presigned links: `http://127.0.0.1:9000`.
    /// [`LocalStore::set_endpoint`](crate::LocalStore::set_endpoint) changes it later.
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub clock: Arc<dyn Clock>,
    /// Bytes of the disk that new content must leave free; `None`: 5 % of it, 1 GiB at most.
    pub reserve: Option<u64>,
    /// Messages of one queue; the default is SQS's.
    pub messages_in_flight_max: u64,
}

impl LocalConfig {
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        LocalConfig {
            dir: dir.into(),
            endpoint: "http://127.0.0.1:9000".into(),
            region: "local".into(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            clock,
            reserve: None,
            messages_in_flight_max: MESSAGES_IN_FLIGHT_MAX,
        }
    }
}

impl std::fmt::Debug for LocalConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalConfig({})", self.dir.display())
    }
}
