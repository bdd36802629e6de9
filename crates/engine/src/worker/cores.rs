//! How many chunks are worked on at a time: as many as there are cores for.
//!
//! A chunk that this process works on takes a core. One that a command or another service works on takes half of one, since
//! it waits between; while it rests, be it that it hangs, it takes none, so that it holds nobody up. Of these there is a
//! bound, since each holds memory and a connection.

use filemill_core::ports::Load;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// At a time, without taking a core; those beyond it take half of one.
const RESTING_MAX: u32 = 16;
/// One in so many of all places is never a chunk's.
const OTHERS_PART: u32 = 4;

pub(super) struct Cores {
    cores: u32,
    /// Chunks at a time, whatever they take: other tasks need places as well.
    most: u32,
    taken: Mutex<Taken>,
    freed: Notify,
}

/// Chunks by their load.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    cores: u32,
    halves: u32,
    resting: u32,
}

impl Taken {
    fn of(&mut self, load: Load) -> &mut u32 {
        match load {
            Load::Core => &mut self.cores,
            Load::Half => &mut self.halves,
            Load::Rest => &mut self.resting,
        }
    }

    fn chunks(self) -> u32 {
        self.cores + self.halves + self.resting
    }

    fn halves(self) -> u32 {
        2 * self.cores + self.halves + self.resting.saturating_sub(RESTING_MAX)
    }
}

impl Cores {
    /// `tasks` are the places for tasks of all kinds.
    pub fn new(cores: u32, tasks: u32) -> Self {
        Cores { cores, most: tasks - tasks / OTHERS_PART, taken: Mutex::default(), freed: Notify::new() }
    }

    /// Chunks that may be leased. What they will take is not known yet: where only half a core is left, one more may take a
    /// whole.
    pub fn left(&self) -> u32 {
        self.left_beside(*self.taken())
    }

    fn left_beside(&self, taken: Taken) -> u32 {
        let cores_left = (2 * self.cores).saturating_sub(taken.halves()).div_ceil(2);
        cores_left.min(self.most.saturating_sub(taken.chunks()))
    }

    /// Returns when there is room that was none, because a chunk takes less than before, or was since this was last waited for.
    /// Chunks that end are the caller's to notice.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        self.taken().cores += 1;
    }

    fn change(&self, before: Load, now: Load) {
        let mut taken = self.taken();
        let left_before = self.left_beside(*taken);
        *taken.of(before) -= 1;
        *taken.of(now) += 1;
        if left_before == 0 && self.left_beside(*taken) > 0 {
            self.freed.notify_one();
        }
    }

    fn end(&self, before: Load) {
        *self.taken().of(before) -= 1;
    }
}

/// What one leased chunk takes: a core from its lease on, not only when it gets to run, or the next lease takes more than
/// may be worked on. Until it is dropped.
pub(super) struct Share {
    cores: Arc<Cores>,
    load: Arc<Mutex<Option<Load>>>,
}

impl Share {
    pub fn of(cores: &Arc<Cores>) -> Self {
        cores.begin();
        Share { cores: Arc::clone(cores), load: Arc::new(Mutex::new(Some(Load::Core))) }
    }

    /// For the work itself, which may outlive the lease: what it says then changes nothing.
    pub fn teller(&self) -> impl Fn(Load) + Send + Sync + use<> {
        let (cores, load) = (Arc::clone(&self.cores), Arc::clone(&self.load));
        move |now| {
            let mut load = load.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(load) = load.as_mut() {
                cores.change(std::mem::replace(load, now), now);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let ended = self.load.lock().unwrap_or_else(PoisonError::into_inner).take();
        ended.into_iter().for_each(|load| self.cores.end(load));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rest(chunks: u32, cores: &Arc<Cores>) -> Vec<Share> {
        let shares: Vec<Share> = (0..chunks).map(|_| Share::of(cores)).collect();
        shares.iter().for_each(|share| share.teller()(Load::Rest));
        shares
    }

    #[test]
    fn what_works_elsewhere_leaves_room_for_others() {
        let cores = Arc::new(Cores::new(2, 64));
        assert_eq!(cores.left(), 2);
        let shares: Vec<Share> = (0..2).map(|_| Share::of(&cores)).collect();
        assert_eq!(cores.left(), 0);
        shares[0].teller()(Load::Half);
        assert_eq!(cores.left(), 1, "half a core is left, and the next may be one that takes no more");
        shares[0].teller()(Load::Rest);
        shares[1].teller()(Load::Rest);
        assert_eq!(cores.left(), 2);
        shares[1].teller()(Load::Core);
        assert_eq!(cores.left(), 1, "it woke up");
        drop(shares);
        assert_eq!(cores.left(), 2);
    }

    #[test]
    fn many_that_rest_take_room_all_the_same() {
        let cores = Arc::new(Cores::new(2, 64));
        let resting = at_rest(RESTING_MAX + 4, &cores);
        assert_eq!(cores.left(), 0);
        drop(resting);
        assert_eq!(cores.left(), 2);
    }

    #[test]
    fn work_that_outlives_its_lease_takes_nothing() {
        let cores = Arc::new(Cores::new(2, 64));
        let share = Share::of(&cores);
        let tell = share.teller();
        drop(share);
        tell(Load::Half);
        assert_eq!(cores.left(), 2);
    }

    #[test]
    fn a_part_of_the_places_is_never_a_chunks() {
        let cores = Arc::new(Cores::new(8, 8));
        let resting = at_rest(5, &cores);
        assert_eq!(cores.left(), 1);
        let sixth = Share::of(&cores);
        assert_eq!(cores.left(), 0);
        drop((resting, sixth));
        assert_eq!(Cores::new(1, 1).left(), 1, "few places are for whoever comes");
    }

    #[tokio::test]
    async fn who_waits_hears_of_room_that_was_made_before() {
        let cores = Arc::new(Cores::new(1, 64));
        let share = Share::of(&cores);
        share.teller()(Load::Rest);
        cores.freed().await;
        drop(share);
    }
}
