//! The main path by every client that people use: each gives the same job and the same bytes.

use filemill_e2e::inputs::{FILE_NAMES, text};
use filemill_e2e::reference::{assert_same, sed};
use filemill_e2e::tools::{python_with, succeed};
use filemill_e2e::{Stage, Tool, aws, tool};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const TEXT: &[u8] = b"one\n\ntwo\r\nlast";
/// More than every client sends in one piece.
const LARGE: usize = 9 * 1024 * 1024 + 17;

/// A folder of files with names that are hard to carry.
fn tree(stage: &Stage) -> PathBuf {
    for name in FILE_NAMES {
        stage.file(&format!("tree/{name}"), content_of(name).as_bytes());
    }
    stage.path("tree")
}

#[track_caller]
fn expect_tree(stage: &Stage, prefix: &str) {
    for name in FILE_NAMES {
        stage.service.expect_exact("uploads", &format!("{prefix}{name}"), content_of(name).as_bytes());
    }
}

fn content_of(name: &str) -> String {
    format!("this is\n{name}\nand no more")
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

fn field<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}"))
}

fn pairs(json: &Value) -> impl Iterator<Item = (&str, &str)> {
    json.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str().expect("text")))
}

fn curl(tool: &Tool, args: impl IntoIterator<Item = String>) -> String {
    let fixed = ["--silent", "--show-error", "--fail-with-body"].map(str::to_owned);
    tool.run(fixed.into_iter().chain(args))
}

/// PUT of a file; answers the object's tag.
fn curl_put(tool: &Tool, file: &Path, url: &str, headers: &Value) -> String {
    let file = ["--upload-file".to_owned(), utf8(file).to_owned(), "--write-out".into(), "%header{etag}".into()];
    let headers = pairs(headers).flat_map(|(name, value)| ["--header".to_owned(), format!("{name}: {value}")]);
    curl(tool, file.into_iter().chain(headers).chain([url.to_owned()]))
}

#[test]
fn curl_puts_by_a_presigned_link() {
    let Some(tool) = tool("curl") else { return };
    let stage = Stage::open();
    for (name, content) in [("small.txt", TEXT.to_vec()), ("large.txt", text(1, LARGE)), ("empty.txt", Vec::new())] {
        let wish = json!({ "filename": name, "size": content.len(), "metadata": { "order": 17 } });
        let upload = stage.service.new_upload(&wish);
        let tag = curl_put(&tool, &stage.file(name, &content), field(&upload, "url"), &upload["headers"]);
        let job = stage.service.ended_job_of_upload(&upload).expect_completed();
        assert_eq!((job.input_etag(), &job.0["metadata"]["order"]), (tag.trim_matches('"'), &json!(17)));
        stage.service.expect_exact("uploads", field(&upload, "key"), &content);
        let state = stage.service.get(&format!("/v1/uploads/{}", field(&upload, "id"))).expect(200).json();
        assert_eq!(state["status"], "received");
    }
    stage.service.stop();
}

#[test]
fn curl_gets_a_result_by_following_the_link() {
    let Some(tool) = tool("curl") else { return };
    let stage = Stage::open();
    stage.service.bucket("uploads").put("in.txt", TEXT);
    let job = stage.service.ended_job("uploads", "in.txt").expect_completed();
    let url = format!("{}/v1/jobs/{}/result", stage.service.api, job.id());
    let out = stage.path("out.txt");
    let token = format!("Authorization: {}", stage.service.bearer());
    curl(&tool, ["--location", "--header", &token, "--output", utf8(&out), &url].map(str::to_owned));
    assert_same("the download", &std::fs::read(out).expect("a result"), &sed(TEXT));
    stage.service.stop();
}

#[test]
fn curl_posts_a_presigned_form() {
    let Some(tool) = tool("curl") else { return };
    let stage = Stage::open();
    let wish = json!({ "filename": "my form.txt", "mode": "post", "size": TEXT.len(), "content_type": "text/plain" });
    let upload = stage.service.new_upload(&wish);
    let fields = pairs(&upload["fields"]).flat_map(|(name, value)| ["--form-string".into(), format!("{name}={value}")]);
    let file = format!("file=@{};type=text/plain", utf8(&stage.file("form.txt", TEXT)));
    let rest = ["--form".to_owned(), file, field(&upload, "url").to_owned()];
    curl(&tool, fields.chain(rest));
    stage.service.ended_job_of_upload(&upload).expect_completed();
    stage.service.expect_exact("uploads", field(&upload, "key"), TEXT);
    stage.service.stop();
}

