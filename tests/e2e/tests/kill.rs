//! kill -9 at random moments under load: nothing acknowledged or told is lost, every job ends, results are exact.

use filemill_e2e::ledger::Ledger;
use filemill_e2e::rounds::{self, Crash};
use filemill_trials::trials;

/// The system goes on, and with it everything that was written: what is answered until the very end counts.
struct Kill;

impl Crash for Kill {
    fn strike(&mut self, _: &Ledger, kill: impl FnOnce()) {
        kill();
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_service_is_killed() {
    let (kills, mut acknowledged) = (trials(20, 500), 0);
    for _ in 0..kills / rounds::ROUNDS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        acknowledged += rounds::run(&folder.path().join("data"), Kill);
    }
    eprintln!("{kills} kills, {acknowledged} acknowledged, 0 violations");
}
