//! What ended jobs left, messages beyond their time, events beyond those that are kept, and bytes that nothing refers to.

use super::Swept;
use crate::Engine;
use crate::error::CommandError;
use filemill_core::limits;

/// In steps, so that no other duty waits for long.
const STEPS_MAX: u32 = 100;

pub(super) async fn clean_state(engine: &Engine) -> Result<Swept, CommandError> {
    let state = &engine.inner.ports.state;
    for _ in 0..STEPS_MAX {
        if state.clean(limits::EVENTS_KEPT, limits::SWEEP_BATCH).await? < u64::from(limits::SWEEP_BATCH) {
            return Ok(Swept::All);
        }
    }
    Ok(Swept::More)
}

pub(super) async fn tidy_messages(engine: &Engine) -> Result<Swept, CommandError> {
    let messages = &engine.inner.ports.messages;
    for _ in 0..STEPS_MAX {
        if messages.tidy(limits::SWEEP_BATCH).await? < u64::from(limits::SWEEP_BATCH) {
            return Ok(Swept::All);
        }
    }
    Ok(Swept::More)
}

pub(super) async fn clean_store(engine: &Engine) -> Result<(), CommandError> {
    engine.inner.ports.blobs.sweep().await?;
    Ok(())
}
