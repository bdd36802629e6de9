//! The `Keeper` port on the open store.

use crate::checkup::check_up;
use crate::failure::Halt;
use crate::store::LocalStore;
use crate::{backup, pins};
use async_trait::async_trait;
use filemill_core::ports::{BackedUp, BackupError, BlobError, Checkup, Durability, Keeper};
use rusqlite::Connection;
use std::io::Write;
use std::sync::Arc;

#[async_trait]
impl Keeper for LocalStore {
    async fn check_up(&self) -> Result<Checkup, BlobError> {
        // deletions whose files wait for a sync get it now: then a file without a row is nobody's
        self.write::<_, BlobError, _>(Durability::Synced, |_| Ok(())).await?;
        self.settled().await;
        let ticket = self.blobs.pins.ticket();
        let (blobs, now) = (Arc::clone(&self.blobs), self.clock.now());
        let connections = Arc::clone(&self.readers.connections);
        let walk = move |sql: &Connection| {
            // rows may have been added since this state
            let has_row_now = |blob: crate::blobs::BlobId| {
                let seen = connections.look::<_, BlobError>(|sql| {
                    Ok(sql.prepare_cached("SELECT 1 FROM blobs WHERE id = ?1")?.exists([blob.number()])?)
                });
                seen.unwrap_or(true)
            };
            let checkup = check_up(sql, &blobs, &has_row_now, now).map_err(Halt::Refused)?;
            drop(ticket);
            Ok(checkup)
        };
        // for minutes, which would be a reader's
        let connections = Arc::clone(&self.readers.connections);
        let walked = tokio::task::spawn_blocking(move || connections.look(walk)).await;
        walked.map_err(BlobError::unavailable)?
    }

    /// The files that the cut names are pinned before any of them can go.
    fn back_up(&self, out: &mut dyn Write) -> Result<BackedUp, BackupError> {
        let ticket = self.blobs.pins.ticket();
        let mut pin: Option<pins::Pin> = None;
        let sql = self.readers.connections.connect().map_err(BlobError::unavailable)?;
        let needed = backup::state_bytes(&sql).map_err(BlobError::unavailable)?;
        self.blobs.check_room(needed).map_err(BlobError::from)?;
        let scratch = self.blobs.folder_above();
        let done = backup::write(&sql, &self.blobs, scratch, self.clock.now(), out, |blobs| {
            pin = Some(ticket.pin(blobs.to_vec()));
        });
        drop(pin);
        done
    }
}
