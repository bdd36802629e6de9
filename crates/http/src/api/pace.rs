//! How often somebody may ask: each key, each address, and each address with a token that is none. Beyond that, 429.
//!
//! Whoever shows a right token is never held up by others' wrong ones: behind a proxy all clients have one address.

use super::problem::Problem;
use crate::serve::network_of;
use axum::http::{HeaderValue, header};
use filemill_core::access::Principal;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

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

    pub fn admit_address(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Some(address) = address.map(network_of) else { return Ok(()) };
        check(&self.addresses, &address, "this address asks too often")
    }

    pub fn admit_key(&self, who: &Principal) -> Result<(), Problem> {
        let key = who.key.as_ref().map_or(String::new(), ToString::to_string);
        check(&self.keys, &key, "this key asks too often")
    }

    /// What is answered to a token that is none.
    pub fn refusal(&self, address: Option<IpAddr>, problem: Problem) -> Problem {
        let Some(address) = address.map(network_of) else { return problem };
        let told = check(&self.refusals, &address, "too many refused tokens from this address");
        told.err().unwrap_or(problem)
    }

    /// Forgets who has been quiet; called every few seconds, so that memory holds the recent askers only.
    pub fn forget_quiet(&self) {
        self.keys.retain_recent();
        self.addresses.retain_recent();
        self.refusals.retain_recent();
    }
}

const BURST: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

fn limiter<K: Hash + Eq + Clone>(quota: Quota) -> Keyed<K> {
    RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock)
}

fn check<K: Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K, detail: &str) -> Result<(), Problem> {
    limiter.check_key(key).map_err(|over| {
        let wait = over.wait_time_from(MonotonicClock.now()).as_secs() + 1;
        Problem::too_many("too_many_requests", detail).with_header(header::RETRY_AFTER, HeaderValue::from(wait))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    fn rate(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).expect("not zero")
    }

    #[test]
    fn beyond_its_rate_a_key_is_told_to_wait_and_others_are_not() {
        let pace = Pace::new(Rates { per_key: rate(1), ..Rates::default() });
        let mut other = Principal::service();
        other.actor.key = Some(filemill_core::ids::KeyId::new(filemill_core::time::Timestamp::ZERO, [1; 10]));
        (0..5).for_each(|n| assert!(pace.admit_key(&Principal::service()).is_ok(), "{n}"));
        let refused = pace.admit_key(&Principal::service()).expect_err("the sixth at once").into_response();
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        assert!(pace.admit_key(&other).is_ok());
    }

    #[test]
    fn refused_tokens_of_an_address_are_counted_by_network() {
        let pace = Pace::new(Rates { refusals_per_address: rate(2), ..Rates::default() });
        let status = |address: &str| {
            let address = address.parse().expect("an address");
            pace.refusal(Some(address), Problem::unauthorized("no")).into_response().status().as_u16()
        };
        assert_eq!([status("2001:db8::1"), status("2001:db8::2"), status("2001:db8::3")], [401, 401, 429]);
        assert_eq!(status("192.0.2.1"), 401);
        let nobody_knows = pace.refusal(None, Problem::unauthorized("no"));
        assert_eq!(nobody_knows.into_response().status(), 401);
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
