//! What keeps a service in order, by the real binary: missed events made good, a new rule over old objects, objects that
//! expire, and rules that would go in circles or make too much.

use filemill_e2e::aftermath::blob_files;
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::{Job, Ran, Service, Stage, http};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;

const ONE_RULE: &str = r#"
schema = 1

[reconcile]
enabled = false
settle = "1s"

[buckets.results]
expire_after = "1h"

[[rules]]
id = "hello-lines"
from = "uploads"
process = { kind = "lines.prefix", text = "Hello! " }
output = { bucket = "results", key = "{key}" }
"#;

const LATER_RULE: &str = r#"
[[rules]]
id = "later"
from = "uploads"
process = { kind = "gzip" }
output = { bucket = "packed", key = "{key}.gz" }
"#;

/// An upload becomes 1 object, that becomes 3, and each of them another.
const FEEDING_RULES: &str = r#"
schema = 1
derived_objects_max = 5
rules = [
  { id = "start", from = "uploads", process = { kind = "gzip" }, output = { bucket = "first" } },
  { id = "a", from = "first", process = { kind = "gzip" }, output = { bucket = "second", key = "a/{key}" }, max_generation = 2 },
  { id = "b", from = "first", process = { kind = "gzip" }, output = { bucket = "second", key = "b/{key}" }, max_generation = 2 },
  { id = "c", from = "first", process = { kind = "gzip" }, output = { bucket = "second", key = "c/{key}" }, max_generation = 2 },
  { id = "last", from = "second", process = { kind = "gzip" }, output = { bucket = "third" }, max_generation = 3 },
]
"#;

/// Changes the state file of a service that was stopped; answers the one that is started on it.
fn with_state_changed(stage: Stage, changes: &str) -> Stage {
    let state = stage.data().join("filemill.db");
    stage.service.stop();
    let db = Connection::open(state).expect("the state file opens");
    db.execute_batch(changes).expect("the state file takes changes");
    drop(db);
    Stage::on(stage.folder)
}

fn file(service: &Service, key: &str) -> Option<Value> {
    let query = http::query(&[("bucket", "uploads"), ("prefix", key)]);
    service.get(&format!("/v1/files?{query}")).expect(200).json()["items"].get(0).cloned()
}

#[test]
fn reconcile_makes_good_what_no_event_told_and_marks_it() {
    let stage = Stage::with_config(ONE_RULE);
    for name in ["known", "missed", "gone"] {
        stage.service.bucket("uploads").put(name, b"a line").expect(200);
        stage.service.expect_exact("uploads", name, b"a line");
    }
    stage.service.bucket("uploads").delete("gone").expect(204);
    stage.service.feed.wait("the end of a file", JOB_PATIENCE, || file(&stage.service, "gone").is_none().then_some(()));
    // as if one event of a creation and one of a removal had never come
    let stage = with_state_changed(
        stage,
        "DELETE FROM files WHERE bucket = 'uploads' AND key = 'missed';
         DELETE FROM jobs WHERE bucket = 'uploads' AND key = 'missed';
         UPDATE files SET removed_at = NULL, document = json_set(document, '$.removed_at', NULL)
          WHERE bucket = 'uploads' AND key = 'gone';",
    );
    assert!(file(&stage.service, "missed").is_none() && file(&stage.service, "gone").is_some());

    let said = stage.filemill(&["reconcile", "--dry-run"]).good().text();
    for words in ["without a record: uploads/missed", "without an object: uploads/gone", "nothing was changed"] {
        assert!(said.contains(words), "{words:?} is not said: {said}");
    }
    assert!(file(&stage.service, "missed").is_none(), "a dry run changes nothing");
    let said = stage.filemill(&["reconcile"]).good().text();
    assert!(said.contains("2 repaired"), "{said}");
    stage.service.expect_exact("uploads", "missed", b"a line");
    let repaired = |key: &str| file(&stage.service, key).map(|file| file["repaired"].clone());
    assert_eq!((repaired("missed"), repaired("known")), (Some(json!(true)), Some(json!(false))));
    assert_eq!(repaired("gone"), None);
    let said = stage.filemill(&["reconcile"]).good().text();
    assert!(said.contains("0 objects without a record, 0 records without an object"), "{said}");
    stage.service.stop();
}

/// Objects that came before the second rule.
fn with_older_files(count: usize) -> Stage {
    let stage = Stage::with_config(ONE_RULE);
    let names: Vec<String> = (0..count).map(|n| format!("{n:04}")).collect();
    std::thread::scope(|scope| {
        for some in names.chunks(count.div_ceil(8)) {
            let uploads = stage.service.bucket("uploads");
            scope.spawn(move || some.iter().for_each(|name| drop(uploads.put(name, b"a line").expect(200))));
        }
    });
    let completed = || stage.service.jobs("rule=hello-lines&status=completed&limit=1000").len();
    stage.service.feed.wait("all jobs of the first rule", JOB_PATIENCE, || (completed() == count).then_some(()));
    std::fs::write(stage.path("filemill.toml"), format!("{ONE_RULE}{LATER_RULE}")).expect("a config");
    stage.restarted()
}

fn later_jobs(service: &Service) -> Vec<Job> {
    service.jobs("rule=later&limit=1000")
}

