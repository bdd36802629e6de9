//! Work waits while the store is short of room: whatever a task makes would be refused.
//!
//! Looked at before each leasing, so that work goes on within a second of the room coming back.

use filemill_core::ports::Room;

#[derive(Default)]
pub(super) struct Pause {
    is_on: bool,
}

impl Pause {
    /// Says so when it begins and ends.
    pub fn is_due(&mut self, room: Room) -> bool {
        let is_low = room.is_low();
        match (self.is_on, is_low) {
            (false, true) => tracing::warn!(?room, "the disk is nearly full: uploads are refused and work waits"),
            (true, false) => tracing::info!(?room, "the disk has room again: uploads are taken and work goes on"),
            _ => {}
        }
        self.is_on = is_low;
        is_low
    }
}
