//! Bytes are sacred: whatever the content and whatever the name, the result is what sed makes of it.

use filemill_e2e::inputs;
use filemill_e2e::reference::{assert_same, sed};
use filemill_e2e::{Launch, http};
use serde_json::json;

#[test]
fn any_content_comes_out_as_sed_makes_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Launch::on(folder.path()).start();
    let uploads = service.bucket("uploads");
    let inputs = inputs::peculiar();
    for (name, content) in &inputs {
        uploads.put(name, content);
    }
    for (name, content) in &inputs {
        let job = service.expect_exact("uploads", name, content);
        assert_same("the stored original", &uploads.get(name).expect(200).body, content);
        if content.len() > 16 << 20 {
            assert!(job.chunks() > 1, "{name} was not cut: {}", job.0);
        }
    }
    service.stop();
}

#[test]
fn any_key_is_only_a_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("outer/data");
    let service = Launch::on(&data).start();
    let keys = inputs::keys();
    for key in &keys {
        let content = format!("content of\n{key:?}");
        let upload = service.new_upload(&json!({ "key": key, "size": content.len() }));
        assert_eq!(upload["key"], key.as_str());
        let reply = service.send_upload(&upload, content.as_bytes());
        assert_eq!(reply.status, 200, "{key:?}: {}", reply.text());
        let job = service.ended_job_of_upload(&upload).expect_completed();
        assert_same(&format!("result of {key:?}"), &service.result(&job), &sed(content.as_bytes()));
        assert_eq!(job.0["output"]["key"], key.as_str());
    }
    // each is an object of its own, and listed as it is
    let mut expected = keys.clone();
    expected.sort();
    let listed: Vec<String> = service.bucket("uploads").list(7).into_iter().map(|object| object.key).collect();
    assert_eq!(listed, expected);
    // and nothing was written beside the data folder
    for (folder, only) in [(folder.path(), "outer"), (data.parent().expect("outer"), "data")] {
        let names: Vec<_> = std::fs::read_dir(folder).expect("list").map(|e| e.expect("entry").file_name()).collect();
        assert_eq!(names, [only]);
    }
    service.stop();
}

#[test]
fn a_key_that_is_too_long_or_holds_nul_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Launch::on(folder.path()).start();
    for key in ["k".repeat(1025), String::new(), "a\0b".to_owned()] {
        let reply = service.post("/v1/uploads", &json!({ "key": key }));
        reply.expect_problem(422, "invalid");
    }
    let reply = http::send("PUT", &service.bucket("uploads").put_url(&"k".repeat(1025)), &[], b"x").expect(400);
    assert!(reply.text().contains("KeyTooLong"), "{}", reply.text());
    service.stop();
}
