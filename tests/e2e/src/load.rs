//! Writers: each with keys of its own, so that the ledger knows what every key must hold.

use crate::ledger::{Content, Ledger};
use crate::s3::{S3, Unknown};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::thread::{Scope, ScopedJoinHandle};

/// Keys of one writer: few, so that most requests overwrite or delete.
const KEYS: usize = 12;
pub const WRITERS: u64 = 4;
const PART_BYTES: usize = 5 << 20;

/// Starts the writers of one round. Each works until a request is left unanswered.
pub fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    ledger: &'scope Ledger,
    s3: &S3,
    seed: u64,
) -> Vec<ScopedJoinHandle<'scope, Unknown>> {
    let writer = |number: u64| {
        ledger.writer_begins();
        let (s3, chance) = (s3.clone(), SmallRng::seed_from_u64(seed ^ (number << 56)));
        scope.spawn(move || {
            let why = write(&s3, ledger, number, chance);
            ledger.writer_ends();
            why
        })
    };
    (0..WRITERS).map(writer).collect()
}

fn write(s3: &S3, ledger: &Ledger, number: u64, mut chance: SmallRng) -> Unknown {
    loop {
        if let Err(unknown) = request(s3, ledger, number, &mut chance) {
            return unknown;
        }
    }
}

/// A put, an upload in parts, a copy or a delete.
fn request(s3: &S3, ledger: &Ledger, number: u64, chance: &mut SmallRng) -> Result<(), Unknown> {
    let mut any_key = || format!("w{number}/key {:02}", chance.random_range(0..KEYS));
    let (key, other) = (any_key(), any_key());
    match (chance.random_range(0..16), ledger.holds(&key), ledger.holds(&other)) {
        (0..4, Some(_), _) => {
            ledger.begin(&key, None);
            s3.try_delete(&key)?;
        }
        (4, _, Some(content)) if key != other => {
            ledger.begin(&key, Some(content));
            s3.try_copy(&other, &key)?;
        }
        (dice, ..) => {
            let content = Content { seed: chance.random(), bytes: size(chance) };
            ledger.begin(&key, Some(content));
            if content.bytes > PART_BYTES || dice == 5 {
                s3.try_put_parts(&key, &content.make(), PART_BYTES)?;
            } else {
                s3.try_put(&key, &content.make())?;
            }
        }
    }
    if ledger.settle(&key) { Ok(()) } else { Err(Unknown("answered too late to count".to_owned())) }
}

/// On both sides of every border: in the state file or beside it, one chunk or several.
fn size(chance: &mut SmallRng) -> usize {
    match chance.random_range(0..100) {
        0..50 => chance.random_range(1..3000),
        50..80 => chance.random_range(65_500..65_600),
        80..95 => chance.random_range(65_536..400_000),
        95..98 => chance.random_range(1_000_000..1_100_000),
        _ => chance.random_range((8 << 20) + 1..9 << 20),
    }
}
