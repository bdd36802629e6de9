//! How often somebody may ask at a door: each key and each address; at REST also each address with a token that is none.
//!
//! Whoever shows a right token is never held up by others' wrong ones: behind a proxy all clients have one address.

use crate::serve::network_of;
use filemill_core::access::Principal;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Generous: no person notices them, and a program that does has lost its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Requests a second of one key; five times as many at once.
    pub per_key: NonZeroU32,
    /// Requests a second of one address; five times as many at once.
    pub per_address: NonZeroU32,
    /// Refused tokens a minute of one address.
    pub refusals_per_address: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |n| NonZeroU32::new(n).expect("not zero");
        Rates { per_key: rate(2000), per_address: rate(4000), refusals_per_address: rate(60) }
    }
}

type Keyed<K> =
    RateLimiter<K, HashMapStateStore<K>, MonotonicClock, NoOpMiddleware<<MonotonicClock as Clock>::Instant>>;

/// Beyond a rate.
#[derive(Debug)]
pub struct TooOften {
    pub who: &'static str,
    pub retry_after_secs: u64,
}

pub struct Pace {
    keys: Keyed<String>,
    addresses: Keyed<IpAddr>,
    refusals: Keyed<IpAddr>,
}

impl Pace {
    pub fn new(rates: Rates) -> Self {
        let a_second = |n: NonZeroU32| Quota::per_second(n).allow_burst(n.saturating_mul(BURST));
        Pace {
            keys: limiter(a_second(rates.per_key)),
            addresses: limiter(a_second(rates.per_address)),
            refusals: limiter(Quota::per_minute(rates.refusals_per_address)),
        }
    }

    pub fn admit_address(&self, address: Option<IpAddr>) -> Result<(), TooOften> {
        let Some(address) = address.map(network_of) else { return Ok(()) };
        check(&self.addresses, &address, "this address asks too often")
    }

    pub fn admit_key(&self, who: &Principal) -> Result<(), TooOften> {
        let key = who.key.as_ref().map_or(String::new(), ToString::to_string);
        check(&self.keys, &key, "this key asks too often")
    }

    /// Asked at the doors of key pairs, once a signature was verified, so that nobody uses up another's. The service's own pair
    /// has no rate.
    pub fn admit_pair(&self, who: &Principal) -> Result<(), TooOften> {
        match who.key {
            None => Ok(()),
            Some(_) => self.admit_address(who.address).and_then(|()| self.admit_key(who)),
        }
    }

    /// A token was none.
    pub fn admit_refusal(&self, address: Option<IpAddr>) -> Result<(), TooOften> {
        let Some(address) = address.map(network_of) else { return Ok(()) };
        check(&self.refusals, &address, "this address was refused too often")
    }

    /// [`forget_quiet`](Pace::forget_quiet) again and again.
    pub async fn keep_small(&self, stop: CancellationToken) {
        let mut beat = tokio::time::interval(FORGET_EVERY);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            self.forget_quiet();
        }
    }

    /// Forgets who has been quiet; called every few seconds, so that memory holds the recent askers only.
    pub fn forget_quiet(&self) {
        self.keys.retain_recent();
        self.addresses.retain_recent();
        self.refusals.retain_recent();
    }
}

const FORGET_EVERY: Duration = Duration::from_secs(5);
const BURST: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

fn limiter<K: Hash + Eq + Clone>(quota: Quota) -> Keyed<K> {
    RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock)
}

fn check<K: Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K, who: &'static str) -> Result<(), TooOften> {
    limiter.check_key(key).map_err(|over| {
        let retry_after_secs = over.wait_time_from(MonotonicClock.now()).as_secs() + 1;
        TooOften { who, retry_after_secs }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).expect("not zero")
    }

    #[test]
    fn beyond_its_rate_a_key_is_told_to_wait_and_others_are_not() {
        let pace = Pace::new(Rates { per_key: rate(1), ..Rates::default() });
        let mut other = Principal::service();
        other.actor.key = Some(filemill_core::ids::KeyId::new(filemill_core::time::Timestamp::ZERO, [1; 10]));
        (0..5).for_each(|n| assert!(pace.admit_key(&Principal::service()).is_ok(), "{n}"));
        assert_eq!(pace.admit_key(&Principal::service()).expect_err("the sixth at once").retry_after_secs, 1);
        assert!(pace.admit_key(&other).is_ok());
    }

    #[test]
    fn refusals_of_an_address_are_counted_by_network() {
        let pace = Pace::new(Rates { refusals_per_address: rate(2), ..Rates::default() });
        let is_told = |address: &str| pace.admit_refusal(Some(address.parse().expect("an address"))).is_ok();
        assert_eq!(["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(is_told), [true, true, false]);
        assert!(is_told("192.0.2.1"));
        assert!(pace.admit_refusal(None).is_ok(), "nobody knows");
    }

    #[test]
    fn who_has_been_quiet_is_forgotten() {
        let pace = Pace::new(Rates::default());
        for n in 0..100u8 {
            assert!(pace.admit_address(Some(IpAddr::from([192, 0, 2, n]))).is_ok());
        }
        std::thread::yield_now();
        while !pace.addresses.is_empty() {
            pace.forget_quiet();
        }
    }
}
