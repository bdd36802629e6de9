//! Message queues by the clients that people use, messages that start rules, and kill -9 under load.

use filemill_e2e::tools::{installed_for_ci, python_with, succeed};
use filemill_e2e::{Launch, Service, Stage, Tool, aws, tool};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

fn python(tool: &Tool, service: &Service, home: &Path, script: &str, args: &[&str]) -> Command {
    let mut command = tool.command();
    aws::speak_to(service, home, &mut command);
    command.args(["-c", script, &service.s3]).args(args).current_dir(home);
    command
}

#[test]
fn boto3_uses_queues_as_programs_do() {
    let Some(tool) = python_with("boto3") else { return };
    use_queues(&tool, "json");
}

/// As Debian 12 has it: the same program, by the protocol of before the end of 2023.
#[test]
fn an_older_boto3_uses_queues_as_programs_do() {
    let Some(tool) = installed_for_ci("older/bin/python3") else { return };
    use_queues(&tool, "query");
}

fn use_queues(tool: &Tool, protocol: &str) {
    let stage = Stage::open();
    let script = include_str!("boto3_client.py");
    succeed(python(tool, &stage.service, stage.folder.path(), script, &[protocol]));
    stage.service.stop();
}

/// The aws CLI, with its answer as JSON.
struct Cli<'a>(Tool, &'a Stage);

impl Cli<'_> {
    fn run(&self, args: &[&str]) -> Value {
        let mut command = self.0.command();
        aws::speak_to(&self.1.service, self.1.folder.path(), &mut command);
        command.args(["--output", "json", "--endpoint-url", &self.1.service.s3, "sqs"]).args(args);
        command.current_dir(self.1.folder.path());
        let said = succeed(command);
        if said.trim().is_empty() { json!({}) } else { serde_json::from_str(&said).expect("JSON") }
    }
}

#[test]
fn the_aws_cli_uses_queues_as_scripts_do() {
    let Some(tool) = tool("aws") else { return };
    let stage = Stage::open();
    let aws = Cli(tool, &stage);
    let made = aws.run(&["create-queue", "--queue-name", "work", "--attributes", "VisibilityTimeout=5"]);
    let url = made["QueueUrl"].as_str().expect("a URL");
    assert_eq!(aws.run(&["get-queue-url", "--queue-name", "work"]), made);
    assert_eq!(aws.run(&["list-queues"])["QueueUrls"], json!([url]));
    let attributes = r#"{"who": {"DataType": "String", "StringValue": "me"}}"#;
    let send = ["send-message", "--queue-url", url, "--message-body", "one", "--message-attributes", attributes];
    let sent = aws.run(&send);
    let entries = r#"[{"Id": "a", "MessageBody": "two"}, {"Id": "b", "MessageBody": "three"}]"#;
    let batch = aws.run(&["send-message-batch", "--queue-url", url, "--entries", entries]);
    assert_eq!(batch["Successful"].as_array().map(Vec::len), Some(2));
    let all = ["--message-attribute-names", "All", "--attribute-names", "All", "--max-number-of-messages", "1"];
    let got = aws.run(&[&["receive-message", "--queue-url", url][..], &all].concat());
    let message = &got["Messages"][0];
    assert_eq!((&message["MessageId"], &message["Body"]), (&sent["MessageId"], &json!("one")), "{got}");
    assert_eq!(message["MessageAttributes"]["who"]["StringValue"], "me");
    let receipt = message["ReceiptHandle"].as_str().expect("a receipt");
    let visibility = ["--receipt-handle", receipt, "--visibility-timeout", "60"];
    aws.run(&[&["change-message-visibility", "--queue-url", url][..], &visibility].concat());
    aws.run(&["delete-message", "--queue-url", url, "--receipt-handle", receipt]);
    let counts = || aws.run(&["get-queue-attributes", "--queue-url", url, "--attribute-names", "All"]);
    assert_eq!(counts()["Attributes"]["ApproximateNumberOfMessages"], "2");
    aws.run(&["purge-queue", "--queue-url", url]);
    assert_eq!(counts()["Attributes"]["ApproximateNumberOfMessages"], "0");
    aws.run(&["delete-queue", "--queue-url", url]);
    stage.service.stop();
}

const ARCHIVES: &str = r#"
schema = 1

[[rules]]
id = "archive"
from = "orders"
from_queue = "archive-orders"
process = { kind = "archive.zip" }
output = { bucket = "zips", key = "{dir}{stem}.zip" }
sources = ["photos"]

[buckets.photos]

[server]
default_bucket = "photos"
"#;

