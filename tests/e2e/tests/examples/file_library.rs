//! Files without rules: what arrived is listed, downloaded, deleted; what did not arrive is nowhere.

use filemill_e2e::inputs::text;
use filemill_e2e::reference::assert_same;
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::{Example, http};
use serde_json::{Value, json};

const KEY: &str = "letters/hello.txt";

fn keys(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list has items");
    items.iter().map(|file| file["key"].as_str().expect("a file has a key")).collect()
}

#[test]
fn only_what_arrived_is_listed_and_what_is_deleted_is_gone() {
    let Some(example) = Example::walked("file-library") else { return };
    let content = example.file("files/hello.txt");
    assert_same("the download", &example.file("hello.txt"), &content);
    assert_eq!(keys(&example.json("before.json")), [""; 0], "listed before it arrived");
    let listed = example.json("listed.json");
    assert_eq!(keys(&listed), [KEY]);
    let file = &listed["items"][0];
    assert_eq!(
        (&file["size"], &file["content_type"], &file["upload"]),
        (&json!(content.len()), &json!("text/plain"), &example.json("upload.json")["id"])
    );
    assert_eq!(example.json("pending.json")["status"], "pending");
    assert!(!example.said.contains("never.txt") && example.said.contains(KEY), "{}", example.said);
    assert!(example.said.contains("ended with 2"), "{}", example.said);
    assert!(String::from_utf8_lossy(&example.file("refused.xml")).contains("<Code>EntityTooLarge</Code>"));
    assert!(String::from_utf8_lossy(&example.file("gone.xml")).contains("<Code>NoSuchKey</Code>"));
    assert_eq!(keys(&example.json("after.json")), [""; 0]);

    let service = &example.stage.service;
    service.bucket("library").get(KEY).expect(404);
    service.get(&format!("/v1/files/{}", file["id"].as_str().expect("an id"))).expect_problem(404, "file_not_found");
    assert_eq!(service.jobs("").len(), 0, "a library has no jobs");
    example.stage.service.stop();
}

#[test]
fn downloads_are_attachments_under_their_own_names_and_the_limit_holds_to_the_byte() {
    let example = Example::open("file-library");
    let service = &example.stage.service;
    let library = service.bucket("library");
    let full = text(1, 1 << 20);
    for (key, content) in [("a/Zoë's page.html", &b"<script>alert(1)</script>"[..]), ("b/full.bin", &full)] {
        library.put(key, content);
        let prefix = http::query(&[("prefix", key)]);
        let file = service.feed.wait(key, JOB_PATIENCE, || {
            service.get(&format!("/v1/files?{prefix}")).expect(200).json()["items"].get(0).cloned()
        });
        let id = file["id"].as_str().expect("an id");
        let link = service.get(&format!("/v1/files/{id}/download")).expect(303);
        let download = http::send("GET", link.header("location"), &[], &[]).expect(200);
        assert!(download.header("content-disposition").starts_with("attachment"), "{:?}", download.headers);
        assert_same(key, &download.body, content);
        service.delete(&format!("/v1/files/{id}")).expect(204);
        http::send("GET", link.header("location"), &[], &[]).expect(404);
    }
    let larger = [&full[..], b"x"].concat();
    let refused = http::send("PUT", &library.put_url("c"), &[], &larger).expect(400).text();
    assert!(refused.contains("<Code>EntityTooLarge</Code>"), "{refused}");
    let wish = json!({ "filename": "c", "size": larger.len() });
    let problem = service.post("/v1/uploads", &wish).expect_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "size", "{problem}");
    assert_eq!(keys(&service.get("/v1/files").expect(200).json()), [""; 0]);
    example.stage.service.stop();
}
