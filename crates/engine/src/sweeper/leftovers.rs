//! What ended jobs left, messages beyond their time, events beyond those that are kept, and bytes that nothing refers to.

use crate::Engine;
use crate::error::CommandError;
use filemill_core::limits;

pub(super) async fn clean_state(engine: &Engine) -> Result<(), CommandError> {
    let state = &engine.inner.ports.state;
    while state.clean(limits::EVENTS_KEPT, limits::SWEEP_BATCH).await? >= u64::from(limits::SWEEP_BATCH) {}
    Ok(())
}

pub(super) async fn tidy_messages(engine: &Engine) -> Result<(), CommandError> {
    let messages = &engine.inner.ports.messages;
    while messages.tidy(limits::SWEEP_BATCH).await? >= u64::from(limits::SWEEP_BATCH) {}
    Ok(())
}

pub(super) async fn clean_store(engine: &Engine) -> Result<(), CommandError> {
    engine.inner.ports.blobs.sweep().await?;
    Ok(())
}
