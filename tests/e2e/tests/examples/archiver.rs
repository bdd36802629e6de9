//! Orders by object, by REST and by message: folders, what is missing, metadata, and what is told to whoever listens.

use crate::zips::entries;
use filemill_e2e::reference::assert_same;
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::{Example, Service, http, tool};
use serde_json::{Value, json};

/// Places in the archive, in its order, and the photos that go there.
const PLACES: &[(&str, &str)] = &[
    ("holidays/sea.svg", "photos/2026/sea.svg"),
    ("holidays/day v1.2/the hills.svg", "photos/2026/hills.svg"),
    ("holidays/sea (2).svg", "photos/2025/sea.svg"),
];

fn completed_event(service: &Service, job: &str) -> Value {
    service.feed.wait("the event", JOB_PATIENCE, || {
        let told = |event: &Value| event["kind"] == "job.completed" && event["job"] == job;
        service.feed.events().into_iter().find(told)
    })
}

#[test]
fn an_order_becomes_a_zip_with_folders_whichever_way_it_comes() {
    if tool("aws").is_none() {
        return;
    }
    let Some(example) = Example::walked("archiver") else { return };
    let expected: Vec<(String, Vec<u8>)> =
        PLACES.iter().map(|(place, photo)| ((*place).to_owned(), example.file(photo))).collect();
    let zip = example.file("order.zip");
    assert_eq!(entries(&zip), expected);
    assert_same("the archive ordered by REST", &example.file("Holidays 2026.zip"), &zip);
    assert_same("the archive ordered by message", &example.file("message.zip"), &zip);

    let missing = String::from_utf8(example.file("missing.jsonl")).expect("text");
    let missing: Vec<Value> = missing.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(missing.len(), 2, "{missing:?}");
    for (reject, source) in missing.iter().zip(["2026/never-taken.svg", "s3://private/salaries.csv"]) {
        assert!(reject.to_string().contains(source), "{reject}");
        assert!(!reject.to_string().contains("1000000"), "{reject}");
    }

    let service = &example.stage.service;
    let metadata = json!({ "order": 17, "mail": "ann@example.org" });
    let jobs = service.jobs("rule=archive");
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        let job = job.expect_completed();
        assert_eq!((&job.0["metadata"], &job.0["rejects"]), (&metadata, &json!(2)), "{}", job.0);
        let link = service.get(&format!("/v1/jobs/{}/result", job.id())).expect(303);
        let download = http::send("GET", link.header("location"), &[], &[]).expect(200);
        assert!(download.header("content-disposition").contains("\"Holidays 2026.zip\""), "{:?}", download.headers);
        let event = completed_event(service, job.id());
        assert_eq!(event["data"]["metadata"], metadata, "{event}");
    }
    let ready: Value = serde_json::from_slice(&example.file("ready.json")).expect("JSON");
    assert_eq!((&ready["type"], &ready["data"]["metadata"]), (&json!("archive.ready"), &metadata), "{ready}");
    let link = ready["data"]["link"]["url"].as_str().expect("a link");
    assert_same("the archive that a message leads to", &http::send("GET", link, &[], &[]).expect(200).body, &zip);
    example.stage.service.stop();
}

#[test]
fn orders_that_cannot_be_met_say_why() {
    let example = Example::open("archiver");
    let service = &example.stage.service;
    let orders = service.bucket("orders");
    for (key, order, code, says) in [
        ("empty.json", r#"{"files": []}"#, "input_invalid", "at least one"),
        ("odd.json", "{\"files\": [\n{\"source\": \"a\", \"directory\": \"b/\"}]}", "input_invalid", "line 2"),
        ("gone.json", r#"{"files": [{"source": "a"}, {"source": "s3://private/b"}]}"#, "nothing_to_archive", ""),
    ] {
        orders.put(key, order.as_bytes());
        let job = service.ended_job("orders", key);
        let failure = &job.0["failure"];
        assert_eq!((job.status(), &failure["code"]), ("failed", &json!(code)), "{}", job.0);
        assert!(failure["message"].as_str().expect("words").contains(says), "{failure}");
    }
    for order in [json!({ "files": [] }), json!({}), json!({ "files": [{ "source": "a", "directory": "b" }] })] {
        service.post("/v1/archives", &order).expect(422);
    }
    example.stage.service.stop();
}
