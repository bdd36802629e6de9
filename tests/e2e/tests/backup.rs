//! A service is backed up while it works and restored on an empty node: what was completed verifies, the rest runs again to exact
//! results, and the doctor finds nothing at any time.

use filemill_e2e::inputs::text;
use filemill_e2e::stage::MANY_CHUNKS;
use filemill_e2e::{Launch, Ran, Stage};
use filemill_trials::trials;
use serde_json::json;
use std::fs;
use std::time::Duration;

const MIB: usize = 1 << 20;

#[test]
fn a_backup_under_load_comes_back_on_an_empty_node() {
    let trials = trials(1, 10);
    (0..trials).for_each(|_| back_up_and_restore());
    eprintln!("{trials} backups under load, 0 violations");
}

fn back_up_and_restore() {
    let stage = Stage::with_config(MANY_CHUNKS);
    let service = &stage.service;
    let uploads = service.bucket("uploads");
    let inputs: Vec<(String, Vec<u8>)> =
        (0..20).map(|i| (format!("small/{i}.log"), text(i, 1000 + 20_000 * i as usize))).collect();
    for (key, content) in &inputs {
        uploads.put(key, content);
        service.expect_exact("uploads", key, content);
    }
    let long = text(99, 40 * MIB);
    uploads.put("long.log", &long);
    let done = || {
        service.jobs_of("uploads", "long.log").first().map_or(0, |job| job.0["chunks"]["done"].as_u64().unwrap_or(0))
    };
    service.feed.wait("a few chunks", Duration::from_secs(30), || (done() > 5).then_some(()));
    let made = stage.filemill(&["backup", "all.tar"]).good();
    assert!(made.text().contains("verified"), "{}", made.text());
    assert!(!service.jobs_of("uploads", "long.log")[0].has_ended(), "the backup must be made under load");
    stage.filemill(&["doctor"]).good();
    stage.filemill(&["backup", "all.tar"]).bad(2, &["exists"]);
    // what comes after the cut is not in it
    uploads.put("later.log", b"later\n");

    let folder = stage.folder.path();
    stage.filemill(&["restore", "all.tar"]).bad(1, &["not empty"]);
    let restore =
        |args: &[&str]| Ran::filemill(folder, &[&["restore", "all.tar", "--data", "restored"], args].concat());
    restore(&["--check"]).good();
    restore(&[]).good();
    let doctor = || Ran::filemill(folder, &["doctor", "--json", "--data", "restored"]);
    assert_eq!(doctor().good().json()["findings"], json!([]));

    let config = stage.path("filemill.toml");
    let restored = Launch::on(&stage.path("restored")).arg("--config").arg(&config).start();
    assert_ne!(restored.credentials.admin_token, service.credentials.admin_token, "credentials are not in a backup");
    for (key, content) in &inputs {
        let job = restored.expect_exact("uploads", key, content);
        assert_eq!(job.0["attempts"], service.jobs_of("uploads", key)[0].0["attempts"], "{key} did not run again");
    }
    restored.expect_exact("uploads", "long.log", &long);
    assert_eq!(restored.jobs_of("uploads", "later.log").len(), 0);
    restored.bucket("uploads").put("new.log", b"new\n");
    restored.expect_exact("uploads", "new.log", b"new\n");
    restored.stop();

    // a stopped folder is backed up as well, and the doctor tells what is wrong with it
    Ran::filemill(folder, &["backup", "stopped.tar", "--data", "restored"]).good();
    Ran::filemill(folder, &["restore", "stopped.tar", "--check"]).good();
    let shard = fs::read_dir(stage.path("restored/blobs")).expect("blobs").next().expect("a shard").expect("an entry");
    let blob = fs::read_dir(shard.path()).expect("a shard").next().expect("a blob").expect("an entry");
    fs::remove_file(blob.path()).expect("a removal");
    let found = doctor();
    assert_eq!((found.code, &found.json()["findings"][0]["code"]), (Some(1), &json!("row_without_file")));
}
