//! Scrubbing finds what no longer is what was stored, and tells whose it is.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::limits::MIB;
use filemill_core::ports::*;

const LARGE: usize = 2 * 1024 * 1024;

/// One round, in small steps.
async fn round(backend: &Backend) -> u64 {
    let mut damaged = 0;
    loop {
        let scrubbed = backend.blobs.scrub(MIB).await.expect("a scrub");
        damaged += scrubbed.damaged;
        if scrubbed.round.ended_at.is_some() {
            assert_eq!(backend.blobs.scrub_round().await.expect("a round"), Some(scrubbed.round));
            return damaged;
        }
    }
}

async fn damage(backend: &Backend) -> Vec<Damage> {
    backend.blobs.damage(None, 100).await.expect("a list")
}

/// B11: also after a crash, and until it is gone.
pub async fn a_round_finds_the_flipped_bit_and_whose_it_is(backend: Backend) {
    let backend = with_bucket(backend).await;
    assert_eq!(backend.blobs.scrub_round().await.expect("none yet"), None);
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        put(&backend, name, &bytes(LARGE, seed)).await;
    }
    put(&backend, "small", b"in the state file, perhaps").await;
    assert_eq!((round(&backend).await, damage(&backend).await.len()), (0, 0));

    let info = backend.blobs.head(&bucket(), &key("b")).await.expect("an object");
    backend.outside.flip_bit(&info, &bytes(LARGE, 2)).await;
    assert_eq!(damage(&backend).await, [], "nobody has looked");
    assert_eq!(round(&backend).await, 1);
    let found = damage(&backend).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].size, LARGE as u64);
    assert_eq!(found[0].held_by, [Holder::Object { bucket: bucket(), key: key("b") }]);
    assert_eq!(backend.blobs.usage().await.expect("usage").damaged, 1);
    assert_eq!(backend.blobs.damage(Some(&found[0].blob), 100).await.expect("a page"), [], "none behind it");
    assert!(get(&backend, "b").await.is_err() && get(&backend, "a").await.is_ok());
    let again = round(&backend).await;
    assert!(again <= 1 && damage(&backend).await.len() == 1, "it is told once");

    backend.blobs.delete(&bucket(), &key("b"), Precondition::None).await.expect("the delete");
    assert_eq!(damage(&backend).await, []);
    assert_eq!(backend.blobs.usage().await.expect("usage").damaged, 0);
}

/// B11
pub async fn a_round_reads_all_that_was_stored_when_it_began(backend: Backend) {
    let backend = with_bucket(backend).await;
    put(&backend, "object", &bytes(LARGE, 1)).await;
    let upload = begin(&backend, "parts").await;
    put_part(&backend, &upload, 1, &bytes(LARGE, 2)).await;
    let mut read = 0;
    loop {
        let scrubbed = backend.blobs.scrub(MIB / 2).await.expect("a scrub");
        read += scrubbed.bytes;
        if scrubbed.round.ended_at.is_some() {
            break;
        }
    }
    assert_eq!(read, 2 * LARGE as u64);
}