#[test]
fn curl_sends_a_presigned_multipart_upload() {
    let Some(tool) = tool("curl") else { return };
    let stage = Stage::open();
    let content = text(2, LARGE);
    let upload =
        stage.service.new_upload(&json!({ "filename": "parts.txt", "mode": "multipart", "size": content.len() }));
    let part_size = usize::try_from(upload["part_size"].as_u64().expect("a part size")).expect("fits");
    let urls = upload["part_urls"].as_array().expect("part links");
    assert_eq!(urls.len(), content.len().div_ceil(part_size));
    let mut document = String::from("<CompleteMultipartUpload>");
    for ((number, url), part) in (1..).zip(urls).zip(content.chunks(part_size)) {
        let file = stage.file(&format!("part-{number}"), part);
        let tag = curl_put(&tool, &file, url.as_str().expect("a link"), &Value::Null);
        document += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
    }
    document += "</CompleteMultipartUpload>";
    let complete = ["--data-binary", &document, "--header", "content-type: application/xml"];
    let complete = complete.into_iter().chain([field(&upload, "complete_url")]).map(str::to_owned);
    let answer = curl(&tool, complete);
    assert!(answer.contains("<ETag>") && !answer.contains("<Error>"), "{answer}");
    stage.service.ended_job_of_upload(&upload).expect_completed();
    stage.service.expect_exact("uploads", field(&upload, "key"), &content);
    stage.service.stop();
}

#[test]
fn the_aws_command_line_copies_syncs_and_removes() {
    let Some(tool) = tool("aws") else { return };
    let stage = Stage::open();
    let aws = |args: &[&str]| {
        let mut command = tool.command();
        aws::speak_to(&stage.service, stage.folder.path(), &mut command);
        command.args(["--endpoint-url", &stage.service.s3]).args(args).current_dir(stage.folder.path());
        succeed(command)
    };
    stage.file("small.txt", TEXT);
    let large = text(3, LARGE);
    stage.file("large.txt", &large);
    aws(&["s3", "cp", "small.txt", "s3://uploads/aws/small.txt"]);
    aws(&["s3", "cp", "large.txt", "s3://uploads/aws/large.txt"]);
    stage.service.expect_exact("uploads", "aws/small.txt", TEXT);
    stage.service.expect_exact("uploads", "aws/large.txt", &large);

    tree(&stage);
    stage.file("tree/line\nbreak.txt", b"a name of two lines");
    aws(&["s3", "sync", "tree", "s3://uploads/tree/"]);
    expect_tree(&stage, "tree/");
    stage.service.expect_exact("uploads", "tree/line\nbreak.txt", b"a name of two lines");
    // nothing left to do
    assert_eq!(aws(&["s3", "sync", "tree", "s3://uploads/tree/"]).trim(), "");

    aws(&["s3", "sync", "s3://results/tree/", "back"]);
    for name in FILE_NAMES {
        let back = std::fs::read(stage.path(&format!("back/{name}"))).expect(name);
        assert_same(name, &back, &sed(content_of(name).as_bytes()));
    }
    aws(&["s3", "cp", "s3://results/aws/large.txt", "large.out"]);
    assert_same("large.txt", &std::fs::read(stage.path("large.out")).expect("a result"), &sed(&large));
    // a copy inside the store is a new object with a job of its own
    aws(&["s3", "cp", "s3://uploads/aws/large.txt", "s3://uploads/aws/copy.txt"]);
    stage.service.expect_exact("uploads", "aws/copy.txt", &large);

    aws(&["s3", "rm", "--recursive", "s3://uploads/tree/"]);
    assert_eq!(aws(&["s3", "ls", "--recursive", "s3://uploads/"]).lines().count(), 3);
    stage.service.stop();
}

#[test]
fn boto3_does_what_scripts_do() {
    let Some(tool) = python_with("boto3") else { return };
    let stage = Stage::open();
    let large = text(4, LARGE);
    stage.file("large.txt", &large);
    let mut command = tool.command();
    aws::speak_to(&stage.service, stage.folder.path(), &mut command);
    command.args(["-c", include_str!("clients/boto3_client.py"), &stage.service.s3]).current_dir(stage.folder.path());
    succeed(command);
    stage.service.expect_exact("uploads", "boto/put.txt", b"put by boto3\n");
    stage.service.expect_exact("uploads", "boto/../dots.txt", b"dots are only dots\n");
    stage.service.expect_exact("uploads", "boto/large.txt", &large);
    stage.service.expect_exact("uploads", "boto/copy.txt", &large);
    stage.service.expect_exact("uploads", "boto/presigned.txt", b"by a presigned link\n");
    stage.service.expect_exact("uploads", "boto/posted.txt", b"by a presigned form\n");
    stage.service.expect_exact("uploads", "boto/once.txt", b"first\n");
    stage.service.expect_exact("uploads", "boto/replaced.txt", b"second\n");
    stage.service.stop();
}

