//! Dead letters by the command line and across kill -9: listed, grouped, discarded, and redriven exactly once each.

use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::{Service, Stage};
use filemill_trials::trials;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is no gzip file is tried again here, which never helps.
const HOPELESS: &str = r#"
schema = 1

[queues.default]
retry = { attempts = 1, backoff = "1s..1s", transient = ["input_invalid"] }

[[rules]]
id = "unpack"
from = "uploads"
process = { kind = "gunzip" }
output = { bucket = "results", key = "{key}" }
"#;

fn dead(service: &Service, query: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service.get(&format!("/v1/dead?limit=1000&{query}&cursor={cursor}")).expect(200).json();
        all.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return all,
        }
    }
}

/// Files that cannot be unpacked, put side by side, once all their letters are there.
fn with_dead_letters(count: usize) -> Stage {
    let stage = Stage::with_config(HOPELESS);
    let names: Vec<String> = (0..count).map(|n| format!("{n:04}")).collect();
    std::thread::scope(|scope| {
        for some in names.chunks(count.div_ceil(8)) {
            let uploads = stage.service.bucket("uploads");
            scope.spawn(move || some.iter().for_each(|name| drop(uploads.put(name, b"no gzip"))));
        }
    });
    let depth = |service: &Service| service.get("/v1/queues").expect(200).json()["items"][0]["dead"].as_u64();
    stage
        .service
        .feed
        .wait("all dead letters", JOB_PATIENCE, || (depth(&stage.service) == Some(count as u64)).then_some(()));
    stage
}

#[test]
fn letters_are_listed_grouped_shown_redriven_and_discarded() {
    let stage = with_dead_letters(3);
    let said = stage.filemill(&["dead"]).good().text();
    assert!(said.contains("uploads/0002") && said.contains("input_invalid"), "{said}");
    let groups = stage.filemill(&["dead", "--groups", "--json"]).good().json();
    assert_eq!((groups["items"].as_array().map(Vec::len), &groups["items"][0]["count"]), (Some(1), &json!(3)));
    let said = stage.filemill(&["dead", "--groups"]).good().text();
    assert!(said.contains(groups["items"][0]["fingerprint"].as_str().expect("a fingerprint")), "{said}");
    let said = stage.filemill(&["queues"]).good().text();
    assert!(said.lines().any(|l| l.split_whitespace().take(5).eq(["default", "0", "0", "0", "3"])), "{said}");

    let letter = stage.filemill(&["dead", "--key", "0001", "--json"]).good().json()["items"][0].clone();
    let id = letter["id"].as_str().expect("an id");
    let said = stage.filemill(&["dead", id]).good().text();
    assert!(
        said.contains("uploads/0001") && said.lines().filter(|l| l.contains("input_invalid")).count() == 2,
        "{said}"
    );
    let job = stage.filemill(&["job", letter["job"].as_str().expect("a job")]).good().text();
    assert!(job.contains(id), "the job names its letter: {job}");

    stage.filemill(&["redrive"]).bad(2, &["name letters", "--all"]);
    stage.filemill(&["redrive", id, "--rule", "unpack"]).bad(2, &["not both"]);
    stage.filemill(&["redrive", "--all", "--rate", "fast"]).bad(2, &["50/s"]);
    stage.filemill(&["redrive", "dead_00000000000000000000000000"]).bad(4, &["there is no dead letter"]);
    let counted = stage.filemill(&["redrive", "--rule", "unpack", "--key", "000*", "--dry-run"]).good().text();
    assert_eq!(counted.trim(), "3 letters would be redriven");
    let said = stage.filemill(&["redrive", id, "--wait"]).good().text();
    assert!(said.contains("1 of 1 redriven, 0 skipped"), "{said}");
    stage.filemill(&["redrive", id]).bad(1, &["was redriven"]);
    stage.service.feed.wait("its next letter", JOB_PATIENCE, || (dead(&stage.service, "").len() == 3).then_some(()));

    let counted = stage.filemill(&["dead", "--discard", "--key", "0000", "--dry-run"]).good().text();
    assert_eq!(counted.trim(), "1 letter would be discarded");
    stage.filemill(&["dead", "--discard", "--key", "0000"]).good();
    let next = dead(&stage.service, "key=0001")[0]["id"].as_str().expect("an id").to_owned();
    stage.filemill(&["dead", "--discard", &next]).good();
    stage.filemill(&["dead", "--discard", &next]).bad(1, &["was discarded"]);
    assert_eq!(dead(&stage.service, "").len(), 1);
    stage.service.stop();
}

/// A thousand letters, two orders at once, and kill -9 in the middle of both.
#[test]
fn a_killed_redrive_gives_each_letter_exactly_one_new_run() {
    let trials = trials(1, 10);
    (0..trials).for_each(|_| kill_a_redrive());
    eprintln!("{trials} killed redrives, 0 violations");
}

fn kill_a_redrive() {
    const COUNT: usize = 1000;
    let stage = with_dead_letters(COUNT);
    let order = || {
        let order = stage.service.post("/v1/redrives", &json!({"filter": {}, "rate": 400})).expect(202).json();
        order["id"].as_str().expect("an id").to_owned()
    };
    let orders = [order(), order()];
    let redriven = |service: &Service| -> Vec<u64> {
        let of = |id: &String| service.get(&format!("/v1/redrives/{id}")).expect(200).json();
        orders.iter().map(|id| of(id)["redriven"].as_u64().expect("a count")).collect()
    };
    stage.service.feed.wait("a part of the letters", JOB_PATIENCE, || {
        (redriven(&stage.service).iter().sum::<u64>() >= 100).then_some(())
    });
    let Stage { folder, service } = stage;
    service.kill();
    let stage = Stage::on(folder);
    let is_done = |id: &String| stage.service.get(&format!("/v1/redrives/{id}")).expect(200).json()["status"] == "done";
    stage.service.feed.wait("the end of both orders", JOB_PATIENCE, || orders.iter().all(is_done).then_some(()));
    stage.service.feed.wait("everybody's next letter", JOB_PATIENCE, || {
        (stage.service.get("/v1/queues").expect(200).json()["items"][0]["dead"] == COUNT).then_some(())
    });
    assert_eq!(redriven(&stage.service).iter().sum::<u64>(), COUNT as u64);
    let mut by_job: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for letter in dead(&stage.service, "status=redriven").into_iter().chain(dead(&stage.service, "")) {
        let job = letter["job"].as_str().expect("a job").to_owned();
        by_job.entry(job).or_default().push(letter["run"].as_u64().expect("a run"));
    }
    assert_eq!(by_job.len(), COUNT);
    for (job, runs) in by_job {
        assert_eq!(runs, [1, 2], "{job} died once, ran once more and died again");
    }
    stage.service.stop();
}
