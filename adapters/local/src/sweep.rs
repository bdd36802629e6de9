//! Looking for files that nothing refers to: there should be none but after failed commits, and a sweep finds those without
//! a restart. And content that was erased leaves the log.

use crate::blobs::{BlobFolder, BlobId};
use crate::failure::StoreFailure;
use crate::store::LocalStore;
use filemill_core::ports::{BlobError, Durability};
use std::sync::Arc;

/// Answers how many files were removed.
pub(crate) async fn sweep(store: &LocalStore) -> Result<u64, BlobError> {
    // deletions whose files wait for a sync get it now
    store.write::<_, BlobError, _>(Durability::Synced, |_| Ok(())).await?;
    store.settled().await;
    empty_log(store).await?;
    let mut removed = 0;
    for shard in BlobFolder::shards() {
        let found = unreferenced(store, shard).await?;
        removed += found.len() as u64;
        store.chores.unlink(found);
    }
    store.settled().await;
    Ok(removed)
}

/// Where content in the state file was overwritten, its old pages leave the log too. The bulk is carried over beside the
/// writer, which empties the log between two writes.
async fn empty_log(store: &LocalStore) -> Result<(), BlobError> {
    if store.log.holds_erased() {
        store.chores.checkpoint();
        store.settled().await;
        store.log.ask_emptying();
        for _ in 0..2 {
            store.write::<_, BlobError, _>(Durability::Synced, |_| Ok(())).await?;
        }
    }
    Ok(())
}

/// The order matters: a file that is listed and then no longer staged has got its row in between.
async fn unreferenced(store: &LocalStore, shard: u32) -> Result<Vec<BlobId>, BlobError> {
    let blobs = Arc::clone(&store.blobs);
    store
        .read(move |sql| {
            let files =
                blobs.files_of_shard(shard).map_err(|e| crate::failure::Halt::Refused(StoreFailure::from(e)))?;
            let mut candidates = files;
            candidates.retain(|blob| !blobs.is_staged(*blob) && !blobs.pins.is_condemned(*blob));
            let mut has_row = sql.prepare_cached("SELECT 1 FROM blobs WHERE id = ?1")?;
            let mut found = Vec::new();
            for blob in candidates {
                if !has_row.exists([blob.number()])? {
                    found.push(blob);
                }
            }
            Ok(found)
        })
        .await
        .map_err(|e: StoreFailure| e.into())
}