#[test]
fn an_order_sent_as_a_message_becomes_a_zip() {
    let Some(tool) = tool("aws") else { return };
    let stage = Stage::with_config(ARCHIVES);
    stage.service.bucket("photos").put("sea.svg", b"<svg/>");
    let aws = Cli(tool, &stage);
    let url = aws.run(&["get-queue-url", "--queue-name", "archive-orders"])["QueueUrl"].clone();
    let url = url.as_str().expect("the queue of a rule is there from the start");
    let order = json!({ "files": [{ "source": "sea.svg", "destination": "holidays/" }] }).to_string();
    let sent = aws.run(&["send-message", "--queue-url", url, "--message-body", &order]);
    let key = format!("archive-orders/{}.json", sent["MessageId"].as_str().expect("an id"));
    let job = stage.service.ended_job("orders", &key).expect_completed();
    let zip = stage.service.result(&job);
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).expect("a zip");
    let mut content = String::new();
    std::io::Read::read_to_string(&mut archive.by_name("holidays/sea.svg").expect("the photo"), &mut content)
        .expect("text");
    assert_eq!(content, "<svg/>");
    let all = aws.run(&["get-queue-attributes", "--queue-url", url, "--attribute-names", "All"]);
    assert_eq!(all["Attributes"]["ApproximateNumberOfMessages"], "0", "{all}");
    stage.service.stop();
}

const TOLD: &str = r#"
[[notify]]
on = ["archive.ready"]
kind = "queue"
to = "archives-ready"
"#;

#[test]
fn an_order_sent_as_a_message_is_answered_by_a_message_with_metadata_and_link() {
    let Some(tool) = python_with("boto3") else { return };
    let stage = Stage::with_config(&format!("{ARCHIVES}{TOLD}"));
    stage.service.bucket("photos").put("sea.svg", b"<svg/>");
    let script = include_str!("archiver.py");
    let told = succeed(python(&tool, &stage.service, stage.folder.path(), script, &[]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let found = stage.service.get("/v1/deliveries?kind=queue").expect(200).json();
    let delivery = &found["items"][0];
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!((&delivery["receiver"], &delivery["attempts"]), (&json!("queue:archives-ready"), &json!(1)));
    assert_eq!(delivery["event_id"], told["id"], "{delivery}");
    assert!(!found.to_string().contains("X-Amz"), "a link is not stored: {found}");
    stage.service.stop();
}

const ROUNDS: usize = 8;
/// Of one round, before the service is killed: another number each time.
const ACKNOWLEDGED: usize = 60;

#[derive(Default)]
struct Ledger {
    sent: BTreeSet<String>,
    deleting: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

impl Ledger {
    fn note(&mut self, line: &str) {
        let (word, body) = line.split_once(' ').expect("two words");
        let book = match word {
            "sent" => &mut self.sent,
            "deleting" => &mut self.deleting,
            "deleted" => &mut self.deleted,
            _ => panic!("{line}"),
        };
        book.insert(body.to_owned());
    }
}

#[test]
fn no_acknowledged_message_is_lost_when_the_service_is_killed() {
    let Some(tool) = python_with("boto3") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (home, data) = (folder.path(), folder.path().join("data"));
    let mut ledger = Ledger::default();
    let create = "import boto3, sys\n\
        sqs = boto3.client('sqs', endpoint_url=sys.argv[1])\n\
        url = sqs.create_queue(QueueName='work', Attributes={'VisibilityTimeout': '1'})['QueueUrl']\n\
        print(url)\n";
    for round in 0..ROUNDS {
        let service = Launch::on(&data).start();
        let url = succeed(python(&tool, &service, home, create, &[]));
        let mut sender = python(&tool, &service, home, include_str!("sender.py"), &[url.trim()]);
        let mut sender = sender.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("python runs");
        let mut lines = BufReader::new(sender.stdout.take().expect("piped")).lines();
        let enough = ACKNOWLEDGED + round * 17;
        for line in lines.by_ref().take(enough) {
            ledger.note(&line.expect("a line"));
        }
        service.kill();
        lines.for_each(|line| ledger.note(&line.expect("a line")));
        sender.wait().expect("python ends");
    }
    let began = Instant::now();
    let service = Launch::on(&data).start();
    let url = succeed(python(&tool, &service, home, create, &[]));
    let drained = succeed(python(&tool, &service, home, include_str!("drain.py"), &[url.trim()]));
    let drained: BTreeSet<String> = drained.lines().map(str::to_owned).collect();
    let lost: Vec<_> = ledger.sent.difference(&drained).filter(|body| !ledger.deleting.contains(*body)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged messages are lost: {lost:?}", lost.len(), ledger.sent.len());
    let back: Vec<_> = ledger.deleted.intersection(&drained).collect();
    assert!(back.is_empty(), "deleted and back again: {back:?}");
    eprintln!("{} sent, {} deleted; drained in {:?}", ledger.sent.len(), ledger.deleted.len(), began.elapsed());
    assert!(ledger.sent.len() >= ROUNDS * ACKNOWLEDGED / 2 && !ledger.deleted.is_empty(), "there was no load");
    service.stop();
}
