//! Faults that are counted instead of left to a seed, in simulated time, on the real engine: workers that die or wake
//! up too late, events and tasks that come several times, files that no try helps, leases that all run out at once.
//!
//! Each test prints its trials and what was slowest. `FILEMILL_TEST_GATE=1` makes them as many as before a release.

mod faults {
    mod copied_tasks;
    mod crashes;
    mod events;
    mod expired_leases;
    mod killers;
    mod lost_workers;
    mod places;
    mod poison;
    mod zombies;
}
