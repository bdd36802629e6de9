//! The power of the disk is cut under load: nothing acknowledged is lost, changed, undeleted or half visible.

use filemill_e2e::Launch;
use filemill_e2e::ledger::Ledger;
use filemill_e2e::power::{Disk, Switch};
use filemill_e2e::rounds::{self, Crash};
use filemill_trials::trials;

struct PowerCut {
    disk: Disk,
    switch: Option<Switch>,
}

impl Crash for PowerCut {
    fn arm(&mut self) {
        self.switch = Some(self.disk.switch());
    }

    fn strike(&mut self, ledger: &Ledger, kill: impl FnOnce()) {
        // A sync that is under way during the cut may succeed and keep nothing, which no power loss does: ext4 asks
        // whether the journal was aborted only of a commit that it waits for (jbd2_complete_transaction), and the cut
        // itself may have ended that commit. So what is answered after the cut began proves nothing.
        ledger.close();
        self.switch.take().expect("it was armed").cut();
        kill();
        self.disk.restore();
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let (cuts_min, acknowledged_min) = trials((20, 0), (200, 20_000));
    let (mut cuts, mut acknowledged) = (0, 0);
    while cuts < cuts_min || acknowledged < acknowledged_min {
        let Some(disk) = Disk::new() else { return };
        let data = disk.place().join("data");
        acknowledged += rounds::run(&data, PowerCut { disk, switch: None });
        cuts += rounds::ROUNDS;
    }
    eprintln!("{cuts} cuts, {acknowledged} acknowledged, 0 violations");
}

/// The disk's own errors, not made up ones: every sync fails from here on.
#[test]
fn a_disk_that_fails_is_no_longer_answered_for() {
    let Some(mut disk) = Disk::new() else { return };
    let data = disk.place().join("data");
    let service = Launch::on(&data).start();
    let uploads = service.bucket("uploads");
    let large = vec![b'x'; 100_000];
    uploads.put("small", b"kept");
    uploads.put("large", &large);
    disk.switch().cut();
    for content in [&b"lost"[..], &large] {
        for key in ["small", "large", "new"] {
            uploads.try_put(key, content).expect_err("a disk that is gone keeps nothing");
        }
    }
    uploads.try_put_parts("parts", &large, large.len()).expect_err("nor parts");
    uploads.try_copy("small", "copy").expect_err("nor copies");
    uploads.try_delete("small").expect_err("nor deletions");
    service.kill();
    disk.restore();
    let service = Launch::on(&data).start();
    let uploads = service.bucket("uploads");
    assert_eq!(uploads.list(10).len(), 2);
    assert_eq!(uploads.get("small").expect(200).body, b"kept");
    assert_eq!(uploads.get("large").expect(200).body, large);
    service.stop();
}
