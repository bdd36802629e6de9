//! The power of the disk is cut under load: nothing acknowledged is lost, changed, undeleted or half visible.

use filemill_e2e::ledger::Ledger;
use filemill_e2e::power::Disk;
use filemill_e2e::rounds::{self, ROUNDS};

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let Some(mut disk) = Disk::new() else { return };
    let data = disk.place().join("data");
    let (ledger, seed) = (Ledger::default(), rounds::seed());
    for round in 0..ROUNDS {
        let service = rounds::start(&data);
        ledger.check(&service.bucket("uploads"));
        let switch = disk.switch();
        rounds::load_until(&ledger, service, seed.wrapping_add(round), |service| {
            // A sync that is under way during the cut may succeed and keep nothing, which no power loss does: ext4 asks
            // whether the journal was aborted only of a commit that it waits for (jbd2_complete_transaction), and the
            // cut itself may have ended that commit. So what is answered after the cut began proves nothing.
            ledger.close();
            switch.cut();
            service.kill();
        });
        disk.restore();
    }
    let service = rounds::start(&data);
    let kept = ledger.check(&service.bucket("uploads"));
    rounds::expect_all_jobs_ended(&service, &kept);
    eprintln!("{} acknowledged requests, {} objects in the end", ledger.acknowledged(), kept.len());
    service.stop();
}
