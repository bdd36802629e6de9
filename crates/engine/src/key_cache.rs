//! Keys in memory: bounded, read anew after [`KEY_CACHE_TTL`](limits::KEY_CACHE_TTL), and forgotten at once when one changes
//! here. Only keys that were found are kept, so that guesses fill nothing.

use filemill_core::key::Key;
use filemill_core::limits;
use filemill_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// By what a key is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lookup {
    /// By its digest.
    Token(String),
    AccessKey(String),
    Id(String),
}

pub(crate) struct KeyCache {
    known: Mutex<HashMap<Lookup, Known>>,
    /// Rises with every change of a key in this process.
    changes: watch::Sender<u64>,
}

struct Known {
    key: Arc<Key>,
    read_at: Timestamp,
}

impl Default for KeyCache {
    fn default() -> Self {
        KeyCache { known: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl KeyCache {
    pub fn find(&self, lookup: &Lookup, now: Timestamp) -> Option<Arc<Key>> {
        self.known().get(lookup).filter(|known| known.is_fresh(now)).map(|known| known.key.clone())
    }

    /// What is read now may be kept unless a key changes before it is.
    pub fn generation(&self) -> u64 {
        *self.changes.borrow()
    }

    pub fn keep(&self, lookup: Lookup, key: Arc<Key>, generation: u64, now: Timestamp) {
        let mut known = self.known();
        if self.generation() != generation {
            return;
        }
        if known.len() >= limits::KEYS_CACHED_MAX {
            known.retain(|_, known| known.is_fresh(now));
        }
        if known.len() < limits::KEYS_CACHED_MAX {
            known.insert(lookup, Known { key, read_at: now });
        }
    }

    /// A key was changed: nothing that was read before counts.
    pub fn forget(&self) {
        let mut known = self.known();
        self.changes.send_modify(|changes| *changes += 1);
        known.clear();
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Lookup, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Not for ever where the clock was set back.
    fn is_fresh(&self, now: Timestamp) -> bool {
        now >= self.read_at && now.since(self.read_at) < limits::KEY_CACHE_TTL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::access::Role;
    use filemill_core::ids::KeyId;
    use std::time::Duration;

    fn key() -> Arc<Key> {
        Arc::new(Key {
            id: KeyId::new(Timestamp::ZERO, [0; 10]),
            name: "k".into(),
            role: Role::Viewer,
            tenant: None,
            limits: Vec::new(),
            queues: Default::default(),
            created_at: Timestamp::ZERO,
            created_by: "admin".into(),
            expires_at: None,
            revoked_at: None,
            token_sha256: String::new(),
            access_key_id: String::new(),
        })
    }

    fn token(text: &str) -> Lookup {
        Lookup::Token(text.into())
    }

    #[test]
    fn a_key_is_read_anew_after_a_while_and_after_the_clock_was_set_back() {
        let (cache, now) = (KeyCache::default(), Timestamp::from_millis(1_000_000));
        cache.keep(token("a"), key(), 0, now);
        assert!(cache.find(&token("a"), now.plus(limits::KEY_CACHE_TTL - Duration::from_millis(1))).is_some());
        assert!(cache.find(&token("a"), now.plus(limits::KEY_CACHE_TTL)).is_none());
        assert!(cache.find(&token("a"), now.minus(Duration::from_secs(3600))).is_none());
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (cache, now) = (KeyCache::default(), Timestamp::from_millis(1_000_000));
        let before = cache.generation();
        cache.keep(token("kept"), key(), before, now);
        cache.forget();
        cache.keep(token("late"), key(), before, now);
        assert!(cache.find(&token("kept"), now).is_none() && cache.find(&token("late"), now).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let (cache, now) = (KeyCache::default(), Timestamp::from_millis(1_000_000));
        for n in 0..limits::KEYS_CACHED_MAX + 5 {
            cache.keep(token(&n.to_string()), key(), 0, now);
        }
        assert_eq!(cache.known().len(), limits::KEYS_CACHED_MAX);
        cache.keep(token("later"), key(), 0, now.plus(limits::KEY_CACHE_TTL));
        assert_eq!(cache.known().len(), 1, "what is stale gives way");
    }
}
