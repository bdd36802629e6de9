//! Which blobs may not be unlinked yet, because a reader of this process still wants them (B3).
//!
//! A reader takes a ticket before it looks up the object's blobs and trades it for pins on them. A blob that lost its
//! row is condemned; it is handed out for removal when no pin is on it and every ticket that was out at its condemnation
//! is back: such a ticket's holder may have looked up the row before it went.

use crate::blobs::BlobId;
use crate::housekeeper::Chores;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Pins {
    state: Mutex<State>,
    chores: Chores,
}

#[derive(Default)]
struct State {
    next_ticket: u64,
    tickets: BTreeSet<u64>,
    pinned: HashMap<BlobId, u32>,
    /// With the ticket that will be given next: all below must be back first.
    condemned: BTreeMap<BlobId, u64>,
}

/// Held while an object's blobs are looked up.
pub(crate) struct Ticket {
    pins: Arc<Pins>,
    number: u64,
}

/// Keeps blobs readable until dropped.
pub(crate) struct Pin {
    pins: Arc<Pins>,
    blobs: Vec<BlobId>,
}

impl Pins {
    pub(crate) fn new(chores: Chores) -> Self {
        Pins { state: Mutex::default(), chores }
    }

    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        let mut state = self.state();
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.tickets.insert(number);
        Ticket { pins: Arc::clone(self), number }
    }

    pub(crate) fn condemn(&self, blobs: impl IntoIterator<Item = BlobId>) {
        let mut state = self.state();
        let next = state.next_ticket;
        state.condemned.extend(blobs.into_iter().map(|blob| (blob, next)));
    }

    pub(crate) fn is_condemned(&self, blob: BlobId) -> bool {
        self.state().condemned.contains_key(&blob)
    }

    /// Condemned blobs that nobody can be reading any more.
    pub(crate) fn take_removable(&self) -> Vec<BlobId> {
        let mut state = self.state();
        let oldest_ticket = state.tickets.first().copied().unwrap_or(u64::MAX);
        let State { condemned, pinned, .. } = &mut *state;
        let removable: Vec<BlobId> = condemned
            .iter()
            .filter(|(blob, ticket)| **ticket <= oldest_ticket && !pinned.contains_key(blob))
            .map(|(blob, _)| *blob)
            .collect();
        for blob in &removable {
            condemned.remove(blob);
        }
        removable
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_if_condemned(&self, state: MutexGuard<'_, State>) {
        let waiting = !state.condemned.is_empty();
        drop(state);
        if waiting {
            self.chores.unlink(Vec::new());
        }
    }
}

impl Ticket {
    pub(crate) fn pin(self, blobs: Vec<BlobId>) -> Pin {
        let mut state = self.pins.state();
        for blob in &blobs {
            *state.pinned.entry(*blob).or_default() += 1;
        }
        drop(state);
        Pin { pins: Arc::clone(&self.pins), blobs }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.pins.state();
        state.tickets.remove(&self.number);
        self.pins.wake_if_condemned(state);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.pins.state();
        for blob in &self.blobs {
            if let Some(count) = state.pinned.get_mut(blob) {
                *count -= 1;
                if *count == 0 {
                    state.pinned.remove(blob);
                }
            }
        }
        self.pins.wake_if_condemned(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_blob_is_removable_only_when_its_last_reader_is_done() {
        let pins = Arc::new(Pins::new(Chores::unheard()));
        let blob = BlobId::from_number(7);
        let first = pins.ticket().pin(vec![blob]);
        let second = pins.ticket().pin(vec![blob]);
        pins.condemn([blob]);
        assert!(pins.take_removable().is_empty());
        drop(first);
        assert!(pins.take_removable().is_empty());
        drop(second);
        assert_eq!(pins.take_removable(), vec![blob]);
        assert!(pins.take_removable().is_empty());
    }

    #[test]
    fn a_reader_that_has_looked_up_a_blob_but_not_pinned_it_keeps_it() {
        let pins = Arc::new(Pins::new(Chores::unheard()));
        let blob = BlobId::from_number(7);
        let ticket = pins.ticket();
        pins.condemn([blob]);
        let later = pins.ticket();
        assert!(pins.take_removable().is_empty());
        drop(ticket);
        assert_eq!(pins.take_removable(), vec![blob], "a ticket taken after the condemnation cannot know the blob");
        drop(later);
    }
}
