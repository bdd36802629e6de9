//! The embedded store against the suites of its ports.

use async_trait::async_trait;
use filemill_conformance::{Backend, HandClock, Outside};
use filemill_core::object::ObjectInfo;
use filemill_core::ports::BlobStore;
use filemill_local::{LocalConfig, LocalStore};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tempfile::TempDir;

const IN_FLIGHT_MAX: u64 = 100;

struct Hand {
    folder: TempDir,
    clock: Arc<HandClock>,
    store: Weak<LocalStore>,
}

async fn fresh() -> Backend {
    let folder = TempDir::new().expect("a temporary folder");
    opened(Hand { folder, clock: Arc::new(HandClock::new()), store: Weak::new() })
}

fn opened(mut hand: Hand) -> Backend {
    let mut config = LocalConfig::new(hand.folder.path().join("data"), hand.clock.clone());
    config.access_key_id = "an-id-for-tests".into();
    config.secret_access_key = "a-secret-for-tests".into();
    config.reserve = Some(0);
    config.messages_in_flight_max = IN_FLIGHT_MAX;
    let store = LocalStore::open(config).expect("open");
    hand.store = Arc::downgrade(&store);
    let (blobs, state, queue) = (store.clone(), store.clone(), store.clone());
    Backend { blobs, state, queue, messages: store, in_flight_max: IN_FLIGHT_MAX, outside: Box::new(hand) }
}

#[async_trait]
impl Outside for Hand {
    async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    async fn set_clock(&self, by_millis: i64) {
        self.clock.set(by_millis);
    }

    /// Large content lies in a file of its own: the one that holds these bytes.
    async fn flip_bit(&self, _object: &ObjectInfo, content: &[u8]) {
        let marker = &content[content.len() / 2..][..64];
        let mut flipped = 0;
        for path in files_under(self.folder.path()) {
            let mut stored = std::fs::read(&path).expect("a stored file");
            if let Some(at) = stored.windows(marker.len()).position(|w| w == marker) {
                stored[at] ^= 0x10;
                std::fs::write(&path, stored).expect("the damaged file");
                flipped += 1;
            }
        }
        assert_eq!(flipped, 1, "the content lies in one file");
    }

    /// The disk is as it is: the store is told to keep more of it, or less.
    async fn leave_room(&self, bytes: Option<u64>) {
        let store = self.store.upgrade().expect("an open store");
        store.set_reserve(Some(0));
        let free = store.room().free_bytes().expect("a disk has an end");
        store.set_reserve(Some(bytes.map_or(0, |bytes| match bytes {
            0 => u64::MAX,
            bytes => free.saturating_sub(bytes),
        })));
    }

    async fn crash(self: Box<Self>) -> Backend {
        opened(*self)
    }
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

filemill_conformance::blob_store_suite!(fresh());
filemill_conformance::state_store_suite!(fresh());
filemill_conformance::task_queue_suite!(fresh());
filemill_conformance::message_queues_suite!(fresh());
