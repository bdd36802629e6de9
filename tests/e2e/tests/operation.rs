//! What an operator relies on: one service per folder, a stop that loses nothing, small files that overtake large ones,
//! private files, health, and state that can be read.

use filemill_e2e::inputs::text;
use filemill_e2e::reference::assert_same;
use filemill_e2e::s3::S3;
use filemill_e2e::service::{Credentials, JOB_PATIENCE};
use filemill_e2e::stage::MANY_CHUNKS;
use filemill_e2e::{Job, Launch, Service, Stage, http, tool};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// What SIGTERM may take.
const DRAIN: Duration = Duration::from_secs(30);
/// Several seconds of work with [`MANY_CHUNKS`].
const LARGE: usize = 48 << 20;
/// So many chunks of a large file stand in line already when a small one arrives.
const WAITING_CHUNKS: u64 = 64;
const WRITERS: u64 = 3;

fn job_of(service: &Service, key: &str) -> Option<Job> {
    service.jobs_of("uploads", key).into_iter().next()
}

fn running_job(service: &Service, key: &str) -> Job {
    let running = || job_of(service, key).filter(|job| job.status() == "running");
    service.feed.wait("a running job", JOB_PATIENCE, running)
}

fn chunks_done(job: &Job) -> u64 {
    job.0["chunks"]["done"].as_u64().expect("a job has chunks")
}

#[test]
fn a_second_service_on_a_folder_is_refused_and_changes_nothing() {
    let stage = Stage::open();
    let credentials = stage.data().join("credentials.json");
    let before = std::fs::read(&credentials).expect("credentials.json");
    for token in [None, Some("another-admin-token")] {
        let mut second = Launch::on(&stage.data());
        if let Some(token) = token {
            second = second.env("FILEMILL_ADMIN_TOKEN", token);
        }
        let refused = second.try_start().err().expect("a second service on the same folder started");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
        for words in ["data", "in use by another process"] {
            assert!(refused.stderr.contains(words), "{words:?} is not said: {}", refused.stderr);
        }
        assert!(std::fs::read(&credentials).expect("credentials.json") == before, "credentials were replaced");
    }
    // the first goes on, and its commands still find it
    stage.file("in.txt", b"still\nhere");
    stage.filemill(&["put", "in.txt", "--key", "in.txt", "--wait"]).good();
    stage.service.expect_exact("uploads", "in.txt", b"still\nhere");
    let stage = stage.restarted();
    stage.service.expect_exact("uploads", "in.txt", b"still\nhere");
    stage.service.stop();
}

/// What the upload of this number holds, on all sides of the borders between inline, one lease and many chunks.
fn content(number: u64) -> Vec<u8> {
    text(number, [1_000, 70_000, 1_200_000][usize::try_from(number % 3).expect("small")])
}

/// One upload after the other until one is left unanswered; the numbers of those that were acknowledged.
fn upload_until_nobody_answers(uploads: &S3, writer: u64) -> Vec<u64> {
    let numbers = (writer << 32)..;
    numbers.take_while(|number| uploads.try_put(&number.to_string(), &content(*number)).is_ok()).collect()
}

#[test]
fn sigterm_under_load_exits_0_in_time_and_a_restart_finishes_everything() {
    let Stage { folder, service } = Stage::with_config(MANY_CHUNKS);
    let (uploads, large) = (&service.bucket("uploads"), text(1, LARGE));
    uploads.put("large", &large);
    running_job(&service, "large");
    let (acknowledged, took) = std::thread::scope(|scope| {
        let writer = |number| scope.spawn(move || upload_until_nobody_answers(uploads, number));
        let writers: Vec<_> = (0..WRITERS).map(writer).collect();
        let completed = || service.jobs("status=completed&limit=1000").len();
        service.feed.wait("some load", JOB_PATIENCE, || (completed() > 10).then_some(()));
        running_job(&service, "large");
        let took = service.stop();
        (writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect::<Vec<_>>(), took)
    });
    assert!(took <= DRAIN, "stopping took {took:?}");
    let stage = Stage::on(folder);
    assert!(acknowledged.len() > 10, "there was no load: {acknowledged:?}");
    let files = acknowledged.into_iter().map(|number| (number.to_string(), content(number)));
    for (key, content) in files.chain([("large".to_owned(), large)]) {
        assert_same(&key, &stage.service.bucket("uploads").get(&key).expect(200).body, &content);
        stage.service.expect_exact("uploads", &key, &content);
    }
    let open =
        || ["queued", "running"].iter().any(|status| !stage.service.jobs(&format!("status={status}")).is_empty());
    stage.service.feed.wait("the end of all jobs", JOB_PATIENCE, || (!open()).then_some(()));
    assert_eq!(stage.service.jobs("status=failed").len(), 0);
    stage.service.stop();
}

