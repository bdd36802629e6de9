//! Places among the listeners: so many in all, and a part of them for one key, so that none keeps the others out.

use crate::api::problem::Problem;
use filemill_core::access::Principal;
use filemill_core::ids::KeyId;
use filemill_core::limits;
use metrics::gauge;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub struct Places {
    all: Arc<Semaphore>,
    by_key: Mutex<HashMap<KeyId, usize>>,
}

/// Dropped: free again.
pub struct Place {
    places: Arc<Places>,
    key: Option<KeyId>,
    _permit: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Places { all: Arc::new(Semaphore::new(limits::LISTENERS_MAX)), by_key: Mutex::default() }
    }
}

impl Places {
    pub fn take(self: &Arc<Self>, who: &Principal) -> Result<Place, Problem> {
        let permit = self.all.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Problem::unavailable("too_many_listeners", "too many feeds are open"))?;
        if let Some(key) = &who.key {
            let mut by_key = self.by_key();
            let open = by_key.entry(key.clone()).or_default();
            if *open >= limits::LISTENERS_PER_KEY_MAX {
                return Err(Problem::too_many("too_many_listeners", "too many feeds are open by this key"));
            }
            *open += 1;
        }
        gauge!("filemill_feed_listeners").increment(1.0);
        Ok(Place { places: self.clone(), key: who.key.clone(), _permit: permit })
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<KeyId, usize>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!("filemill_feed_listeners").decrement(1.0);
        let Some(key) = &self.key else { return };
        let mut by_key = self.places.by_key();
        if let Some(open) = by_key.get_mut(key) {
            *open -= 1;
            if *open == 0 {
                by_key.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::time::Timestamp;

    #[test]
    fn a_key_has_a_part_of_the_places_and_gets_them_back() {
        let places = Arc::new(Places::default());
        let who = |n: u8| {
            let mut who = Principal::service();
            who.actor.key = Some(KeyId::new(Timestamp::ZERO, [n; 10]));
            who
        };
        let mut taken: Vec<Place> = Vec::new();
        for _ in 0..limits::LISTENERS_PER_KEY_MAX {
            taken.push(places.take(&who(1)).unwrap_or_else(|_| panic!("a place")));
        }
        assert!(places.take(&who(1)).is_err());
        for another in [who(2), Principal::service()] {
            assert!(places.take(&another).is_ok());
        }
        taken.pop();
        assert!(places.take(&who(1)).is_ok());
        taken.clear();
        assert!(places.by_key().is_empty(), "who listens no more is forgotten");
    }
}
