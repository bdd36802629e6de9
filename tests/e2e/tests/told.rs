//! A real receiver verifies by itself what it is told; the dashboard shows metrics that a running service has.

use filemill_e2e::{Stage, tool};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/told/receiver.py");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/filemill.json");

struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_receiver_verifies_what_it_is_told_and_knows_a_repeat_and_the_dashboard_is_true() {
    let Some(python) = tool("python3") else { return };
    let mut command = python.command();
    command.arg(SCRIPT).arg(KEY).stdout(Stdio::piped());
    let mut receiver = Receiver(command.spawn().expect("a receiver"));
    let mut lines = BufReader::new(receiver.0.stdout.take().expect("its output")).lines();
    let mut line = || lines.next().expect("the receiver goes on").expect("text");
    let port = line();
    let stage = Stage::with_config(&config(&port));
    let upload = stage.service.new_upload(&json!({ "filename": "a.txt", "key": "a.txt" }));
    stage.service.bucket("uploads").put("a.txt", b"one\n");
    stage.service.ended_job_of_upload(&upload);
    let (first, second): (Value, Value) = (read(&line()), read(&line()));
    assert_eq!((&first["genuine"], &first["again"]), (&json!(true), &json!(false)), "{first}");
    assert_eq!((&second["genuine"], &second["again"]), (&json!(true), &json!(true)), "{second}");
    assert_eq!(first["event"], second["event"], "a repeat says the same");
    assert_eq!((&first["event"]["type"], &first["event"]["data"]["key"]), (&json!("job.completed"), &json!("a.txt")));
    let metrics = stage.service.get("/metrics").expect(200).text();
    for name in metrics_of_the_dashboard() {
        assert!(metrics.contains(&format!("\n{name}")), "the dashboard shows {name}, which there is not");
    }
}

fn config(port: &str) -> String {
    format!(
        "schema = 1\n[[rules]]\nid = \"hello\"\nfrom = \"uploads\"\nfrom_queue = \"orders\"\nprocess = {{ kind = \"lines.prefix\", text = \"> \" }}\n\
         output = {{ bucket = \"results\" }}\n[[alarms]]\nid = \"errors\"\nmetric = \"job.error_rate\"\nat_least = \"5%\"\n\
         [[notify]]\nid = \"hook\"\non = [\"job.completed\"]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/x\"\n\
         sign = \"{KEY}\"\n[outbound]\nallow = [\"127.0.0.1:{port}\"]\n"
    )
}

fn read(line: &str) -> Value {
    serde_json::from_str(line).expect("a line of JSON")
}

fn metrics_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let expressions = targets.map(|target| target["expr"].as_str().expect("an expression"));
    let is_name = |word: &&str| word.starts_with("filemill_") || word.starts_with("process_");
    let words = expressions.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let names: Vec<String> = words.filter(is_name).map(str::to_owned).collect();
    assert!(names.len() > 10, "{names:?}");
    names
}