/// Two orders at once, and kill -9 in the middle of both.
#[test]
fn a_backfill_gives_each_old_file_one_job_across_kill_9_and_when_ordered_twice() {
    const COUNT: usize = 400;
    let stage = with_older_files(COUNT);
    let said = stage.filemill(&["rules", "backfill", "later", "--dry-run"]).good().text();
    assert!(said.contains("400 files") && said.contains("would be processed"), "{said}");
    assert!(later_jobs(&stage.service).is_empty(), "a dry run starts nothing");
    let order = || {
        let order = stage.filemill(&["rules", "backfill", "later", "--rate", "100/s", "--json"]).good().json();
        order["id"].as_str().expect("an id").to_owned()
    };
    let orders = [order(), order()];
    stage
        .service
        .feed
        .wait("some of the jobs", JOB_PATIENCE, || (later_jobs(&stage.service).len() >= 50).then_some(()));
    let Stage { folder, service } = stage;
    let begun = later_jobs(&service).len();
    service.kill();
    assert!(begun < COUNT, "killed too late to interrupt anything");
    let stage = Stage::on(folder);
    let is_done =
        |id: &String| stage.filemill(&["rules", "backfill", id, "--show", "--json"]).good().json()["status"] == "done";
    stage.service.feed.wait("the end of both orders", JOB_PATIENCE, || orders.iter().all(is_done).then_some(()));
    let jobs = stage.service.feed.wait("the end of all jobs", JOB_PATIENCE, || {
        Some(later_jobs(&stage.service)).filter(|jobs| jobs.iter().all(Job::has_ended))
    });
    let keys: BTreeSet<String> = jobs.iter().map(|job| job.0["input"]["key"].to_string()).collect();
    assert_eq!((jobs.len(), keys.len()), (COUNT, COUNT), "each file has one job");
    jobs.into_iter().for_each(|job| drop(job.expect_completed()));
    let said = stage.filemill(&["rules", "backfill", "later", "--dry-run"]).good().text();
    assert!(said.starts_with("0 files"), "{said}");
    stage.service.stop();
}

#[test]
fn an_object_that_is_old_enough_goes_with_its_bytes() {
    let stage = Stage::with_config(ONE_RULE);
    // too large to be kept in the state file
    let content = b"a line\n".repeat(20_000);
    for name in ["old", "young"] {
        stage.service.bucket("uploads").put(name, &content).expect(200);
        stage.service.expect_exact("uploads", name, &content);
    }
    let before = blob_files(&stage.data());
    assert_eq!(before.len(), 4);
    let stage = with_state_changed(
        stage,
        "UPDATE objects SET modified_at = modified_at - 2 * 3600 * 1000 WHERE bucket = 'results' AND key = 'old';",
    );
    let results = stage.service.bucket("results");
    stage.service.feed.wait("the old result's end", JOB_PATIENCE, || (results.get("old").status == 404).then_some(()));
    let blobs = stage
        .service
        .feed
        .wait("its bytes' end", JOB_PATIENCE, || Some(blob_files(&stage.data())).filter(|blobs| blobs.len() == 3));
    assert!(blobs.is_subset(&before));
    results.get("young").expect(200);
    stage.service.bucket("uploads").get("old").expect(200);
    let listed = stage.service.get("/v1/files?bucket=results").expect(200).json();
    assert_eq!((listed["items"].as_array().map(Vec::len), &listed["items"][0]["key"]), (Some(1), &json!("young")));
    stage.service.stop();
}

#[test]
fn rules_that_would_go_in_a_circle_are_refused_by_name() {
    let folder: TempDir = tempfile::tempdir().expect("a temporary folder");
    let circle = LATER_RULE.replace("from = \"uploads\"", "from = \"results\"\nmax_generation = 4");
    let circle = circle.replace("bucket = \"packed\"", "bucket = \"uploads\"");
    let back = ONE_RULE.replace("from = \"uploads\"", "from = \"uploads\"\nmax_generation = 4");
    std::fs::write(folder.path().join("circle.toml"), format!("{back}{circle}")).expect("a config");
    Ran::filemill(folder.path(), &["rules", "check", "circle.toml"]).bad(2, &["circle.toml", "hello-lines", "later"]);
    std::fs::write(folder.path().join("line.toml"), format!("{ONE_RULE}{circle}")).expect("a config");
    Ran::filemill(folder.path(), &["rules", "check", "line.toml"]).good();
}

#[test]
fn rules_that_feed_rules_end_at_the_cap_and_each_job_that_was_not_begun_tells_why() {
    let stage = Stage::with_config(FEEDING_RULES);
    stage.service.bucket("uploads").put("one", b"a line").expect(200);
    let jobs = stage.service.feed.wait("the end of all jobs", JOB_PATIENCE, || {
        Some(stage.service.jobs("limit=1000")).filter(|jobs| jobs.len() == 7 && jobs.iter().all(Job::has_ended))
    });
    let refused: Vec<&Job> = jobs.iter().filter(|job| job.status() == "failed").collect();
    assert_eq!(refused.len(), 2);
    for job in refused {
        assert_eq!((&job.0["rule"], &job.0["failure"]["code"]), (&json!("last"), &json!("too_many_derived")));
        stage.filemill(&["job", job.id()]).good();
        let again = stage.service.post(&format!("/v1/jobs/{}/retry", job.id()), &json!({})).expect(409).json();
        assert_eq!(again["code"], "not_retryable");
    }
    let metrics = stage.service.get("/metrics").expect(200).text();
    assert!(metrics.contains("\nfilemill_derived_refused_total 2\n"), "{metrics}");
    stage.service.stop();
}
