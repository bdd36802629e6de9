//! Chance, from a seed: jitter and upload ids. One source per engine, so that a simulation repeats itself.

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone)]
pub struct Chance(Arc<Mutex<SmallRng>>);

impl Chance {
    pub fn from_seed(seed: u64) -> Self {
        Chance(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Chance(Arc::new(Mutex::new(SmallRng::from_os_rng())))
    }

    pub fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// Unguessable only as far as the seed is; ids are no secrets.
    pub fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}
