//! Text files, their prefixed results, and one zip of them.

use crate::zips::entries;
use filemill_e2e::inputs::text;
use filemill_e2e::reference::{assert_same, sed};
use filemill_e2e::{Example, http};
use serde_json::json;

const FILES: &[&str] = &["access.log", "empty.txt", "notes.txt", "windows.txt"];

#[test]
fn one_call_zips_what_sed_makes_of_every_file() {
    let Some(example) = Example::walked("line-prefixer") else { return };
    let zip = example.file("monday.zip");
    let mut zipped = entries(&zip);
    zipped.sort();
    let names: Vec<&str> = zipped.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<String> = FILES.iter().map(|name| format!("monday/{name}")).collect();
    assert_eq!(names, expected);
    for ((name, content), file) in zipped.iter().zip(FILES) {
        assert_same(name, content, &sed(&example.file(&format!("files/{file}"))));
    }

    let again = ["archive", "--jobs", "key=monday/*", "--jobs", "rule=hello-lines", "-o", "again.zip"];
    example.stage.filemill(&again).good();
    let named = example.stage.service.jobs("rule=zip").pop().expect("the page's order");
    let link = example.stage.service.get(&format!("/v1/jobs/{}/result", named.id())).expect(303);
    let download = http::send("GET", link.header("location"), &[], &[]).expect(200);
    assert!(download.header("content-disposition").contains("monday.zip"), "{:?}", download.headers);
    assert_same("the second archive", &example.file("again.zip"), &zip);
    example.stage.service.stop();
}

#[test]
fn only_the_results_of_the_selection_are_zipped() {
    let example = Example::open("line-prefixer");
    let service = &example.stage.service;
    let uploads = service.bucket("uploads");
    let wanted: Vec<(String, Vec<u8>)> =
        [1, 40_000, 3_000_000].map(|size| (format!("run/{size}.txt"), text(size, size as usize))).into();
    for (key, content) in &wanted {
        uploads.put(key, content);
    }
    uploads.put("other/a.txt", b"not in the archive\n");
    uploads.put("run/picture.png", b"no text, no job");
    for key in wanted.iter().map(|(key, _)| key.as_str()).chain(["other/a.txt"]) {
        service.ended_job("uploads", key).expect_completed();
    }
    let order = json!({ "jobs": { "key": "run/*" }, "metadata": { "run": 7 } });
    let job = service.post("/v1/archives", &order).expect(202).json();
    let job = service.ended_job_with_id(job["id"].as_str().expect("an id")).expect_completed();
    assert_eq!(job.0["metadata"], json!({ "run": 7 }));
    let mut zipped = entries(&service.result(&job));
    zipped.sort();
    let mut wanted: Vec<_> = wanted.into_iter().map(|(key, content)| (key, sed(&content))).collect();
    wanted.sort();
    assert!(zipped == wanted, "{:?}", zipped.iter().map(|(name, _)| name).collect::<Vec<_>>());

    let order = json!({ "jobs": { "key": "no-such-run/*" } });
    service.post("/v1/archives", &order).expect_problem(422, "invalid");
    let order = json!({ "files": [{ "source": "run/1.txt" }] });
    service.post("/v1/archives", &order).expect_problem(422, "invalid");
    example.stage.service.stop();
}
