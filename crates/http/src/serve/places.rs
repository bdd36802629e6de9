//! Places for connections: so many in all, and fewer for one address, so that nobody takes them all.
//!
//! An address is what one client can be expected to have: an IPv4 address or an IPv6 network of 64 bits.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Places {
    all_max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Free again when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub fn new(all_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Places { all_max, per_address_max, taken: Mutex::default() })
    }

    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        if own >= self.per_address_max || taken.all >= self.all_max {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Some(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        match taken.by_address.get_mut(&self.address) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.by_address.remove(&self.address)),
        }
    }
}

pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_leaves_places_for_others() {
        let places = Places::new(4, 3);
        let greedy: Vec<Place> = std::iter::from_fn(|| places.take(address("192.0.2.1"))).collect();
        assert_eq!(greedy.len(), 3);
        let other = places.take(address("192.0.2.2"));
        assert!(other.is_some() && places.take(address("192.0.2.3")).is_none(), "now all are taken");
        drop(greedy);
        assert!(places.take(address("192.0.2.1")).is_some());
        drop(other);
        assert!(places.taken.lock().expect("a map").by_address.is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn a_network_counts_as_one_address() {
        let places = Places::new(10, 1);
        let _first = places.take(address("2001:db8::1")).expect("a place");
        assert!(places.take(address("2001:db8::ffff:1")).is_none());
        let _other = places.take(address("2001:db8:0:1::1")).expect("another network");
        let _mapped = places.take(address("::ffff:192.0.2.1")).expect("a place");
        assert!(places.take(address("192.0.2.1")).is_none(), "the same address in other words");
    }
}