#[test]
fn a_small_file_overtakes_a_large_one() {
    let stage = Stage::with_config(MANY_CHUNKS);
    let (large, small) = (text(1, LARGE), text(2, 10_000));
    let uploads = stage.service.bucket("uploads");
    uploads.put("large.txt", &large);
    running_job(&stage.service, "large.txt");
    for number in 0..5 {
        let key = format!("small-{number}.txt");
        let before = job_of(&stage.service, "large.txt").expect("a job");
        uploads.put(&key, &small);
        stage.service.ended_job("uploads", &key).expect_completed();
        let after = job_of(&stage.service, "large.txt").expect("a job");
        assert_eq!(after.status(), "running", "the large file was first: {}", after.0);
        let meanwhile = chunks_done(&after) - chunks_done(&before);
        assert!(meanwhile < WAITING_CHUNKS / 2, "the small file waited for {meanwhile} chunks of the large one");
        stage.service.expect_exact("uploads", &key, &small);
    }
    stage.service.expect_exact("uploads", "large.txt", &large);
    stage.service.stop();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it exists").permissions().mode() & 0o7777
}

#[test]
fn data_and_credentials_are_private() {
    let stage = Stage::open();
    let credentials = stage.data().join("credentials.json");
    assert_eq!((mode(&stage.data()), mode(&credentials)), (0o700, 0o600));
    let before = Credentials::read(&stage.data()).admin_token;
    let stage = stage.restarted();
    assert_eq!((mode(&stage.data()), mode(&credentials)), (0o700, 0o600));
    assert_eq!(stage.service.credentials.admin_token, before, "a restart made other credentials");
    stage.service.stop();
}

#[test]
fn health_and_readiness_are_told_to_anybody() {
    let stage = Stage::open();
    let answers = [("/healthz", json!({ "status": "ok" })), ("/readyz", json!({ "status": "ready", "storage": "ok" }))];
    for (path, expected) in answers {
        let url = format!("{}{path}", stage.service.api);
        assert_eq!(http::send("GET", &url, &[], &[]).expect(200).json(), expected);
        assert_eq!(http::send("HEAD", &url, &[], &[]).expect(200).body, b"");
    }
    let url = format!("{}/readyz", stage.service.api);
    stage.service.stop();
    assert!(http::try_send("GET", &url, &[], &[]).is_err(), "somebody answers after the stop");
}

#[test]
fn each_change_of_a_state_is_one_line_of_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Launch::on(&folder.path().join("data")).arg("--log-format").arg("json").start();
    let inbox = service.bucket("inbox");
    inbox.put("good.jsonl", b"{\"a\":1}\n");
    inbox.put("bad.jsonl", b"broken\n");
    let good = service.ended_job("inbox", "good.jsonl").expect_completed();
    let bad = service.ended_job("inbox", "bad.jsonl");
    inbox.delete("bad.jsonl");
    let removed = || service.logs.contain("file.removed").then_some(());
    service.feed.wait("the removal", JOB_PATIENCE, removed);
    let lines: Vec<Value> = {
        let all = service.logs.all();
        all.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    };
    let of = |what: &str, field: &str, value: &str| {
        let found: Vec<&Value> = lines.iter().filter(|l| l["message"] == what && l[field] == value).collect();
        assert_eq!(found.len(), 1, "{what} of {value}");
        found[0].clone()
    };
    for what in ["job.created", "job.completed", "file.created"] {
        let line = of(what, "job", good.id());
        assert!(line["level"] == "INFO" && line["timestamp"].is_string() && line["key"].is_string(), "{line}");
    }
    let failed = of("job.failed", "job", bad.id());
    assert!(failed["level"] == "WARN" && failed["code"] == "input_invalid", "{failed}");
    assert!(failed["cause"].as_str().is_some_and(|why| why.contains("line 1")), "{failed}");
    for what in ["file.created", "file.removed"] {
        of(what, "key", "bad.jsonl");
    }
    service.stop();
}

#[test]
fn the_state_can_be_read_with_sqlite3_while_the_service_runs() {
    let Some(tool) = tool("sqlite3") else { return };
    let stage = Stage::open();
    stage.service.bucket("uploads").put("in.txt", b"one\n");
    let job = stage.service.ended_job("uploads", "in.txt").expect_completed();
    let state = stage.data().join("filemill.db");
    let ask = |question: &str| tool.run([state.to_str().expect("test paths are UTF-8"), question]);
    let tables = ask(".tables");
    for table in ["buckets", "objects", "files", "uploads", "jobs", "tasks", "chunks", "events"] {
        assert!(tables.split_whitespace().any(|name| name == table), "{table} is not in {tables}");
    }
    let row = ask("SELECT id, status, bucket, key FROM jobs");
    assert_eq!(row.trim(), format!("{}|completed|uploads|in.txt", job.id()));
    stage.service.expect_exact("uploads", "in.txt", b"one\n");
    stage.service.stop();
}
