//! The main path by every client that people use: each gives the same job and the same bytes.

use filemill_e2e::{Launch, Tool, tool};

const TEXT: &[u8] = b"one\n\ntwo\r\nlast";

fn curl(curl: &Tool, args: &[&str]) -> String {
    curl.run(["--silent", "--show-error", "--fail-with-body"].iter().chain(args))
}

#[test]
fn curl_puts_by_a_presigned_link() {
    let Some(tool) = tool("curl") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Launch::on(&folder.path().join("data")).start();
    let file = folder.path().join("in.txt");
    std::fs::write(&file, TEXT).expect("an input");
    let upload = service.new_upload(&serde_json::json!({ "filename": "in.txt", "size": TEXT.len() }));
    let url = upload["url"].as_str().expect("a link");
    let headers: Vec<String> = upload["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}: {}", v.as_str().expect("text")))
        .collect();
    let mut args = vec!["--upload-file", file.to_str().expect("UTF-8")];
    for header in &headers {
        args.extend(["--header", header]);
    }
    args.push(url);
    curl(&tool, &args);
    let job = service.ended_job_of_upload(&upload).expect_completed();
    assert_eq!(job.0["upload"], upload["id"]);
    service.expect_exact("uploads", upload["key"].as_str().expect("a key"), TEXT);
    service.stop();
}
