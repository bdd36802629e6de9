//! kill -9 at random moments under load, and SIGTERM: nothing acknowledged is lost, every job ends, results are exact.

use filemill_e2e::ledger::Ledger;
use filemill_e2e::rounds::{self, ROUNDS};

#[test]
fn nothing_acknowledged_is_lost_when_the_service_is_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ledger, seed) = (Ledger::default(), rounds::seed());
    for round in 0..ROUNDS {
        let service = rounds::start(folder.path());
        ledger.check(&service.bucket("uploads"));
        rounds::load_until(&ledger, service, seed.wrapping_add(round), |service| service.kill());
    }
    let service = rounds::start(folder.path());
    let kept = ledger.check(&service.bucket("uploads"));
    rounds::expect_all_jobs_ended(&service, &kept);
    eprintln!("{} acknowledged requests, {} objects in the end", ledger.acknowledged(), kept.len());
    service.stop();
}