#[test]
fn rclone_copies_checks_lists_and_deletes() {
    let Some(tool) = tool("rclone") else { return };
    let stage = Stage::open();
    let rclone = |args: &[&str]| {
        let mut command = tool.command();
        command.current_dir(stage.folder.path()).env("RCLONE_CONFIG", utf8(&stage.path("rclone.conf")));
        let remote = [
            ("TYPE", "s3"),
            ("PROVIDER", "Other"),
            ("REGION", "local"),
            ("ENDPOINT", stage.service.s3.as_str()),
            ("ACCESS_KEY_ID", stage.service.credentials.s3_key.as_str()),
            ("SECRET_ACCESS_KEY", stage.service.credentials.s3_secret.as_str()),
        ];
        command.envs(remote.map(|(name, value)| (format!("RCLONE_CONFIG_MILL_{name}"), value)));
        // without it rclone takes two spellings of one letter for one name
        command.arg("--no-unicode-normalization");
        command.args(["--retries", "1", "--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi"]).args(args);
        succeed(command)
    };
    tree(&stage);
    let large = text(5, LARGE);
    stage.file("tree/large.txt", &large);
    rclone(&["copy", "tree", "mill:uploads/tree"]);
    expect_tree(&stage, "tree/");
    stage.service.expect_exact("uploads", "tree/large.txt", &large);
    rclone(&["check", "tree", "mill:uploads/tree"]);
    rclone(&["check", "--download", "tree", "mill:uploads/tree"]);
    let listed: Value = serde_json::from_str(&rclone(&["lsjson", "-R", "--files-only", "mill:uploads"])).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(FILE_NAMES.len() + 1));

    rclone(&["copy", "mill:results/tree", "back"]);
    assert_same("large.txt", &std::fs::read(stage.path("back/large.txt")).expect("a result"), &sed(&large));
    rclone(&["moveto", "mill:uploads/tree/plain.txt", "mill:uploads/moved.txt"]);
    stage.service.expect_exact("uploads", "moved.txt", content_of("plain.txt").as_bytes());
    rclone(&["deletefile", "mill:uploads/moved.txt"]);
    rclone(&["delete", "mill:uploads/tree"]);
    assert_eq!(rclone(&["lsf", "-R", "--files-only", "mill:uploads"]).trim(), "");
    stage.service.stop();
}

#[test]
fn s3cmd_puts_gets_lists_syncs_and_deletes() {
    let Some(tool) = tool("s3cmd") else { return };
    let stage = Stage::open();
    let host = stage.service.s3.trim_start_matches("http://");
    let config = format!(
        "[default]\naccess_key = {}\nsecret_key = {}\nhost_base = {host}\nhost_bucket = {host}\nuse_https = False\n\
         bucket_location = local\nsignature_v2 = False\nmultipart_chunk_size_mb = 5\nenable_multipart = True\n",
        stage.service.credentials.s3_key, stage.service.credentials.s3_secret
    );
    stage.file("s3cmd.conf", config.as_bytes());
    let s3cmd = |args: &[&str]| {
        let mut command = tool.command();
        command.current_dir(stage.folder.path()).env("LC_ALL", "C.UTF-8");
        command.args(["--config", "s3cmd.conf", "--region", "local", "--no-progress"]).args(args);
        succeed(command)
    };
    let large = text(6, LARGE);
    stage.file("small.txt", TEXT);
    stage.file("large.txt", &large);
    s3cmd(&["put", "small.txt", "large.txt", "s3://uploads/s3cmd/"]);
    stage.service.expect_exact("uploads", "s3cmd/small.txt", TEXT);
    stage.service.expect_exact("uploads", "s3cmd/large.txt", &large);
    assert!(s3cmd(&["ls", "s3://uploads/s3cmd/"]).contains("s3://uploads/s3cmd/large.txt"));
    s3cmd(&["get", "s3://results/s3cmd/large.txt", "large.out"]);
    assert_same("large.txt", &std::fs::read(stage.path("large.out")).expect("a result"), &sed(&large));

    tree(&stage);
    s3cmd(&["sync", "tree/", "s3://uploads/tree/"]);
    expect_tree(&stage, "tree/");
    s3cmd(&["del", "s3://uploads/s3cmd/small.txt"]);
    s3cmd(&["del", "--recursive", "--force", "s3://uploads/tree/"]);
    assert_eq!(s3cmd(&["ls", "--recursive", "s3://uploads/"]).lines().count(), 1);
    stage.service.stop();
}
